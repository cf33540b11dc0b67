package metrics

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// clockTicks is USER_HZ, in which proc_pid_stat(5) counts time: 100 on every
// architecture that Go runs on.
const clockTicks = 100

func processUsage() usage {
	u := unknownUsage
	if stat, err := os.ReadFile("/proc/self/stat"); err == nil {
		u.stat(string(stat))
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.openFiles = float64(len(fds) - 1) // without the folder's own
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		u.maxFiles = float64(limit.Cur)
	}
	return u
}

// stat takes what it needs of proc_pid_stat(5). The second field is a name in
// parentheses that may hold anything, so fields are counted from its end.
func (u *usage) stat(s string) {
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	field := func(n int) float64 { // as the manual numbers them
		if n-3 >= len(f) {
			return -1
		}
		v, err := strconv.ParseFloat(f[n-3], 64)
		if err != nil {
			return -1
		}
		return v
	}
	if len(f) < 22 {
		return
	}
	u.cpuSeconds = (field(14) + field(15)) / clockTicks
	u.threads = field(20)
	u.virtualSize = field(23)
	u.residentSize = field(24) * float64(os.Getpagesize())
	if boot := bootTime(); boot > 0 {
		u.startTime = boot + field(22)/clockTicks
	}
}

// bootTime is in seconds since 1970, 0 if it is not known.
func bootTime() float64 {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(stat)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			t, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64) // 0 on an error
			return t
		}
	}
	return 0
}
