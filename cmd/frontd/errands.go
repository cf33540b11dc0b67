package main

import "sync"

// An errands is what runs beside a daemon until it stops. A reload may still be under
// way then, and is not to start what nobody waits for any more.
type errands struct {
	mu      sync.Mutex // guards the field below, and Go beside Wait
	waited  bool
	running sync.WaitGroup
}

// Go runs f beside others, and reports whether it does: not when Wait has begun.
func (e *errands) Go(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.waited {
		e.running.Go(f) // Wait waits for it
	}
	return !e.waited
}

// Wait returns when all have ended.
func (e *errands) Wait() {
	e.mu.Lock()
	e.waited = true
	e.mu.Unlock()
	e.running.Wait()
}
