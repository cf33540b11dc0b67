//go:build !linux

package counterpart

import "testing"

// ownPort leaves the choice to the kernel.
func ownPort(testing.TB) int { return 0 }
