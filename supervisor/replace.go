package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Replace puts workers of a new spec in the place of the running ones, and
// fails none of their requests: it is Prepare and then Commit.
func (g *Group) Replace(ctx context.Context, spec Spec) error {
	c, err := g.Prepare(ctx, spec)
	if err != nil {
		return err
	}
	return c.Commit(ctx)
}

// A Change is a replacement of a group's workers whose new workers are ready
// and do not serve yet. It ends with Commit or Abort, of which one has to be
// called; until then the group takes no other change.
type Change struct {
	g     *Group
	next  *plan
	trial *trial
	fresh []*slot
	left  int // of the new workers, to be started after the first step
	end   func()
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

// Commit has the new workers serve, then drains and stops the old ones, and
// returns when they are gone. With Surge it goes on in steps of so many: each
// starts when the old ones of the step before are gone. If a later step
// fails, new workers of the old spec take the places that were taken over
// already, and the error says so.
//
// If a new worker has ended since Prepare, it is as if Prepare had failed. When
// ctx ends, the old workers go on stopping, and what was not replaced is as if
// its step had failed.
func (c *Change) Commit(ctx context.Context) error {
	defer c.end()
	g := c.g
	if err := c.trial.takeOver(c.fresh); err != nil {
		return fmt.Errorf("app %q: not replaced, the old workers stay: %w", g.name, err)
	}
	g.mu.Lock()
	before, old := g.plan, g.serving
	g.plan = c.next
	g.mu.Unlock()
	leaving := old
	if c.left > 0 {
		leaving = old[:min(len(c.fresh), len(old))]
	}
	err := g.swap(ctx, leaving, c.fresh)
	for old = old[len(leaving):]; c.left > 0; old = old[len(leaving):] {
		var fresh []*slot
		n := c.step(c.left)
		if err == nil {
			fresh, err = g.more(ctx, c.next, n)
		}
		if err != nil {
			return c.undo(ctx, before, err)
		}
		c.fresh = append(c.fresh, fresh...)
		c.left -= n
		leaving = old
		if c.left > 0 {
			leaving = old[:min(n, len(old))]
		}
		err = g.swap(ctx, leaving, fresh)
	}
	if err != nil {
		return fmt.Errorf("app %q: replaced, old workers are still stopping: %w", g.name, err)
	}
	return nil
}

// more starts n workers beside the others and has them serve.
func (g *Group) more(ctx context.Context, p *plan, n int) ([]*slot, error) {
	fresh, t, err := g.try(ctx, p, n)
	if err != nil {
		return nil, err
	}
	return fresh, t.takeOver(fresh)
}

// swap puts fresh, which serve, in the places of old, and waits until those are gone.
func (g *Group) swap(ctx context.Context, old, fresh []*slot) error {
	g.mu.Lock()
	stay := slices.DeleteFunc(slices.Clone(g.serving), func(s *slot) bool { return slices.Contains(old, s) })
	g.serving = append(stay, fresh...)
	g.mu.Unlock()
	return stopAll(ctx, old, ending{cause: CauseReplaced, reason: "replaced"})
}

// undo goes back to the plan before where new workers already serve.
func (c *Change) undo(ctx context.Context, before *plan, why error) error {
	g := c.g
	g.mu.Lock()
	g.plan = before
	g.mu.Unlock()
	ctx = context.WithoutCancel(ctx) // its end may be why; StartTimeout bounds this
	back, err := g.more(ctx, before, len(c.fresh))
	if err != nil {
		return fmt.Errorf("app %q: replaced in part: %w; going back failed too: %w", g.name, why, err)
	}
	err = g.swap(ctx, c.fresh, back)
	return errors.Join(fmt.Errorf("app %q: not replaced, workers as before serve again: %w", g.name, why), err)
}

// Renew starts a worker in a new slot, waits until it is ready, has it serve,
// and then drains and stops w, for example because it has grown too large. It
// returns when w has been told to stop. If the new one does not come up, w
// stays and the error says why. false: w is not one that is meant to stay, so
// nothing was done.
func (g *Group) Renew(ctx context.Context, w Worker, cause Cause, reason string) (bool, error) {
	s, p := g.staying(w)
	if s == nil {
		return false, nil
	}
	fresh, t, err := g.try(ctx, p, 1)
	if err != nil {
		return false, fmt.Errorf("app %q: %v is not replaced and stays: %w", g.name, w, err)
	}
	if err := t.takeOver(fresh); err != nil {
		return false, fmt.Errorf("app %q: %v is not replaced and stays: %w", g.name, w, err)
	}
	if !g.exchange(s, p, fresh[0]) { // all was replaced meanwhile
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
	s, p := g.staying(w)
	if s == nil {
		return false
	}
	fresh, err := g.add(p, nil, 1)
	if err != nil { // no socket to be had: its own slot starts the next
		return g.Kill(w, cause, reason)
	}
	if !g.exchange(s, p, fresh[0]) {
		fresh[0].stop(ending{cause: CauseReplaced, reason: "replaced"})
		return false
	}
	s.stop(ending{cause: cause, reason: reason, hung: true})
	return true
}

// staying finds the slot of w if it is meant to stay, and the plan in force.
func (g *Group) staying(w Worker) (*slot, *plan) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.slots[w.Slot]
	if s == nil || !slices.Contains(g.serving, s) || s.generation() != w.Generation {
		return nil, nil
	}
	return s, g.plan
}

// exchange puts fresh in the place of s, unless s is not meant to stay any
// more or the plan is another by now.
func (g *Group) exchange(s *slot, p *plan, fresh *slot) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.serving, s)
	if i < 0 || g.plan != p || g.stopped {
		return false
	}
	g.serving[i] = fresh
	return true
}
