//go:build linux && !race && !386 && !s390x

package http1

import (
	"syscall"
	"unsafe"
)

// These do not tell the scheduler that a system call is on its way, which
// would make it look for one that takes long, and give the thread's place
// away: a socket of Go's never blocks. They are the calls of sockets, with fewer
// layers to go through than those of files: 0.05 us less each. For the race detector
// the calls are package syscall's, which tells it who waited for whom; and where
// all calls of sockets share one number.

func readSocket(fd uintptr, p []byte) (int, error) {
	return direct(syscall.SYS_RECVFROM, fd, p)
}

func writeSocket(fd uintptr, p []byte) (int, error) {
	return direct(syscall.SYS_SENDTO, fd, p)
}

func writeSocketBoth(fd uintptr, p *[2][]byte) (int, error) {
	if len(p[0]) == 0 {
		return writeSocket(fd, p[1])
	}
	var vec [2]syscall.Iovec
	for i, b := range p {
		vec[i].Base = unsafe.SliceData(b)
		vec[i].SetLen(len(b))
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vec)), uintptr(len(vec)))
	if errno != 0 {
		return 0, cheap(errno)
	}
	return int(n), nil
}

func direct(call, fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, cheap(errno)
	}
	return int(n), nil
}

// cheap returns the common ones without an allocation.
func cheap(errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case syscall.EAGAIN:
		return errAgain
	case syscall.EINTR:
		return errInterrupted
	}
	return errno
}

var (
	errAgain       error = syscall.EAGAIN
	errInterrupted error = syscall.EINTR
)
