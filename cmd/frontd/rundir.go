package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// runtimeDir makes the private folder for the sockets of this daemon's
// workers. The daemon that takes over from this one has another; what a
// daemon that was killed has left goes.
func runtimeDir(name string) (string, *os.File, error) {
	base, err := runtimeBase()
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", nil, fmt.Errorf("make runtime directory: %w", err)
	}
	pattern := name + ".*.d"
	sweepDirs(filepath.Join(base, pattern))
	for {
		dir, err := os.MkdirTemp(base, pattern)
		if err != nil {
			return "", nil, fmt.Errorf("make runtime directory: %w", err)
		}
		lock, err := lockDir(dir, os.O_CREATE)
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist) {
			return "", nil, fmt.Errorf("lock runtime directory: %w", err)
		}
		// Another one that starts may have swept it in between.
		if _, gone := os.Stat(filepath.Join(dir, lockName)); err == nil && gone == nil {
			return dir, lock, nil
		}
	}
}

// sweepDirs removes the runtime directories that no daemon holds. One without a
// lock is somebody's whose lock was taken away: the sockets in it may be in use.
func sweepDirs(pattern string) {
	found, _ := filepath.Glob(pattern) // never malformed: a name has no magic
	for _, dir := range found {
		if os.Remove(dir) == nil {
			continue // empty: its daemon was about to lock it, and makes another
		}
		if lock, err := lockDir(dir, 0); err == nil {
			os.RemoveAll(dir)
			lock.Close()
		}
	}
}

// stays is the mode of files for the owner alone that live for as long as the
// daemon does, and may be in a temporary folder: who takes away what is old there
// leaves alone what has the sticky bit (XDG Base Directory Specification;
// systemd-tmpfiles).
const stays = 0o600 | os.ModeSticky

// lockDir fails where another process has the folder. The lock ends with the
// process. It is a file's: the supervisor locks the folder.
func lockDir(dir string, flag int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|flag, stays)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

const lockName = "lock"

// removeDir removes it unless a worker is left in it.
func (d *daemon) removeDir() {
	if d.dirLock == nil {
		return
	}
	os.Remove(d.dirLock.Name())
	os.Remove(d.dir)
	d.dirLock.Close()
}
