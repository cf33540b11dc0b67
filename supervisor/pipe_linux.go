package supervisor

import "syscall"

// Of fcntl(2); package syscall does not have them.
const (
	fSetPipeSize = 1031
	fGetPipeSize = 1032
)

// enlarge makes a pipe as large as everybody may, and returns what it holds. The
// kernel refuses it to a user who has many of them (pipe(7),
// pipe-user-pages-soft): it stays as it is then.
func enlarge(pipe syscall.Conn) int {
	size := pipeUsual
	conn, err := pipe.SyscallConn()
	if err != nil {
		return size
	}
	conn.Control(func(fd uintptr) {
		for _, cmd := range []uintptr{fSetPipeSize, fGetPipeSize} {
			if n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, cmd, pipeMax); errno == 0 {
				size = int(n)
				break
			}
		}
	})
	return size
}
