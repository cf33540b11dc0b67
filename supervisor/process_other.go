//go:build !linux

package supervisor

import (
	"os"
	"syscall"
)

func workerAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: cred}
}

// mayChangeUser is what root may.
func mayChangeUser() bool { return os.Geteuid() == 0 }

// adjustOOMScore has nothing to adjust here.
func adjustOOMScore(string, int) {}

// reap waits for the process and then kills the rest of its group. Between the
// two its number could in theory become another's; Linux does better.
func (c *child) reap() (*os.ProcessState, error) {
	state, err := c.proc.Wait()
	c.engine.disown(c.proc.Pid)
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	c.release()
	return state, err
}

// residentBytes is not known here.
func residentBytes(int) int64 { return 0 }

// An oomWatch sees nothing here: there is no counter to read.
type oomWatch struct{}

func (*oomWatch) sample()        {}
func (*oomWatch) happened() bool { return false }

// reapOrphans has nothing to do: a container's process 1 is a thing of Linux.
func reapOrphans(quit <-chan struct{}, _ func(int) bool) { <-quit }
