//go:build linux && (race || 386 || s390x)

package http1

import "syscall"

func readSocket(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

func writeSocket(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

func writeSocketBoth(fd uintptr, p *[2][]byte) (int, error) {
	if len(p[0]) > 0 {
		return syscall.Write(int(fd), p[0])
	}
	return syscall.Write(int(fd), p[1])
}
