//go:build !linux

package main

// monotonicUsec is systemd's business, which is Linux's.
func monotonicUsec() string { return "" }
