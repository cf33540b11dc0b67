package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/config"
)

// A command without --control takes the only daemon that answers; what a
// killed one has left is none.
func TestTheOnlyDaemon(t *testing.T) {
	dir := t.TempDir()
	missing, dead := filepath.Join(dir, "missing"), filepath.Join(dir, "dead")
	listen := func(path string) net.Listener {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	l := listen(dead)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := theOnly([]string{dead, missing}); err == nil || !strings.Contains(err.Error(), "looked for "+dead+", "+missing) {
		t.Errorf("none: %v", err)
	}
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	listen(one)
	if got, err := theOnly([]string{dead, missing, one}); err != nil || got != one {
		t.Errorf("one: %q, %v", got, err)
	}
	listen(two)
	if got, err := theOnly([]string{dead, one, two}); err == nil || !strings.Contains(err.Error(), one+"\n  "+two) {
		t.Errorf("two: %q, %v", got, err)
	}
}

// What goes wrong in the control socket itself is in the log, in its form.
func TestControlSocketLogsItsOwnTroubles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	log, err := openLogbook(config.Log{File: file, Format: "json", Level: "info"}, io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	s, err := openControl(path, orders{status: func(bool) statusReport { panic("no status") }}, log)
	if err != nil {
		t.Fatal(err)
	}
	s.serve()
	if _, err := ask(t.Context(), unixClient(t, path), http.MethodGet, "http://frontd/status", "", nil); err == nil {
		t.Error("answered")
	}
	s.close()
	log.Close()
	said, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(said), `{"time"`) || !strings.Contains(string(said), "no status") {
		t.Errorf("logged %q, %v", said, err)
	}
}
