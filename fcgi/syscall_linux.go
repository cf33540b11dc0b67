//go:build linux && !race

package fcgi

import (
	"syscall"
	"unsafe"
)

// These do not tell the scheduler that a system call is on its way, which
// would make it look for one that takes long, and give the thread's place
// away: a socket of Go's never blocks. For the race detector the calls are
// package syscall's, which tells it who waited for whom.

func readSocket(fd uintptr, p []byte) (int, error) {
	return direct(syscall.SYS_READ, fd, p)
}

func writeSocket(fd uintptr, p []byte) (int, error) {
	return direct(syscall.SYS_WRITE, fd, p)
}

func direct(call, fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EAGAIN: // these two without an allocation
		return 0, errAgain
	case syscall.EINTR:
		return 0, errInterrupted
	}
	return 0, errno
}

var (
	errAgain       error = syscall.EAGAIN
	errInterrupted error = syscall.EINTR
)
