//go:build unix

package worker

import (
	"os"
	"syscall"
)

// isListening reports whether f is a listening socket. FastCGI §2.2 tells it from
// CGI by getpeername failing with ENOTCONN, which holds also for a socket that
// nobody made listen; SO_ACCEPTCONN is exact.
func isListening(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	listening := 0
	var sockErr error
	err = c.Control(func(fd uintptr) {
		listening, sockErr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	})
	return err == nil && sockErr == nil && listening != 0
}
