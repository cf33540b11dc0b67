package supervisor

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// sysPidfdSendSignal is pidfd_send_signal(2), Linux 5.1, the same number on
// all architectures that Go runs on.
const sysPidfdSendSignal = 424

// killMarked kills all processes that have the variable in the environment
// they were started with, and returns how many there were.
func killMarked(variable string) (n int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // fails only on a bad pattern
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && pid != os.Getpid() && killIfMarked(dir, pid, variable) {
			n++
		}
	}
	return n
}

// killIfMarked looks at a process and kills it through the same descriptor, so
// that it cannot hit another one that got its number in between.
func killIfMarked(dir string, pid int, variable string) bool {
	fd, err := syscall.Open(dir, syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false // it went
	}
	defer syscall.Close(fd)
	env, err := syscall.Openat(fd, "environ", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false // it went, or is not ours
	}
	f := os.NewFile(uintptr(env), "environ")
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return false
	}
	if !hasVariable(b, variable) {
		return false
	}
	_, _, errno := syscall.Syscall6(sysPidfdSendSignal, uintptr(fd), uintptr(syscall.SIGKILL), 0, 0, 0, 0)
	if errno == syscall.ENOSYS || errno == syscall.EPERM {
		// Before Linux 5.1, or forbidden by a filter that does not know it.
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return true
}

// hasVariable looks for NAME=value in an environment as /proc shows it.
func hasVariable(environ []byte, variable string) bool {
	for kv := range bytes.SplitSeq(environ, []byte{0}) {
		if string(kv) == variable {
			return true
		}
	}
	return false
}
