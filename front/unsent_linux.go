package front

import (
	"net"
	"syscall"
)

// maxUnsent is how much of an answer, in bytes, the system takes of who writes it
// before any of that is on its way to the client. A TCP send buffer grows to
// megabytes where a client is fast, and stays so when it stops reading: so far
// ahead of it would an application be. What is on its way, within the client's
// window, comes on top. With much less, a writer would be woken so often that
// large answers cost more.
const maxUnsent = 512 << 10

// tcpNotsentLowat is TCP_NOTSENT_LOWAT, which package syscall does not have.
const tcpNotsentLowat = 25

// boundUnsent sets it for a connection of TCP. It is each one's own: those that a
// listener of multipath TCP accepts, Go's default, do not get what the listener has.
func boundUnsent(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // a kernel that has none has a larger bound
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotsentLowat, maxUnsent)
	})
}
