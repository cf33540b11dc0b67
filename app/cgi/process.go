package cgi

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const errNotBinary = syscall.ENOEXEC

// A process is one running program, the leader of a process group of its own.
type process struct {
	// Immutable.
	cmd            *exec.Cmd
	stdin          *os.File // our ends
	stdout, stderr *os.File
	exited         chan struct{} // closed when the program is reaped and its group killed

	mu     sync.Mutex // guards the field below
	reaped bool       // the number of the group may be another's from now on
}

// start runs cmd. The end of what it starts is received from p.exited.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	theirs, err := p.pipes()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = groupLeader()
	started := make(chan error, 1)
	go p.live(started)
	// p.live's end is received from p.exited by whoever has p; if it did not
	// start, it ends with what it sends here.
	err = <-started
	closeAll(theirs)
	if err != nil {
		closeAll([]*os.File{p.stdin, p.stdout, p.stderr})
		return nil, err
	}
	return p, nil
}

// pipes makes the three pipes and returns the program's ends.
func (p *process) pipes() (theirs []*os.File, err error) {
	var all []*os.File
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, r, w)
	}
	p.cmd.Stdin, p.stdin = all[0], all[1]
	p.stdout, p.cmd.Stdout = all[2], all[3]
	p.stderr, p.cmd.Stderr = all[4], all[5]
	return []*os.File{all[0], all[3], all[5]}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // pipes: nothing is buffered that could be lost
	}
}

// live starts the program, waits for its end and kills what is left of its
// group. It keeps its thread, because the kernel sends PDEATHSIG when the
// thread that forked dies, not the process.
func (p *process) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.reap()
	// Whoever escaped from the group may hold the pipes open for ever: wake
	// the readers, which take what is there, and the writer.
	past := time.Unix(1, 0)
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		_ = f.SetDeadline(past) // fails if closed already, and then nobody waits
	}
	close(p.exited)
}

// signal sends sig to the program's group, if the program still lives.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, sig) // ESRCH: it has ended
	}
}

// obey ends the group when ctx does: SIGTERM, and after delay SIGKILL; sooner once
// stopping is closed.
func (p *process) obey(ctx context.Context, delay time.Duration, stopping <-chan struct{}) {
	select {
	case <-p.exited:
		return
	case <-ctx.Done():
	}
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-p.exited:
		case <-timer.C:
			p.signal(syscall.SIGKILL)
		case <-stopping:
			stopping = nil
			timer.Reset(min(delay, HastyKillDelay))
			continue
		}
		return
	}
}

// maxPipe is what a pipe holds at most, in bytes, for a user without
// privileges (fs.pipe-max-size). It bounds what is taken after the end.
const maxPipe = 1 << 20

// An output reads a pipe from a program until the pipe or the program ends,
// and then what the program left in it.
type output struct {
	f       *os.File
	ended   bool
	drained int // bytes taken since
}

func (o *output) Read(b []byte) (int, error) {
	if !o.ended {
		n, err := o.f.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		o.ended = true
		if err := o.f.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	b = b[:min(len(b), maxPipe-o.drained)]
	if len(b) == 0 {
		return 0, io.EOF
	}
	n, err := readNow(o.f, b)
	o.drained += n
	return n, err
}

// readNow reads without waiting. io.EOF means that nothing is there.
func readNow(f *os.File, b []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var readErr error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, readErr = syscall.Read(int(fd), b)
			if readErr != syscall.EINTR {
				return true
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case readErr == syscall.EAGAIN, readErr == nil && n == 0:
		return 0, io.EOF
	case readErr != nil:
		return 0, readErr
	}
	return n, nil
}
