package main

import (
	"context"
	"net/http"
	"sync/atomic"
)

// A chain is the way of requests through one configuration. It knows how many
// are on it: what it leads to may end only when there are none.
type chain struct {
	// Immutable.
	handler http.Handler
	roots   folders
	apps    []string
	stores  []string      // the places of its sessions
	idle    chan struct{} // capacity 1: the last request has left a chain that is not in force

	requests atomic.Int64
	outdated atomic.Bool
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
		select {
		case ch.idle <- struct{}{}:
		default: // it has been told
		}
	}
}

// await waits until the last request has left a chain that is not in force any
// more, or until ctx ends. One goroutine calls it.
func (ch *chain) await(ctx context.Context) {
	ch.outdated.Store(true)
	for ch.requests.Load() > 0 {
		select {
		case <-ch.idle:
		case <-ctx.Done():
			return
		}
	}
}
