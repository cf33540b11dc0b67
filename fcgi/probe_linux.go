package fcgi

import (
	"net"
	"syscall"
	"unsafe"
)

// questionRead reports whether the peer has taken all that was sent to it
// (SIOCOUTQ, unix(7) and tcp(7)): an application that has accepted and read is
// alive, even one that answers no management record.
func questionRead(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	const siocOutQ = 0x5411 // SIOCOUTQ, the same number as TIOCOUTQ
	var n int32 = -1
	raw.Control(func(fd uintptr) {
		syscall.Syscall(syscall.SYS_IOCTL, fd, siocOutQ, uintptr(unsafe.Pointer(&n)))
	})
	return n == 0
}
