package main

import (
	"bytes"
	"os"
	"strconv"
)

// exiting is PF_EXITING of the kernel's include/linux/sched.h: set when a task
// begins to end, before its descriptors are closed.
const exiting = 0x4

// staysAlive says that a process is for certain not about to end: so that the
// connection it closed was closed by its own will, and not by its death.
func staysAlive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	rest := b[bytes.LastIndexByte(b, ')')+1:] // the name before it may have anything in it
	fields := bytes.Fields(rest)              // proc(5): state is the third of all, flags the ninth
	if len(fields) < 7 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return false
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 32)
	return err == nil && flags&exiting == 0
}
