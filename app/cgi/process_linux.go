package cgi

import (
	"syscall"
	"unsafe"
)

// groupLeader also has the kernel kill the program when we die by SIGKILL.
func groupLeader() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// reap waits for the program's end. Its group is killed while the zombie
// still holds the number: once reaped, the number may be another group's.
func (p *process) reap() {
	waitExit(p.cmd.Process.Pid)
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // ESRCH cannot be: the leader is there
	_ = p.cmd.Wait()                                      // ProcessState says it
	p.reaped = true
}

// waitExit waits until pid has ended, without reaping it.
func waitExit(pid int) {
	const pPID = 1      // P_PID of waitid(2)
	var info [16]uint64 // siginfo_t: 128 bytes
	for {
		_, _, e := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(pid),
			uintptr(unsafe.Pointer(&info)), syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if e != syscall.EINTR {
			return
		}
	}
}
