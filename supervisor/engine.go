package supervisor

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
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

	launcher []string // argv; empty: none
	cgroup   *Cgroup  // nil: none
	leaves   atomic.Uint64

	adoption sync.Once // of orphans
	adoptErr error     // set by it

	mu       sync.Mutex // guards the field below
	children map[int]bool
}

// oomSample is how often the out-of-memory counters are read. A kill is told
// from an earlier one by two samples, so up to twice this long after it.
const oomSample = 2 * time.Second

func newEngine(o Options) (*engine, error) {
	if o.Cgroup != nil && len(o.Launcher) == 0 {
		return nil, errors.New("a control group takes a launcher")
	}
	e := &engine{
		jobs: make(chan func()), quit: make(chan struct{}), launcher: o.Launcher, cgroup: o.Cgroup,
		children: map[int]bool{},
	}
	e.running.Go(e.spawner) // close waits for it
	if len(o.Guard) > 0 {
		g, err := startGuard(o.Guard, o.Cgroup)
		if err != nil {
			e.close()
			return nil, err
		}
		e.guard = g
	}
	e.oom.sample()
	e.running.Go(e.watchOOM) // close waits for it
	if os.Getpid() == 1 {
		e.running.Go(func() { reapOrphans(e.quit, e.owns) }) // close waits for it
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
	e.cgroup.close()
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

// own notes a child that is waited for: its end is for whoever waits, not for
// the reaper of orphans. It reports whether the child is new.
func (e *engine) own(pid int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.children[pid]
	e.children[pid] = true
	return !known
}

func (e *engine) owns(pid int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.children[pid]
}

// disown forgets a child that has been reaped.
func (e *engine) disown(pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.children, pid)
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
