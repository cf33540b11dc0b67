package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// An engine is what all groups share: the thread that starts processes, the
// guard, the watch on the kernel's out-of-memory killer and, in process 1, the
// reaper of orphans.
type engine struct {
	jobs    chan func() // to the spawning thread
	quit    chan struct{}
	running sync.WaitGroup
	guard   *guard // nil: none
	oom     oomWatch
}

// oomSample is how often the out-of-memory counters are read. A kill is told
// from an earlier one by two samples, so up to twice this long after it.
const oomSample = 2 * time.Second

func newEngine(guardArgs []string) (*engine, error) {
	e := &engine{jobs: make(chan func()), quit: make(chan struct{})}
	e.running.Go(e.spawner) // close waits for it
	if len(guardArgs) > 0 {
		g, err := startGuard(guardArgs)
		if err != nil {
			e.close()
			return nil, err
		}
		e.guard = g
	}
	e.oom.sample()
	e.running.Go(e.watchOOM) // close waits for it
	if os.Getpid() == 1 {
		e.running.Go(func() { reapOrphans(e.quit) }) // close waits for it
	}
	return e, nil
}

// close ends the engine once no worker is left.
func (e *engine) close() {
	if e.guard != nil {
		e.guard.close()
	}
	close(e.quit)
	e.running.Wait()
}

// spawner starts all processes from one thread. PR_SET_PDEATHSIG kills a child
// when the thread that made it ends, and Go ends threads as it likes.
func (e *engine) spawner() {
	runtime.LockOSThread() // and never unlocked: the thread ends with this function
	closeOnExecAll()
	for {
		select {
		case job := <-e.jobs:
			job()
		case <-e.quit:
			return
		}
	}
}

func (e *engine) watchOOM() {
	tick := time.NewTicker(oomSample)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.oom.sample()
		case <-e.quit:
			return
		}
	}
}

// closeOnExecAll keeps descriptors that this process inherited from its
// workers: all that Go opens is close-on-exec already. Where /dev/fd does not
// list them all (FreeBSD without fdescfs), inherited ones are passed on.
func closeOnExecAll() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// launch starts a worker's process: fd 0 is stdin, 1 and 2 are pipes to us,
// and there is no other.
func (e *engine) launch(spec *Spec, stdin *os.File) (process, int, error) {
	path, err := spec.executable() // again, for it may have gone or come since
	if err != nil {
		return nil, 0, err
	}
	if stdin == nil {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, 0, err
		}
		defer null.Close()
		stdin = null
	}
	c := &child{engine: e}
	outs, err := c.makePipes()
	if err != nil {
		return nil, 0, fmt.Errorf("start %s: %w", path, err)
	}
	defer outs[0].Close()
	defer outs[1].Close()
	attr := &os.ProcAttr{
		Dir:   spec.Dir,
		Env:   e.environ(spec),
		Files: []*os.File{stdin, outs[0], outs[1]},
		Sys:   workerAttr(spec.Credential),
	}
	done := make(chan struct{})
	e.jobs <- func() {
		defer close(done)
		if c.proc, err = os.StartProcess(path, spec.Args, attr); err == nil && e.guard != nil {
			e.guard.add(c.proc.Pid)
		}
	}
	<-done
	if err != nil {
		c.closePipes()
		return nil, 0, fmt.Errorf("start %s in %s: %w", path, filepath.Join(spec.Dir, "."), err)
	}
	return c, c.proc.Pid, nil
}

func (e *engine) environ(spec *Spec) []string {
	if e.guard == nil {
		return spec.Env
	}
	env := make([]string, 0, len(spec.Env)+1)
	return append(append(env, spec.Env...), e.guard.mark())
}
