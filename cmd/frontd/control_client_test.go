package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
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
