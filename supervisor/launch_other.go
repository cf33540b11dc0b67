//go:build !linux

package supervisor

// canLaunch is whether LaunchMain does anything here.
const canLaunch = false

// LaunchMain is for Linux only.
func LaunchMain() {}
