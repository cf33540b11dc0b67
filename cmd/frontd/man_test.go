package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var updateMan = flag.Bool("update-man", false, "write the manual pages of deploy/man")

const manFolder = "../../deploy/man"

// The manual pages are the commands' own help, one a command. Made by
// go test ./cmd/frontd -run TestManualPages -update-man, they are in the tree so
// that an installation needs no tool; this test holds them to the commands.
func TestManualPages(t *testing.T) {
	made := map[string][]byte{}
	manualPages(t, newRoot(), made)
	if *updateMan {
		for name, page := range made {
			if err := os.WriteFile(filepath.Join(manFolder, name), page, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	there, err := filepath.Glob(manFolder + "/*.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if made[filepath.Base(path)] == nil {
			t.Errorf("%s: there is no such command", path)
		}
	}
	for name, page := range made {
		if got, err := os.ReadFile(filepath.Join(manFolder, name)); err != nil || !bytes.Equal(got, page) {
			t.Errorf("%s is not what the command says of itself (%v): run this test with -update-man", name, err)
		}
	}
	if len(made) < 15 {
		t.Errorf("only %d pages", len(made))
	}
}

func manualPages(t *testing.T, cmd *cobra.Command, made map[string][]byte) {
	if cmd.Hidden || cmd.Name() == "help" {
		return
	}
	for _, c := range cmd.Commands() {
		manualPages(t, c, made)
	}
	cmd.DisableAutoGenTag = true
	cmd.Long = preformatted(cmd.Long)
	// A page without a day of its own is the same on every day.
	header := &doc.GenManHeader{Section: "1", Source: "frontd", Manual: "frontd", Date: new(time.Time)}
	*header.Date = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	if err := doc.GenMan(cmd, header, &b); err != nil {
		t.Fatal(err)
	}
	made[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"] = b.Bytes()
}

// preformatted makes what is indented in a help text a block of Markdown, which
// the pages are made from.
func preformatted(text string) string {
	var b strings.Builder
	inside := false
	for line := range strings.SplitSeq(text, "\n") {
		indented := strings.HasPrefix(line, "  ")
		if indented != inside {
			b.WriteByte('\n')
		}
		if inside = indented; indented {
			b.WriteString("    ")
		}
		b.WriteString(line + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}
