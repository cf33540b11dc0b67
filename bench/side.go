package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// The families: sides of one family run the same application.
const (
	familyGo   = "go"
	familyPHP  = "php"
	familyWSGI = "wsgi"
	familySlow = "slow"
	familyNone = "-"
)

// workers is how many processes answer on every side, so that none has more
// of the machine than another.
const workers = 2

// A side is one way to serve the application over HTTP.
type side struct {
	name, family, title string
	needs               []string                              // programs, each "a|b" for one of several
	only                []string                              // workloads; nil: all
	crowd               int                                   // slow readers beside each measured cell
	closes              bool                                  // it closes after each answer and does not say so
	start               func(*stage) (suffix string, e error) // suffix of the paths
	note                string                                // what a reader must know to judge its numbers
}

func (s *side) can(w *workload) bool {
	if s.only == nil {
		return true
	}
	for _, name := range s.only {
		if name == w.Name {
			return true
		}
	}
	return false
}

// missing names the first program that the side needs and that is not here.
func (s *side) missing() string {
	for _, names := range s.needs {
		if findProgram(names) == "" {
			return strings.ReplaceAll(names, "|", " or ")
		}
	}
	return ""
}

// sbin are folders that a user's PATH may lack, and where servers live.
var sbin = []string{"/usr/sbin", "/usr/local/sbin", "/sbin"}

// findProgram returns the path of the first of names ("a|b*|c") that is
// installed; a pattern is looked for in the folders of servers. "": none.
func findProgram(names string) string {
	for name := range strings.SplitSeq(names, "|") {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
		for _, dir := range sbin {
			found, _ := filepath.Glob(filepath.Join(dir, name)) // fails only on a bad pattern
			for _, p := range found {
				if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
					return p
				}
			}
		}
	}
	return ""
}

// chooseSides takes names and patterns, in the order of allSides.
func chooseSides(names []string) ([]*side, error) {
	var chosen []*side
	used := make(map[string]bool)
	for _, s := range allSides {
		match := false
		for _, pattern := range names {
			ok, err := path.Match(pattern, s.name)
			if err != nil {
				return nil, fmt.Errorf("-sides %q: %w", pattern, err)
			}
			if ok || pattern == "all" {
				used[pattern], match = true, true
			}
		}
		if match {
			chosen = append(chosen, s)
		}
	}
	for _, pattern := range names {
		if !used[pattern] {
			return nil, fmt.Errorf("-sides %q: no such side; -list names them", pattern)
		}
	}
	return chosen, nil
}
