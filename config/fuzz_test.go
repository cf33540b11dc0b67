package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What Parse takes, "config show" writes so that Parse takes it again, and
// what it refuses, it refuses with a reason, in order, at places in the file.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../configs/*.toml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(showFile))
	for _, c := range wrong {
		f.Add([]byte(c.file))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("file:")) {
			t.Skip("would read files")
		}
		c, errs := Parse("f.toml", data, envOf("HOME", "/root", "X", "$${X} \"\\"))
		if (c == nil) == (errs == nil) {
			t.Fatalf("config %v and errors %v", c, errs)
		}
		if errs != nil {
			checkErrors(t, data, errs)
			return
		}
		var shown bytes.Buffer
		if err := c.WriteEffective(&shown); err != nil {
			t.Fatal(err)
		}
		if _, errs := Parse("f.toml", shown.Bytes(), noEnv); errs != nil {
			t.Fatalf("shown as\n%s\nwhich is refused:\n%v", &shown, errs)
		}
	})
}

func checkErrors(t *testing.T, data []byte, errs Errors) {
	lines := strings.Split(string(data), "\n")
	last := Pos{}
	for _, e := range errs {
		switch {
		case e.Reason == "" || e.File != "f.toml":
			t.Errorf("no reason or no file: %#v", e)
		case e.Pos.Line < 1 || e.Pos.Line > len(lines) || e.Pos.Column < 1 || e.Pos.Column > len(lines[e.Pos.Line-1])+1:
			t.Errorf("%v is not in the file", e)
		case e.Pos.Line < last.Line:
			t.Errorf("%v stands after line %d", e, last.Line)
		}
		last = e.Pos
	}
}

func FuzzSplitCommand(f *testing.F) {
	f.Add(`perl "a b" 'c\' \ d`)
	f.Fuzz(func(t *testing.T, s string) {
		words, err := SplitCommand(s)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, `'`+strings.ReplaceAll(w, `'`, `'\''`)+`'`)
		}
		again, err := SplitCommand(strings.Join(quoted, " "))
		if err != nil || strings.Join(again, "\x00") != strings.Join(words, "\x00") {
			t.Errorf("%q splits into %q, which reads back as %q, %v", s, words, again, err)
		}
	})
}
