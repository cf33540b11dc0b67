package supervisor

import (
	"context"
	"sync"
)

// A trial is the time in which new workers have to prove themselves: the
// first that ends spoils it for all, and none serves before all have.
type trial struct {
	spoiled chan struct{} // closed with err
	passed  chan struct{} // closed by pass

	mu   sync.Mutex
	err  error
	over bool // stood
}

func newTrial() *trial {
	return &trial{spoiled: make(chan struct{}), passed: make(chan struct{})}
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

// pending returns the channel that tells of the trial's end, nil if there is
// no trial that goes on.
func (t *trial) pending() <-chan struct{} {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil
	}
	return t.passed
}

// pass ends the trials of several changes, of all or of none. After it returned
// true, a worker that ends is followed by another; before, it is not, and the
// trial's err says why it ended.
func pass(trials []*trial) bool {
	stood := true
	for _, t := range trials {
		t.mu.Lock()
		defer t.mu.Unlock()
		stood = stood && t.err == nil
	}
	for _, t := range trials {
		if stood && !t.over {
			t.over = true
			close(t.passed)
		}
	}
	return stood
}

// spoilt says why a trial was not stood.
func (t *trial) spoilt() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// try starts n slots of p and waits until all of them have proved themselves.
// If one does not, all are killed, and the error says what became of it.
func (g *Group) try(ctx context.Context, p *plan, n int) ([]*slot, *trial, error) {
	t := newTrial()
	fresh, err := g.add(p, t, n)
	if err != nil {
		return nil, nil, err
	}
	if err := g.await(ctx, t, fresh); err != nil {
		haltAll(fresh)
		return nil, nil, err
	}
	return fresh, t, nil
}

func (g *Group) await(ctx context.Context, t *trial, fresh []*slot) error {
	for _, s := range fresh {
		select {
		case <-s.tried:
		case <-t.spoiled:
		case <-g.stopping:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return t.spoilt()
}

// takeOver lets those that have stood their trial serve, and returns when
// they are known to. If one has ended meanwhile, all are killed.
func (t *trial) takeOver(fresh []*slot) error {
	if !pass([]*trial{t}) {
		haltAll(fresh)
		return t.spoilt()
	}
	awaitTaken(fresh)
	return nil
}

func awaitTaken(fresh []*slot) {
	for _, s := range fresh {
		<-s.taken
	}
}
