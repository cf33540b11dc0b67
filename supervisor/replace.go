package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrStillStopping is what a change returns that is in force, although workers
// from before it are still at their last requests when its ctx ends.
var ErrStillStopping = errors.New("in force, but old workers are still stopping")

// Replace puts workers of a new spec in the place of the running ones, and
// fails none of their requests: it is Prepare, TakeOver and Finish.
func (g *Group) Replace(ctx context.Context, spec Spec) error {
	c, err := g.Prepare(ctx, spec)
	if err != nil {
		return err
	}
	if err := c.TakeOver(); err != nil {
		return err
	}
	return c.Finish(ctx)
}

// A Change is a replacement of a group's workers whose new workers are ready
// and do not serve yet. It ends with Abort, or with TakeOver and, where that
// went well, Finish; until then the group takes no other change.
type Change struct {
	g     *Group
	next  *plan
	trial *trial
	fresh []*slot
	left  int // of the new workers, to be started after the first step
	end   func()

	before *plan // since TakeOver
}

// Prepare starts the workers of a new spec, in slots and on sockets of their
// own, beside those that run: all of them, so that for a while there are twice
// as many processes, or Surge. It returns when they are ready.
//
// If one of them does not become ready, or ends before all are, all new ones
// are killed, the old ones stay as if nothing had been asked, and the error is
// a *StartError with the worker's own last lines. The same happens, with
// another error, when ctx ends or Stop is called. spec.Name must be the group's.
func (g *Group) Prepare(ctx context.Context, spec Spec) (*Change, error) {
	spec, err := spec.normalized()
	if err != nil {
		return nil, err
	}
	if spec.Name != g.name {
		return nil, fmt.Errorf("app %q: cannot be replaced by %q", g.name, spec.Name)
	}
	if err := g.sup.preflight(&spec); err != nil {
		return nil, err
	}
	// A listener that workers share already keeps the mode they gave it.
	g.mu.Lock()
	shared := g.plan.spec.Listener
	g.mu.Unlock()
	if spec.Listener != shared {
		if err := setBlocking(spec.Listener); err != nil {
			return nil, fmt.Errorf("app %q: %w", g.name, err)
		}
	}
	end, err := g.change(ctx)
	if err != nil {
		return nil, err
	}
	c := &Change{g: g, next: newPlan(spec), end: end}
	step := c.step(spec.Workers)
	if c.fresh, c.trial, err = g.try(ctx, c.next, step); err != nil {
		end()
		return nil, fmt.Errorf("app %q: not replaced, the old workers stay: %w", g.name, err)
	}
	c.left = spec.Workers - step
	return c, nil
}

// step is how many of n new workers start at once.
func (c *Change) step(n int) int {
	if surge := c.next.spec.Surge; surge > 0 {
		return min(n, surge)
	}
	return n
}

// Abort kills the new workers. The old ones stay.
func (c *Change) Abort() {
	defer c.end()
	haltAll(c.fresh)
}

// TakeOver has the new workers serve, beside the old ones. If one has ended
// since Prepare it is as if Prepare had failed, and the Change has ended.
func (c *Change) TakeOver() error {
	err := TakeOver(c)
	if err != nil {
		c.Abort()
	}
	return err
}

// TakeOver has the new workers of several changes serve, each beside the old
// ones of its group: of all, or of none if one has ended since Prepare. What has
// not taken over is still to be aborted.
func TakeOver(changes ...*Change) error {
	trials := make([]*trial, len(changes))
	for i, c := range changes {
		trials[i] = c.trial
	}
	if !pass(trials) {
		var errs []error
		for _, c := range changes {
			if err := c.trial.spoilt(); err != nil {
				errs = append(errs, fmt.Errorf("app %q: not replaced, the old workers stay: %w", c.g.name, err))
			}
		}
		return errors.Join(errs...)
	}
	for _, c := range changes {
		c.takeOver()
	}
	return nil
}

// takeOver is for a trial that was stood.
func (c *Change) takeOver() {
	g := c.g
	awaitTaken(c.fresh)
	g.mu.Lock()
	defer g.mu.Unlock()
	c.before, g.plan = g.plan, c.next
	g.outdate(c.before) // it may have had no workers
	g.serving = append(slices.Clip(g.serving), c.fresh...)
}

// leave has as many old ones go as new ones have taken over, all of them if
// those were the last, and waits until they are gone.
func (c *Change) leave(ctx context.Context, n int) error {
	if c.left == 0 {
		n = maxWorkers
	}
	return c.g.leave(ctx, n, func(s *slot) bool { return s.plan != c.next })
}

// Finish drains and stops the old workers, and returns when they are gone.
// With Surge it goes on in steps of so many: each starts when the old ones of
// the step before are gone. If a later step fails, new workers of the old spec
// take the places that were taken over already, and the error says so. When
// ctx ends, the old workers go on stopping, and a step that was not made is
// one that failed.
func (c *Change) Finish(ctx context.Context) error {
	defer c.end()
	g := c.g
	err := c.leave(ctx, len(c.fresh))
	for c.left > 0 {
		var fresh []*slot
		n := c.step(c.left)
		if err == nil {
			fresh, err = g.more(ctx, c.next, n)
		}
		if err != nil {
			return c.undo(ctx, err)
		}
		c.fresh = append(c.fresh, fresh...)
		c.left -= n
		err = c.leave(ctx, n)
	}
	if err != nil {
		return fmt.Errorf("app %q: %w: %w", g.name, ErrStillStopping, err)
	}
	return nil
}

// more starts n workers beside the others and has them serve.
func (g *Group) more(ctx context.Context, p *plan, n int) ([]*slot, error) {
	fresh, t, err := g.try(ctx, p, n)
	if err != nil {
		return nil, err
	}
	if err := t.takeOver(fresh); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serving = append(slices.Clip(g.serving), fresh...)
	return fresh, nil
}

// leave has at most n of those go that are old, and waits until they are gone.
func (g *Group) leave(ctx context.Context, n int, isOld func(*slot) bool) error {
	g.mu.Lock()
	var old, stay []*slot
	for _, s := range g.serving {
		if len(old) < n && isOld(s) {
			old = append(old, s)
		} else {
			stay = append(stay, s)
		}
	}
	g.serving = stay
	g.mu.Unlock()
	return stopAll(ctx, old, ending{cause: CauseReplaced, reason: "replaced"})
}

// undo goes back to the plan before where new workers already serve.
func (c *Change) undo(ctx context.Context, why error) error {
	g := c.g
	g.mu.Lock()
	g.plan = c.before
	g.mu.Unlock()
	ctx = context.WithoutCancel(ctx) // its end may be why; StartTimeout bounds this
	_, err := g.more(ctx, c.before, len(c.fresh))
	if err != nil {
		return fmt.Errorf("app %q: replaced in part: %w; going back failed too: %w", g.name, why, err)
	}
	err = g.leave(ctx, maxWorkers, func(s *slot) bool { return s.plan == c.next })
	return errors.Join(fmt.Errorf("app %q: not replaced, workers as before serve again: %w", g.name, why), err)
}

// Renew starts a worker in a new slot, waits until it is ready, has it serve,
// and then drains and stops w, for example because it has grown too large. It
// returns when w has been told to stop. If the new one does not come up, w
// stays and the error says why. false: w is not one that is meant to stay, so
// nothing was done.
func (g *Group) Renew(ctx context.Context, w Worker, cause Cause, reason string) (bool, error) {
	s := g.staying(w)
	if s == nil {
		return false, nil
	}
	fresh, t, err := g.try(ctx, s.plan, 1)
	if err != nil {
		return false, fmt.Errorf("app %q: %v is not replaced and stays: %w", g.name, w, err)
	}
	if err := t.takeOver(fresh); err != nil {
		return false, fmt.Errorf("app %q: %v is not replaced and stays: %w", g.name, w, err)
	}
	if !g.exchange(s, fresh[0]) { // all was replaced meanwhile
		return false, stopAll(ctx, fresh, ending{cause: CauseReplaced, reason: "replaced"})
	}
	s.stop(ending{cause: cause, reason: reason})
	return true, nil
}

// Evict takes w out of service for good: another worker starts in a new slot
// at once, and w is drained, told to stop, and killed soon after: it is for
// one that holds a request which will not end. It reports whether it did:
// false if w is not one that is meant to stay.
func (g *Group) Evict(w Worker, cause Cause, reason string) bool {
	s := g.staying(w)
	if s == nil {
		return false
	}
	fresh, err := g.add(s.plan, nil, 1)
	if err != nil { // no socket to be had: its own slot starts the next
		return g.Kill(w, cause, reason)
	}
	if !g.exchange(s, fresh[0]) {
		fresh[0].stop(ending{cause: CauseReplaced, reason: "replaced"})
		return false
	}
	s.stop(ending{cause: cause, reason: reason, hung: true})
	return true
}

// staying finds the slot of w if it is meant to stay.
func (g *Group) staying(w Worker) *slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.slots[w.Slot]
	if s == nil || !slices.Contains(g.serving, s) || s.generation() != w.Generation {
		return nil
	}
	return s
}

// exchange puts fresh, of the same plan, in the place of s, unless s is not
// meant to stay any more.
func (g *Group) exchange(s, fresh *slot) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.serving, s)
	if i < 0 || g.stopped {
		return false
	}
	g.serving = slices.Clone(g.serving)
	g.serving[i] = fresh
	return true
}
