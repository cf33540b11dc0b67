//go:build linux && (race || 386 || s390x)

package fcgi

import "syscall"

func readSocket(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// readSocketBoth leaves b alone: a read may always be short.
func readSocketBoth(fd uintptr, a, _ []byte) (int, error) { return readSocket(fd, a) }

func writeSocket(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

// writeSocketList writes of the first alone: a write may always be short.
func writeSocketList(fd uintptr, list [][]byte) (int, error) { return writeSocket(fd, list[0]) }
