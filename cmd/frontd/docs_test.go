package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

const docsFolder = "../../docs"

// TestDocs runs every command line of frontd that stands in a block of a page
// of docs/, in its order, beside the files that testdata/docs/PAGE.txtar has. What it has before
// its files runs first. A server is run in the background on a port of its own
// and ends when the next one starts; paths under /etc, /srv and /run
// are the script's.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob(docsFolder + "/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("pages: %v, %v", pages, err)
	}
	dir := t.TempDir()
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		lines := commandLines(string(text))
		if len(lines) == 0 || ownTests[name] != "" {
			continue
		}
		files, err := os.ReadFile("testdata/docs/" + name + ".txtar")
		if err != nil {
			t.Errorf("%s has command lines and no files to run them with: %v", page, err)
			continue
		}
		setup, rest, _ := strings.Cut(string(files), "-- ")
		script := setup + strings.Join(docScript(lines), "\n") + "\n-- " + rest
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(script), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	p := scriptParams()
	p.Dir = dir
	testscript.Run(t, p)
}

// ownTests are the pages whose command lines another test runs.
var ownTests = map[string]string{
	"perl": "TestLanguagePages", "ruby": "TestLanguagePages", "c": "TestLanguagePages",
	"development": "TestDevelopmentPage", "go": "TestLanguagePages", "php": "TestLanguagePages", "cgi": "TestLanguagePages",
}

// commandLines are the lines of frontd in the blocks of a page.
func commandLines(page string) []string {
	var list []string
	inside := false
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(line, "```") {
			inside = !inside
			continue
		}
		if !inside && !strings.HasPrefix(line, "    ") {
			continue
		}
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		line, _, _ = strings.Cut(line, " ||")
		if line = commentAtEnd.ReplaceAllString(line, ""); strings.HasPrefix(line, "frontd ") {
			list = append(list, strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "&")))
		}
	}
	return list
}

var (
	commentAtEnd = regexp.MustCompile(`\s+#.*$`)
	scriptPaths  = strings.NewReplacer(" /etc/", " $WORK/etc/", " /srv/", " $WORK/srv/", ":/srv/", ":$WORK/srv/", "unix:/run/", "unix:$RUN/")
	doubleQuoted = regexp.MustCompile(`"([^"]*)"`)
)

// docScript makes a script of them.
func docScript(lines []string) []string {
	var script []string
	running := ""
	stop := func() {
		if running != "" {
			script = append(script, "signal "+running+" TERM", "gone "+running+" 0")
			running = ""
		}
	}
	for i, line := range lines {
		line = doubleQuoted.ReplaceAllString(scriptPaths.Replace(line), "'$1'")
		args := strings.TrimPrefix(line, "frontd ")
		switch command, _, _ := strings.Cut(args, " "); {
		case command == "serve" || command == "pool":
			stop()
			running = fmt.Sprintf("d%d", i)
			if command == "serve" && !strings.Contains(args, " -l ") {
				args += " -l 127.0.0.1:0"
			}
			script = append(script, "daemon "+running+" "+args)
		case args == "stop":
			script = append(script, "exec frontd stop", "gone "+running+" 0")
			running = ""
		default:
			script = append(script, "exec "+line)
		}
	}
	stop()
	return script
}
