package app

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// unknown is the error for an APP that is no form and no path.
func unknown(spec, prefix, path string, colon bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%q is no known form of application, and %s does not exist", spec, path)
	if f, ok := formOf(Kind(prefix)); ok && !colon {
		fmt.Fprintf(&b, "; write %s", f)
	} else if near, ok := nearest(prefix); ok {
		f, _ := formOf(near)
		fmt.Fprintf(&b, "; did you mean %s?", f)
	}
	fmt.Fprintf(&b, "\nallowed are:\n%s", strings.TrimRight(Forms(), "\n"))
	return errors.New(b.String())
}

func formOf(k Kind) (string, bool) {
	for _, f := range forms {
		if f.kind == k {
			return f.form, true
		}
	}
	return "", false
}

// nearest returns the kind that a mistyped prefix probably meant: the closest
// one, at most two edits away and less than the word is long.
func nearest(word string) (Kind, bool) {
	word = strings.ToLower(word)
	if len(word) > 8 { // longer than any kind and two edits
		return "", false
	}
	best, distance := Kind(""), 3
	for _, f := range forms {
		if d := editDistance(word, string(f.kind)); d < distance && d < len(word) {
			best, distance = f.kind, d
		}
	}
	return best, best != ""
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// isNotDir reports whether err says that a parent in the path is a file.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
