package supervisor

import (
	"bytes"
	"os"
	"strconv"
)

// userCapabilities are what it takes to start processes of another user and to
// kill them: CAP_KILL, CAP_SETGID and CAP_SETUID.
const userCapabilities = 1<<5 | 1<<6 | 1<<7

// mayChangeUser asks for capabilities and not for root: the one may lack them,
// and systemd gives them to another.
func mayChangeUser() bool {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return os.Geteuid() == 0
	}
	return effective(b)&userCapabilities == userCapabilities
}

// effective reads the effective capabilities out of /proc/PID/status.
func effective(status []byte) uint64 {
	for line := range bytes.Lines(status) {
		if hex, ok := bytes.CutPrefix(line, []byte("CapEff:")); ok {
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(hex)), 16, 64) // 0 is none
			return n
		}
	}
	return 0
}
