//go:build !linux

package machine

import (
	"fmt"
	"os"
)

// Main is the body of process 1 in a machine, which runs Linux.
func Main() {
	fmt.Fprintln(os.Stderr, InitName+" is process 1 of a test's machine, which runs Linux")
	os.Exit(2)
}
