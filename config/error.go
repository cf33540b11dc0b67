package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Pos is a place in a configuration file. Both count from 1, Column in
// characters as an editor shows it. The zero Pos is no place in particular.
type Pos struct{ Line, Column int }

// An Error is one thing wrong with a configuration file.
type Error struct {
	File   string
	Pos    Pos
	Key    string // dotted, as "app.blog.max_body"; empty for the file as a whole
	Reason string // what is wrong, and what is allowed
}

// Error prints FILE:LINE:COL: key: reason, which editors and CI can jump to.
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Pos.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Pos.Line, e.Pos.Column)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	return b.String() + ": " + e.Reason
}

// Errors is everything wrong with a configuration file, in the order of the file.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns e as an error, nil if it is empty.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column),
			strings.Compare(a.Key, b.Key))
	})
}
