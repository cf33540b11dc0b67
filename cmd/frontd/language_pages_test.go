package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// languages are the pages of docs/ about applications in a language, and what
// has to be there to run theirs.
var languages = []struct {
	page string
	need []string // a command that succeeds where it is there
}{
	{"perl", []string{"perl", "-MFCGI", "-MPlack::Handler::FCGI", "-e1"}},
	{"ruby", []string{"ruby", "-e", `require "fcgi"; require "rack"; exit Rack.release.start_with?("2.")`}},
	{"c", []string{"sh", "-c", "echo '#include <fcgiapp.h>' | cc -E - >/dev/null"}},
	{"go", []string{"go", "version"}},
	{"php", []string{"php-cgi", "-v"}},
	{"cgi", []string{"python3", "-c", "0"}},
}

// TestLanguagePages writes the programs of each page, by the names behind the
// language of their blocks, runs its command lines, and asks each server that they
// start: for /, or for the path that stands behind a # with what it is to say.
func TestLanguagePages(t *testing.T) {
	for _, l := range languages {
		t.Run(l.page, func(t *testing.T) {
			t.Parallel()
			counterpart.NeedRun(t, l.page+"'s libraries", l.need[0], l.need[1:]...)
			dir := counterpart.Dir(t)
			lines := layPage(t, dir, l.page)
			if len(lines) == 0 {
				t.Fatal("no command lines")
			}
			for _, line := range lines {
				if args, ok := strings.CutPrefix(line, "frontd serve "); ok {
					t.Run(line, func(t *testing.T) { checkServed(t, dir, args) })
					continue
				}
				cmd := exec.Command("sh", "-c", line)
				cmd.Dir = dir
				if strings.HasPrefix(line, "go build ") { // within this module, whose packages it imports
					cmd = exec.Command("go", "build", "-o", filepath.Join(dir, "hello"), filepath.Join(dir, "main.go"))
				}
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
			}
		})
	}
}

// layPage writes a page's programs to dir and returns its command lines.
func layPage(t *testing.T, dir, page string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docsFolder, page+".md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 0 {
			continue // between blocks
		}
		info, body, _ := strings.Cut(block, "\n")
		if _, name, ok := strings.Cut(info, " "); ok {
			write(t, filepath.Join(dir, name), body)
		} else if info == "" {
			lines = append(lines, strings.Split(strings.TrimSpace(body), "\n")...)
		}
	}
	return lines
}

var (
	saying = regexp.MustCompile(`\s+# (/\S*): (.*)$`)
	quoted = regexp.MustCompile(`'([^']*)'|(\S+)`)
)

func checkServed(t *testing.T, dir, args string) {
	path, want := "/", "hello from "
	if m := saying.FindStringSubmatch(args); m != nil {
		args, path, want = strings.TrimSuffix(args, m[0]), m[1], m[2]
	}
	var words []string
	for _, m := range quoted.FindAllStringSubmatch(args, -1) {
		words = append(words, m[1]+m[2])
	}
	r := serve(t, dir, words...)
	for range 5 {
		r.expect(path, 200, want)
	}
	if strings.Contains(r.Log(), "worker gone") {
		t.Error("a worker ended by itself")
	}
}
