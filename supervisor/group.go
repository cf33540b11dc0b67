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
	serving []*slot       // those that are meant to stay, by number; the others are ending or on trial
	stopped bool
}

// A plan is a Spec made ready to be run.
type plan struct {
	spec  *Spec
	turns chan struct{} // a token for each worker that may be starting
	trial *trial        // nil: none
}

func newPlan(spec Spec) *plan {
	p := &plan{spec: &spec, turns: make(chan struct{}, spec.StartLimit)}
	for range spec.StartLimit {
		p.turns <- struct{}{}
	}
	return p
}

// release gives back a turn to start.
func (p *plan) release() { p.turns <- struct{}{} }

// A trial is the time in which new workers have to prove themselves: the
// first that ends spoils it for all.
type trial struct {
	spoiled chan struct{} // closed with err

	mu   sync.Mutex
	err  error
	over bool // stood
}

// failed reports whether the trial still goes on, and if so spoils it.
func (t *trial) failed(why error) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over && t.err == nil {
		t.err = why
		close(t.spoiled)
	}
	return !t.over
}

// pass ends the trial. After it returned nil, a worker that ends is followed
// by another; before, it is not, and pass returns why it ended.
func (t *trial) pass() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = t.err == nil
	return t.err
}

func newGroup(sup *Supervisor, name string) *Group {
	return &Group{
		sup: sup, name: name, slots: map[int]*slot{},
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

// add makes n slots of p, all or none, and lets them run.
func (g *Group) add(p *plan, n int) ([]*slot, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
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
		added = append(added, newSlot(g, p, number, socket))
	}
	for _, s := range added {
		g.slots[s.number] = s
		go s.run() // Group.Stop, Scale or Replace receives its end, from done
	}
	return added, nil
}

// forget takes a slot out whose loop ends.
func (g *Group) forget(s *slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.slots, s.number)
	g.serving = slices.DeleteFunc(g.serving, func(o *slot) bool { return o == s })
}

// Replace puts workers of a new spec in the place of the running ones, and
// fails none of their requests. The new ones start in slots and on sockets of
// their own, beside the old ones, so for a while there are twice as many
// processes. Once all of them are ready, the old ones are drained and
// stopped. Replace returns when they are gone.
//
// If one of the new ones does not become ready, or ends before all are ready,
// all new ones are killed, the old ones stay as if nothing had been asked, and
// the error is a *StartError with the worker's own last lines. The same
// happens, with another error, when ctx ends or Stop is called before that
// point; when ctx ends after it, the old ones go on stopping and the error
// says so. spec.Name must be the group's.
func (g *Group) Replace(ctx context.Context, spec Spec) error {
	spec, err := spec.normalized()
	if err != nil {
		return err
	}
	if spec.Name != g.name {
		return fmt.Errorf("app %q: cannot be replaced by %q", g.name, spec.Name)
	}
	// A listener that workers share already keeps the mode they gave it.
	g.mu.Lock()
	shared := g.plan.spec.Listener
	g.mu.Unlock()
	if spec.Listener != shared {
		if err := setBlocking(spec.Listener); err != nil {
			return fmt.Errorf("app %q: %w", g.name, err)
		}
	}
	end, err := g.change(ctx)
	if err != nil {
		return err
	}
	defer end()

	p := newPlan(spec)
	p.trial = &trial{spoiled: make(chan struct{})}
	fresh, err := g.add(p, spec.Workers)
	if err != nil {
		return err
	}
	if err := g.try(ctx, p, fresh); err != nil {
		haltAll(fresh)
		return fmt.Errorf("app %q: not replaced, the old workers stay: %w", g.name, err)
	}
	g.mu.Lock()
	old := g.serving
	g.plan, g.serving = p, fresh
	g.mu.Unlock()
	if err := stopAll(ctx, old); err != nil {
		return fmt.Errorf("app %q: replaced, old workers are still stopping: %w", g.name, err)
	}
	return nil
}

// try waits until all of the new slots are ready.
func (g *Group) try(ctx context.Context, p *plan, fresh []*slot) error {
	for _, s := range fresh {
		select {
		case <-s.tried:
		case <-p.trial.spoiled:
		case <-g.stopping:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.trial.pass()
}

// Scale changes how many workers run. More: it returns when the first process
// of each new slot is ready; if one is not, the error is its *StartError, and
// the slot keeps trying. Fewer: the latest slots are drained and stopped, and
// it returns when they are gone. When ctx ends it returns at once, and what
// it began goes on.
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
	if err := stopAll(ctx, surplus); err != nil {
		return fmt.Errorf("app %q: workers are still stopping: %w", g.name, err)
	}
	return awaitTried(ctx, added)
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
	if added, err = g.add(p, n-have); err != nil {
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
func stopAll(ctx context.Context, slots []*slot) error {
	for _, s := range slots {
		s.stop()
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

// Kill kills w's process group at once, for example because a request takes
// too long. It reports whether it did: false if that generation has ended or
// has been killed already. The next process is started at once, and the kill
// is no failure that would slow it down.
func (g *Group) Kill(w Worker, reason string) bool {
	return g.order(w, message{input: inKill, reason: reason})
}

// Recycle drains and stops w, and starts the next process in its slot, for
// example because it has grown too large. It reports whether it did: false if
// that generation has ended or is stopping already.
func (g *Group) Recycle(w Worker, reason string) bool {
	return g.order(w, message{input: inRecycle, reason: "recycle: " + reason})
}

func (g *Group) order(w Worker, m message) bool {
	g.mu.Lock()
	s := g.slots[w.Slot]
	g.mu.Unlock()
	return s != nil && s.order(w.Generation, m)
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
// process group, KILL after StopTimeout. When ctx ends, or when Stop is called
// once more, what is left is killed at once. It returns when all are gone and
// the sockets removed; the error is ctx's if it came to that.
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
	err := stopAll(ctx, slots)
	if err != nil {
		haltAll(slots)
		err = fmt.Errorf("app %q: stopped by force: %w", g.name, err)
	}
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
