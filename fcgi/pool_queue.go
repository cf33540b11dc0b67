package fcgi

import (
	"context"
	"time"
)

// A waiter is a request in the queue, and then another one: a queue that is never
// empty is no reason to allocate.
type waiter struct {
	prev, next *waiter
	ready      chan *Upstream // capacity 1; closed without a value: the pool refuses, see why
	why        error
	avoid      *Upstream
	until      time.Time // zero: no bound
	queued     bool
}

func (p *Pool) wait(ctx context.Context, w *waiter) (*Upstream, error) {
	select {
	case u, ok := <-w.ready:
		if !ok {
			return nil, w.why
		}
		p.recycle(w)
		return u, nil
	case <-ctx.Done():
		return p.leave(w, context.Cause(ctx))
	}
}

func (p *Pool) newWaiter() *waiter {
	if w, ok := p.unused.Get().(*waiter); ok {
		return w
	}
	return &waiter{ready: make(chan *Upstream, 1)}
}

// recycle is for who has left the queue with its channel open and empty.
func (p *Pool) recycle(w *waiter) {
	w.avoid, w.until = nil, time.Time{}
	p.unused.Put(w)
}

// leave takes w out of the queue. A worker that was given to it meanwhile
// goes to the next.
func (p *Pool) leave(w *waiter, err error) (*Upstream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.queued {
		p.unlinkLocked(w)
	} else if u, ok := <-w.ready; ok {
		p.releaseLocked(u)
	} else {
		return nil, err // refused already, and counted
	}
	p.stats.refused++
	p.recycle(w)
	return nil, err
}

// expireByLocked has expire called at the time until, or before. One timer serves
// the whole queue, and is left alone when requests leave it: most get their worker
// long before, and a timer for each of them would cost more than the queue.
func (p *Pool) expireByLocked(until time.Time) {
	if !p.expireAt.IsZero() && !until.Before(p.expireAt) {
		return
	}
	p.expireAt = until
	if p.expiry == nil {
		p.expiry = time.AfterFunc(time.Until(until), p.expire)
		return
	}
	p.expiry.Reset(time.Until(until))
}

// expire refuses those that have waited for as long as they may.
func (p *Pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.expireAt = time.Time{}
	var next time.Time
	for w := p.first; w != nil; {
		after := w.next
		switch {
		case w.until.IsZero():
		case !w.until.After(now):
			p.refuseLocked(w, p.excuseLocked(ErrQueueTimeout))
		case next.IsZero() || w.until.Before(next):
			next = w.until
		}
		w = after
	}
	if !next.IsZero() {
		p.expireByLocked(next)
	}
}

func (p *Pool) linkLocked(w *waiter, front bool) {
	w.queued = true
	p.waiting++
	p.peak = max(p.peak, p.busy+p.waiting)
	switch {
	case p.first == nil:
		p.first, p.last = w, w
	case front:
		w.next, p.first.prev = p.first, w
		p.first = w
	default:
		w.prev, p.last.next = p.last, w
		p.last = w
	}
}

func (p *Pool) unlinkLocked(w *waiter) {
	w.queued = false
	p.waiting--
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		p.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		p.last = w.prev
	}
	w.prev, w.next = nil, nil
}
