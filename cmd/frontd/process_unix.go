package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// alive reports whether a process exists, be it another user's. One that has
// ended and that its parent has not waited for exists no more: the parent may
// be who asks.
func alive(p *os.Process) bool {
	if err := p.Signal(syscall.Signal(0)); err != nil && err != syscall.EPERM {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		return true // no /proc here
	}
	_, state, _ := bytes.Cut(stat, []byte(") ")) // behind the name, which is in parentheses
	return !bytes.HasPrefix(state, []byte("Z"))
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

// outliveReaders has this process live on when whoever reads its standard error
// ends, a logger that is restarted for one: a write to it fails, instead of ending
// a server of others with SIGPIPE. Not by ignoring it, which workers would inherit.
func outliveReaders() (stop func()) {
	caught := make(chan os.Signal, 1) // nobody receives them
	signal.Notify(caught, syscall.SIGPIPE)
	return func() { signal.Stop(caught) }
}
