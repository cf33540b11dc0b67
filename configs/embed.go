// Package configs holds the sample files, of which the program carries the manual.
package configs

import _ "embed"

//go:embed frontd.toml
var manual []byte

// Manual returns frontd.toml: every setting with its unit, default and reason.
func Manual() []byte { return manual }
