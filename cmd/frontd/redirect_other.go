//go:build !linux

package main

import "syscall"

// redirect makes descriptor to the same as from, in one step.
func redirect(from, to int) error { return syscall.Dup2(from, to) }
