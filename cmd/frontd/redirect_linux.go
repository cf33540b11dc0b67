package main

import "syscall"

// redirect makes descriptor to the same as from, in one step.
func redirect(from, to int) error { return syscall.Dup3(from, to, 0) }
