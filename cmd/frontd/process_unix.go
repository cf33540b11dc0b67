package main

import (
	"fmt"
	"os"
	"syscall"
)

// alive reports whether a process exists, be it another user's.
func alive(p *os.Process) bool {
	err := p.Signal(syscall.Signal(0))
	return err == nil || err == syscall.EPERM
}

// checkPrivate refuses a runtime directory that somebody else could write to.
func checkPrivate(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() || !ok || int(st.Uid) != os.Getuid() || fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("runtime directory %s: must be a directory of this user that nobody else can write to (it is %v)", dir, fi.Mode())
	}
	return nil
}
