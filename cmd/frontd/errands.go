package main

import "sync"

// An errands is what runs beside a daemon, or a keeper, until that stops. A reload may
// still be under way then, and is not to start what nobody waits for any more.
type errands struct {
	mu      sync.Mutex // guards the field below, and Go beside Wait
	ended   bool
	running sync.WaitGroup
}

// Go runs f beside others, and reports whether it does: not after end, or when Wait has begun.
func (e *errands) Go(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		e.running.Go(f) // Wait waits for it
	}
	return !e.ended
}

// end has nothing start any more.
func (e *errands) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}

// Wait returns when all have ended.
func (e *errands) Wait() {
	e.end()
	e.running.Wait()
}
