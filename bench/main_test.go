package main

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be what the harness starts: its Go programs.
func TestMain(m *testing.M) {
	if role, args := roleOf(os.Args); role != "" {
		if err := playRole(role, args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
