package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible is a line that an application printed as a log or a terminal may have
// it. What it prints may come from a client, and whoever reads the log with
// tail(1) has a terminal: a control character would be carried out there. It
// stands as \x1b, in letters; a tab stays, a carriage return at the end goes.
func visible(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	clean := 0
	for clean < len(line) && (line[clean] >= ' ' && line[clean] <= '~' || line[clean] == '\t') {
		clean++
	}
	if clean == len(line) {
		return line
	}
	shown := append(make([]byte, 0, len(line)+16), line[:clean]...)
	for rest := line[clean:]; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			r = rune(rest[0]) // Latin-1, whose control characters are the same
		}
		if unicode.IsControl(r) && r != '\t' {
			shown = fmt.Appendf(shown, `\x%02x`, r)
		} else {
			shown = append(shown, rest[:n]...)
		}
		rest = rest[n:]
	}
	return shown
}

// visibleText is visible for a text of several lines.
func visibleText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = string(visible([]byte(line)))
	}
	return strings.Join(lines, "\n")
}
