package supervisor

import (
	"os"
	"sync"
	"syscall"
)

// A child is a worker's process: a process and its group, with the pipes that
// it writes to.
type child struct {
	engine *engine
	proc   *os.Process
	pipes  [2]*os.File // stdout, stderr
	leaf   *leaf       // nil: none

	oomKilled bool // by leaf; set by release

	mu     sync.Mutex
	reaped bool // its number may be another's by now
}

func (c *child) makePipes() (writeEnds [2]*os.File, err error) {
	for i := range c.pipes {
		if c.pipes[i], writeEnds[i], err = os.Pipe(); err != nil {
			c.closePipes()
			if i == 1 {
				writeEnds[0].Close()
			}
			return writeEnds, err
		}
	}
	return writeEnds, nil
}

func (c *child) closePipes() {
	for _, p := range c.pipes {
		if p != nil {
			p.Close()
		}
	}
}

func (c *child) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		syscall.Kill(-c.proc.Pid, sig) // it is there, and ours: nothing can go wrong
		if sig == syscall.SIGKILL && c.leaf != nil {
			c.leaf.kill() // as well what is in other process groups
		}
	}
}

func (c *child) dump() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		syscall.Kill(c.proc.Pid, syscall.SIGQUIT) // as above
	}
}

func (c *child) run(line func(stream string, line []byte)) Exit {
	var emit sync.Mutex // one line at a time, whichever stream it comes from
	whole := func(stream string, b []byte) {
		emit.Lock()
		defer emit.Unlock()
		line(stream, b)
	}
	var readers sync.WaitGroup
	var outputs [2]*lineReader
	for i, stream := range []string{"stdout", "stderr"} {
		outputs[i] = newLineReader(c.pipes[i], stream, whole)
		readers.Go(outputs[i].run) // Wait below
	}
	state, err := c.reap()
	if c.leaf != nil {
		c.leaf.remove()
	}
	for _, o := range outputs {
		o.finish()
	}
	readers.Wait()
	exit := Exit{PID: c.proc.Pid}
	if err != nil {
		exit.Code = codeUnknown // somebody else in this program reaped our child
		return exit
	}
	if ws := state.Sys().(syscall.WaitStatus); ws.Signaled() {
		exit.Signal = ws.Signal()
		exit.OOM = exit.Signal == syscall.SIGKILL && c.outOfMemory()
	} else {
		exit.Code = ws.ExitStatus()
	}
	return exit
}

// outOfMemory asks the worker's own control group, and where there is none,
// the counters of ours or of the machine.
func (c *child) outOfMemory() bool {
	if c.leaf != nil && c.leaf.memory {
		return c.oomKilled
	}
	return c.engine.oom.happened()
}

// release kills what is left of the group, and of the control group, and
// strikes both off the guard's list.
func (c *child) release() {
	syscall.Kill(-c.proc.Pid, syscall.SIGKILL)
	if c.leaf != nil {
		c.oomKilled = c.leaf.outOfMemory()
		c.leaf.kill()
	}
	if c.engine.guard != nil {
		c.engine.guard.remove(c.proc.Pid)
	}
}
