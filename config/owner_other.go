//go:build !linux

package config

// Only Linux tells an unprivileged process who listens at an address.

func tcpOwner(string) string { return "" }

func unixOwner(string) string { return "" }
