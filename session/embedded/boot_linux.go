package embedded

import (
	"os"
	"strings"
)

// bootID names the machine's start: what was written since is in the kernel's
// memory at least, whatever became of the processes.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
