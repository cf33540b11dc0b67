package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/frontd/frontd/incident"
)

// A chain is the way of requests through one configuration. It knows how many
// are on it: what it leads to may end only when there are none.
type chain struct {
	// Immutable.
	handler http.Handler
	roots   folders // open until the last request has left
	apps    []string
	// policies are for errors of its applications that are no request's, by their names.
	policies map[string]*incident.Policy
	idle     chan struct{} // capacity 1: the last request has left a chain that is not in force

	requests atomic.Int64
	outdated atomic.Bool
	ended    sync.Once
}

// enter takes the chain in force for one request, which leaves it at its end.
func (d *daemon) enter() *chain {
	for {
		ch := d.chained.Load()
		ch.requests.Add(1)
		if d.chained.Load() == ch { // else whoever replaced it may have counted before us
			return ch
		}
		ch.leave()
	}
}

func (ch *chain) leave() {
	if ch.requests.Add(-1) == 0 && ch.outdated.Load() {
		ch.left()
	}
}

// retire is for a chain that is not in force any more. Its folders are closed when
// the last request has left it: one that a server which is not ours has in hand may
// outlive any number of reloads, and be answered with a file then.
func (ch *chain) retire() {
	ch.outdated.Store(true)
	if ch.requests.Load() == 0 {
		ch.left()
	}
}

func (ch *chain) left() {
	ch.ended.Do(ch.roots.close)
	select {
	case ch.idle <- struct{}{}:
	default: // it has been told
	}
}

// await waits until the last request has left a chain that is not in force any
// more, or until ctx ends. One goroutine calls it.
func (ch *chain) await(ctx context.Context) {
	ch.retire()
	for ch.requests.Load() > 0 {
		select {
		case <-ch.idle:
		case <-ctx.Done():
			return
		}
	}
}
