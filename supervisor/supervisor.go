// Package supervisor keeps worker processes running. It knows no HTTP and no
// FastCGI: a worker is a program with a listening socket on fd 0.
//
// Whatever becomes of this process, its workers end with it: each is in a
// process group of its own, which a guard process kills when this one is gone;
// on Linux the kernel kills the worker itself besides (PR_SET_PDEATHSIG), and
// the guard also finds those of its descendants that left the group, by a
// variable in their environment. One escapes that starts a session of its own
// and clears or overwrites its environment, unless Options.Cgroup holds it: of
// that the guard knows too.
//
// A worker inherits descriptors 0, 1 and 2 and no other. To that end the first
// Start marks all descriptors above 2 that this process was itself started
// with close-on-exec; those opened by Go are already.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

// Options says whom a Supervisor tells what.
type Options struct {
	// Events, if not nil, is told what happens to workers: in order for one
	// worker, from several goroutines for several. It must not block for
	// long, for its worker waits, and must not call back into the Supervisor.
	Events func(Event)

	// Output, if not nil, gets what workers write, line by line without the
	// line's end; stream is "stdout" or "stderr". line is valid during the
	// call. A worker whose pipe is full waits while Output blocks. A line over
	// MaxLine bytes comes in pieces, all but the last ending with CutMark. Of
	// more than FloodRate bytes a second on one stream, or LastingRate if that goes
	// on, the lines over it are dropped, and a line says how many; the worker waits
	// if it writes more than PaceRate then.
	Output func(w Worker, stream string, line []byte)

	// Rand is the source of jitter, in [0, 1). nil: math/rand/v2.
	Rand func() float64

	// Guard is the argv of a program whose body is GuardMain, for example
	// {"/proc/self/exe", "guard"}. Empty: no guard; then only Linux takes the
	// workers along when this process is killed, and not their children.
	Guard []string

	// Launcher is the argv of a program whose body is LaunchMain: it sets for a
	// worker what a Spec has of Credential, NoNewPrivileges, Umask, Nice and
	// Bounds, and becomes the worker. Empty: only Credential can be set.
	Launcher []string

	// Cgroup, if not nil, holds the workers. It takes a Launcher. See Cgroup.
	Cgroup *Cgroup
}

// ErrStopped is what is asked of a group or a Supervisor that stops.
var ErrStopped = errors.New("supervisor: stopped")

// A Supervisor runs groups of workers that have nothing to do with each other:
// what becomes of one touches no other. Its methods may be called from any
// goroutine, but not from the hooks.
type Supervisor struct {
	// Immutable.
	options Options
	down    chan struct{} // closed when all has been stopped

	launch launcher // set by the first Start, before any slot runs

	mu      sync.Mutex
	engine  *engine // nil until the first Start
	groups  map[string]*Group
	stopped bool
}

// A launcher starts a process with the given fd 0, nil for /dev/null.
type launcher func(spec *Spec, stdin *os.File) (p process, pid int, err error)

// New returns a Supervisor. Nothing runs until the first Start.
func New(o Options) *Supervisor {
	return &Supervisor{options: o, groups: map[string]*Group{}, down: make(chan struct{})}
}

func (s *Supervisor) emit(e Event) {
	if s.options.Events != nil {
		s.options.Events(e)
	}
}

func (s *Supervisor) random() float64 {
	if s.options.Rand != nil {
		return s.options.Rand()
	}
	return rand.Float64()
}

// Start makes the listeners of a group and begins to start its workers; how
// that goes is told as events. What cannot work is an error and leaves nothing
// behind: a missing executable or directory, a socket that another process
// listens on, a path too long for one, a name that is taken.
func (s *Supervisor) Start(spec Spec) (*Group, error) {
	spec, err := spec.normalized()
	if err != nil {
		return nil, err
	}
	if err := s.preflight(&spec); err != nil {
		return nil, err
	}
	if err := setBlocking(spec.Listener); err != nil {
		return nil, fmt.Errorf("app %q: %w", spec.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, fmt.Errorf("app %q: %w", spec.Name, ErrStopped)
	}
	if s.groups[spec.Name] != nil {
		return nil, fmt.Errorf("app %q: runs already", spec.Name)
	}
	if err := s.startEngine(); err != nil {
		return nil, err
	}
	g := newGroup(s, spec.Name)
	g.plan = newPlan(spec)
	added, err := g.add(g.plan, nil, spec.Workers)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.serving = added
	g.mu.Unlock()
	s.groups[spec.Name] = g
	return g, nil
}

// startEngine starts what all groups need, once. s.mu is held.
func (s *Supervisor) startEngine() error {
	if s.engine != nil || s.launch != nil {
		return nil
	}
	e, err := newEngine(s.options)
	if err != nil {
		return err
	}
	s.engine, s.launch = e, e.launch
	return nil
}

func (s *Supervisor) forget(g *Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[g.name] == g {
		delete(s.groups, g.name)
	}
}

// Stop stops all groups in parallel, as Group.Stop does; when ctx ends, or
// when Stop is called once more, what is left is killed at once. It returns
// when all workers, and with a guard all that they left behind, are gone.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.mu.Lock()
	again := s.stopped
	s.stopped = true
	groups := slices.Collect(maps.Values(s.groups))
	engine := s.engine
	s.mu.Unlock()

	errs := make([]error, len(groups))
	var wg sync.WaitGroup
	for i, g := range groups {
		wg.Go(func() { // Wait below
			g.stopBegins()
			errs[i] = g.shut(ctx, again)
		})
	}
	wg.Wait()
	if again {
		<-s.down
		return errors.Join(errs...)
	}
	if engine != nil {
		engine.close()
	}
	close(s.down)
	return errors.Join(errs...)
}
