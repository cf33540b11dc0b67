//go:build unix && !linux

package cgi

import "syscall"

// groupLeader cannot ask for the program's death with ours: only Linux has
// PDEATHSIG. A program that lives on notices by SIGPIPE.
func groupLeader() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// reap waits for the program's end and kills its group. Between the two the
// number is free; that it is given to a new group just then is as good as
// impossible, but not excluded as it is on Linux.
func (p *process) reap() {
	_ = p.cmd.Wait() // ProcessState says it
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nobody is left
	p.reaped = true
}
