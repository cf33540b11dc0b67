package http1

import (
	"context"
	"sync"
	"time"
)

// A reqContext is a request's context: it ends when the client leaves or the
// handler returns. What nobody asks for, it does not make.
type reqContext struct {
	c *conn

	mu    sync.Mutex // guards the fields below
	done  chan struct{}
	err   error
	after map[*int]func() // to be started at the end, by keys that are theirs alone
}

// Deadline implements context.Context: there is none.
func (c *reqContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *reqContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *reqContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// AfterFunc is what package context looks for in a foreign context, so as to
// derive from it without a goroutine.
func (c *reqContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		// Its end is its own: the caller's function, as context.AfterFunc has it.
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*int]func())
	}
	key := new(int)
	c.after[key] = f
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waits := c.after[key]
		delete(c.after, key)
		return waits
	}
}

// cancel ends the context.
func (c *reqContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = context.Canceled
	if c.done != nil {
		close(c.done)
	}
	for _, f := range c.after {
		go f()
		// Its end is its own, as above.
	}
	c.after = nil
}
