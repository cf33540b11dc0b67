package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
)

// A Group is the workers of one application. Its methods may be called from
// any goroutine, also while another one is at work, but not from the hooks.
type Group struct {
	// Immutable.
	sup      *Supervisor
	name     string
	changing chan struct{} // holds one token while Replace or Scale is at work
	stopping chan struct{} // closed when Stop begins

	generations atomic.Uint64

	mu      sync.Mutex
	plan    *plan
	slots   map[int]*slot // all whose loop runs, by number
	serving []*slot       // those that are meant to stay; the others are ending or on trial
	stopped bool
	ended   map[Cause]uint64

	templates map[*template]bool // all that run
	living    sync.WaitGroup     // they
}

// A plan is a Spec made ready to be run.
type plan struct {
	spec  *Spec
	turns chan struct{} // a token for each worker that may be starting

	failing series

	// Guarded by the group's mu.
	users    int       // slots that have it
	template *template // nil: none that can be asked for a worker
}

func newPlan(spec Spec) *plan {
	p := &plan{spec: &spec, turns: make(chan struct{}, spec.StartLimit)}
	for range spec.StartLimit {
		p.turns <- struct{}{}
	}
	p.failing.revived = make(chan struct{})
	return p
}

// release gives back a turn to start.
func (p *plan) release() { p.turns <- struct{}{} }

func newGroup(sup *Supervisor, name string) *Group {
	return &Group{
		sup: sup, name: name, slots: map[int]*slot{}, templates: map[*template]bool{},
		changing: make(chan struct{}, 1), stopping: make(chan struct{}),
	}
}

// change waits until no other change is going on. end takes it back.
func (g *Group) change(ctx context.Context) (end func(), err error) {
	select {
	case g.changing <- struct{}{}:
		return func() { <-g.changing }, nil
	case <-g.stopping:
		return nil, fmt.Errorf("app %q: %w", g.name, ErrStopped)
	case <-ctx.Done():
		return nil, fmt.Errorf("app %q: another change is going on: %w", g.name, ctx.Err())
	}
}

// add makes n slots of p, all or none, and lets them run; t may be nil.
func (g *Group) add(p *plan, t *trial, n int) ([]*slot, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.addLocked(p, t, n)
}

// addLocked is add for who holds g.mu.
func (g *Group) addLocked(p *plan, t *trial, n int) ([]*slot, error) {
	if g.stopped {
		return nil, fmt.Errorf("app %q: %w", g.name, ErrStopped)
	}
	var added []*slot
	for number := 0; len(added) < n; number++ {
		if g.slots[number] != nil {
			continue
		}
		var socket *Socket
		if dir := p.spec.SocketDir; dir != "" {
			var err error
			socket, err = listenPrivate(filepath.Join(dir, fmt.Sprintf("%s-%d.sock", g.name, number)))
			if err != nil {
				for _, s := range added {
					s.socket.Close()
				}
				return nil, fmt.Errorf("app %q: %w", g.name, err)
			}
		}
		added = append(added, newSlot(g, p, t, number, socket))
	}
	p.users += n
	for _, s := range added {
		g.slots[s.number] = s
		go s.run() // Group.Stop, Scale or a Change receives its end, from done
	}
	return added, nil
}

// forget takes a slot out whose loop ends.
func (g *Group) forget(s *slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.slots, s.number)
	g.serving = slices.DeleteFunc(g.serving, func(o *slot) bool { return o == s })
	s.plan.users--
	g.outdate(s.plan)
}

// Scale changes how many workers run. More: it returns when the first process
// of each new slot is ready; if one is not, or ctx ends before, all new ones are
// drained and stopped, there are as many as before, and the error is the
// *StartError or ctx's. Fewer: the latest slots are drained and stopped, and it
// returns when they are gone; when ctx ends it returns at once with
// ErrStillStopping, and they go on stopping.
func (g *Group) Scale(ctx context.Context, n int) error {
	if n < 0 || n > maxWorkers {
		return fmt.Errorf("app %q: workers: %d, want 0 to %d", g.name, n, maxWorkers)
	}
	end, err := g.change(ctx)
	if err != nil {
		return err
	}
	added, surplus, err := g.resize(n)
	end() // waiting is no change: the next Scale need not wait for a slow drain
	if err != nil {
		return err
	}
	if err := stopAll(ctx, surplus, ending{cause: CauseScaled, reason: "scaled down"}); err != nil {
		return fmt.Errorf("app %q: %w: %w", g.name, ErrStillStopping, err)
	}
	if err := awaitTried(ctx, added); err != nil {
		g.takeBack(added)
		stopAll(ctx, added, ending{cause: CauseScaled, reason: "not scaled up"})
		return err
	}
	return nil
}

// takeBack has slots not be meant to stay any more.
func (g *Group) takeBack(slots []*slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serving = slices.DeleteFunc(slices.Clone(g.serving), func(s *slot) bool { return slices.Contains(slots, s) })
}

func (g *Group) resize(n int) (added, surplus []*slot, err error) {
	g.mu.Lock()
	have, p := len(g.serving), g.plan
	if n < have {
		surplus = slices.Clone(g.serving[n:])
		g.serving = g.serving[:n:n]
	}
	g.mu.Unlock()
	if n <= have {
		return nil, surplus, nil
	}
	if added, err = g.add(p, nil, n-have); err != nil {
		return nil, nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serving = append(slices.Clip(g.serving), added...)
	return added, nil, nil
}

func awaitTried(ctx context.Context, slots []*slot) error {
	var errs []error
	for _, s := range slots {
		select {
		case <-s.tried:
		case <-ctx.Done():
			return fmt.Errorf("app %q: workers are still starting: %w", s.plan.spec.Name, ctx.Err())
		}
		if err := s.look().LastErr; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// stopAll stops slots in parallel and waits until they are gone or ctx ends.
func stopAll(ctx context.Context, slots []*slot, why ending) error {
	for _, s := range slots {
		s.stop(why)
	}
	return awaitAll(ctx, slots)
}

func awaitAll(ctx context.Context, slots []*slot) error {
	for _, s := range slots {
		select {
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Kill kills w's process group at once. It reports whether it did: false if
// that generation has ended or has been killed already. The next process is
// started at once in its slot, and the kill is no failure that would slow it
// down.
func (g *Group) Kill(w Worker, cause Cause, reason string) bool {
	s := g.slot(w)
	return s != nil && s.order(w.Generation, message{input: inKill, cause: cause, reason: reason})
}

// Dump sends w's process, not its group, SIGQUIT, by which runtimes write
// their stacks to stderr. It is for those that do and live on: most programs
// die of it.
func (g *Group) Dump(w Worker) {
	s := g.slot(w)
	if s == nil {
		return
	}
	s.mu.Lock()
	p, now := s.proc, s.status.Worker.Generation
	s.mu.Unlock()
	if p != nil && now == w.Generation {
		p.dump()
	}
}

func (g *Group) slot(w Worker) *slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.slots[w.Slot]
}

// Workers returns the state of each slot, by number. Slots that are being
// replaced are among them.
func (g *Group) Workers() []Status {
	all := g.all()
	list := make([]Status, len(all))
	for i, s := range all {
		list[i] = s.look()
	}
	return list
}

func (g *Group) all() []*slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedFunc(maps.Values(g.slots), func(a, b *slot) int { return a.number - b.number })
}

// Stop stops the workers in parallel: Stopping event, Drain, TERM to the
// process group, KILL after StopTimeout, and the template last. When ctx ends,
// or when Stop is called once more, what is left is killed at once. It returns
// when all are gone and the sockets removed; the error is ctx's if it came to that.
func (g *Group) Stop(ctx context.Context) error {
	return g.shut(ctx, g.stopBegins())
}

// stopBegins lets no slot be added from now on, and reports whether that was
// so already.
func (g *Group) stopBegins() (again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return true
	}
	g.stopped = true
	close(g.stopping)
	return false
}

func (g *Group) shut(ctx context.Context, force bool) error {
	slots := g.all()
	if force {
		haltAll(slots)
	}
	err := stopAll(ctx, slots, ending{cause: CauseStopped, reason: "stop"})
	if err != nil {
		haltAll(slots)
		err = fmt.Errorf("app %q: stopped by force: %w", g.name, err)
	}
	g.endTemplates(ctx, force)
	g.sup.forget(g)
	return err
}

// haltAll kills what runs in slots and waits until they are gone, which
// lostAfter bounds.
func haltAll(slots []*slot) {
	for _, s := range slots {
		s.halt()
	}
	awaitAll(context.Background(), slots)
}
