//go:build !linux

package metrics

// processUsage knows nothing where there is no /proc as Linux has it.
func processUsage() usage { return unknownUsage }
