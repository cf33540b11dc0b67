package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/supervisor"
)

func TestVisible(t *testing.T) {
	for line, want := range map[string]string{
		"plain,\ttabbed":        "plain,\ttabbed",
		"from Windows\r":        "from Windows",
		"\x1b[2J\x1b]0;title\a": `\x1b[2J\x1b]0;title\x07`,
		"back\b\r\x7fover":      `back\x08\x0d\x7fover`,
		"Zürich, 東京, 👩‍💻":       "Zürich, 東京, 👩‍💻",
		"C1 \u009b2J in UTF-8":  `C1 \x9b2J in UTF-8`,
		"Latin-1 \xfc \x9b2J":   "Latin-1 \xfc \\x9b2J",
		"":                      "",
	} {
		if got := string(visible([]byte(line))); got != want {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
	}
	if got, want := visibleText("one\n\ttwo \x1bc\nthree\r\n"), "one\n\ttwo \\x1bc\nthree\n"; got != want {
		t.Errorf("a text: %q, want %q", got, want)
	}
}

// What applications print reaches frontd's own log without a control character,
// and an application's own file as it is.
func TestControlCharactersOfApplications(t *testing.T) {
	var log bytes.Buffer
	l, err := openLogbook(config.Log{Format: "text", Level: "info"}, &log, false)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "own.log")
	if _, err := l.outputs.use("own", own); err != nil {
		t.Fatal(err)
	}
	line := []byte("not found: /\x1b]52;c;ZXZpbA==\a")
	l.output(supervisor.Worker{App: "blog", PID: 7}, "stderr", line)
	l.requestOutput(&front.Exchange{App: "blog", ID: "1"}, append(line[:len(line):len(line)], '\n'))
	l.output(supervisor.Worker{App: "own"}, "stderr", line)
	l.Close() // all of it is written then
	want := `not found: /\x1b]52;c;ZXZpbA==\x07` + "\n" + `not found: /\x1b]52;c;ZXZpbA==\x07 [app=blog worker=0 id=1]` + "\n"
	if log.String() != want {
		t.Errorf("the log has %q, want %q", log.String(), want)
	}
	if b, err := os.ReadFile(own); err != nil || string(b) != string(line)+"\n" {
		t.Errorf("the application's own file has %q, %v", b, err)
	}
}

// journald takes "<0>" at a line's beginning for its priority, and shows an
// emergency to everybody who is logged in.
func TestApplicationsChooseNoPriority(t *testing.T) {
	var log bytes.Buffer
	l, err := openLogbook(config.Log{Format: "text", Level: "info"}, &log, false)
	if err != nil {
		t.Fatal(err)
	}
	l.journal = true
	l.output(supervisor.Worker{App: "blog"}, "stderr", []byte("<0>the end is near"))
	l.requestOutput(&front.Exchange{App: "blog", ID: "1"}, []byte("<0>the end is near\n"))
	l.Close()
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "<6><0>the end is near") {
			t.Errorf("the journal gets %q", line)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want 2: %q", n, log.String())
	}
}
