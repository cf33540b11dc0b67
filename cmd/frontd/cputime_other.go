//go:build !linux

package main

import "time"

// cpuTime is not known where there is no /proc as Linux has it.
func cpuTime(int) time.Duration { return 0 }

// idleTime likewise.
func idleTime() time.Duration { return 0 }
