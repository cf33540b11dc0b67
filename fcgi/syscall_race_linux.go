//go:build linux && race

package fcgi

import "syscall"

func readSocket(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

func writeSocket(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
