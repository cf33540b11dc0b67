package main

import (
	"fmt"
	"syscall"
	"unsafe"
)

// monotonicUsec is what systemd wants to know with RELOADING=1 (sd_notify(3)).
func monotonicUsec() string {
	const clockMonotonic = 1
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	return fmt.Sprintf("MONOTONIC_USEC=%d", ts.Nano()/1000)
}
