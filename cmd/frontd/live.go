package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// liveTimeout is how long the dispatch may keep a probe waiting. Its locks
// are held for microseconds: who does not get them for a second is stuck.
const liveTimeout = time.Second

var errStuck = errors.New("stuck: the dispatch has not answered within a second")

// A liveness runs a check that may never come back, one at a time: probes that
// come while it is stuck do not add to the harm.
type liveness struct {
	check func()

	mu       sync.Mutex    // guards the field below
	answered chan struct{} // of the check under way, or of the last; nil before the first
}

// ask returns nil when the check comes back in time.
func (l *liveness) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	select {
	case <-l.begin():
		return nil
	case <-ctx.Done():
		return errStuck
	}
}

func (l *liveness) begin() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answered != nil {
		select {
		case <-l.answered:
		default:
			return l.answered
		}
	}
	answered := make(chan struct{})
	l.answered = answered
	go func() {
		defer close(answered) // ask receives it
		l.check()
	}()
	return answered
}

// dispatches takes hold of what every request needs: the chain, the
// applications, their queues and workers. It returns at once, or never.
func (d *daemon) dispatches() {
	d.chained.Load()
	for _, a := range d.apps.all() {
		a.report(time.Now())
	}
}
