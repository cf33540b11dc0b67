package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The folder of a daemon that lives is nobody else's to remove, also where who
// cleans the temporary folder has taken away what is old in it: its workers'
// sockets are the way to them.
func TestSweepSparesTheLiving(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	start := func() (dir string, lock *os.File) {
		t.Helper()
		dir, lock, err := runtimeDir("a")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { lock.Close() })
		write(t, filepath.Join(dir, "worker.sock"), "")
		return dir, lock
	}
	there := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "worker.sock"))
		return err == nil
	}
	living, _ := start()
	cleaned, lock := start()
	if fi, err := lock.Stat(); err != nil || fi.Mode() != 0o600|os.ModeSticky {
		t.Errorf("the lock has mode %v, %v; want one that is not cleaned away", fi.Mode(), err)
	}
	if err := os.Remove(lock.Name()); err != nil {
		t.Fatal(err)
	}
	dead, lock := start()
	if err := lock.Close(); err != nil { // as its process's end does
		t.Fatal(err)
	}
	start()
	for dir, want := range map[string]bool{living: true, cleaned: true, dead: false} {
		if there(dir) != want {
			t.Errorf("%s: there is %v, want %v", dir, !want, want)
		}
	}
}

// What keeps visitors known is as old as the daemon, and not written again.
func TestSecretIsNotCleanedAway(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s.db.secret")
	first, err := ownSecret(name)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(name); err != nil || fi.Mode() != stays || fi.Sys().(*syscall.Stat_t).Nlink != 1 {
		t.Errorf("mode %v, %v, want %v", fi.Mode(), err, os.FileMode(stays))
	}
	if again, err := ownSecret(name); err != nil || string(again) != string(first) {
		t.Errorf("another secret: %v", err)
	}
}
