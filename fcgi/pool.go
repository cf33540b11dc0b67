package fcgi

import (
	"context"
	"errors"
	"sync"
	"time"
)

// What a Pool refuses with.
var (
	ErrQueueFull    = errors.New("fcgi: the application's queue is full")
	ErrQueueTimeout = errors.New("fcgi: no worker was free in time")
	ErrPoolClosed   = errors.New("fcgi: the application is stopping")
)

// An Upstream is one worker process as the dispatcher sees it.
type Upstream struct {
	// Immutable.
	Transport *Transport
	Capacity  int    // requests at once
	Name      string // for logs: application and slot
	PID       int    // 0 where the process is not ours
	// Kill, if not nil, ends the process of a request that took too long.
	Kill func(reason string)

	// Guarded by Pool.mu.
	busy     int
	used     uint64 // when it was given a request last, in requests of the pool
	draining bool
	removed  bool
	idle     chan struct{} // not nil: closed when busy comes to 0
	served   uint64
}

// A Pool dispatches the requests of one application to its workers: one
// bounded queue in order of arrival, and to no worker more at once than it
// can serve. It knows nothing of processes: workers come with Add, when they
// are ready, and go with Drain and Remove.
type Pool struct {
	// Immutable.
	size int // requests that may wait

	mu        sync.Mutex // guards the fields below
	upstreams []*Upstream
	first     *waiter
	last      *waiter
	waiting   int
	clock     uint64
	failing   error
	closed    bool
	stats     counters
}

type counters struct{ served, refused uint64 }

// A waiter is a request in the queue.
type waiter struct {
	prev, next *waiter
	ready      chan *Upstream // capacity 1; closed without a value: the pool refuses, see why
	why        error
	avoid      *Upstream
	queued     bool
}

// NewPool returns a pool whose queue holds size requests; 0 means that none waits.
func NewPool(size int) *Pool { return &Pool{size: size} }

// Size returns how many requests may wait.
func (p *Pool) Size() int { return p.size }

// Add makes a worker available.
func (p *Pool) Add(u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = nil
	p.upstreams = append(p.upstreams, u)
	p.dispatchLocked()
}

// Drain gives u no further request and returns when it has none in hand, or
// when ctx ends.
func (p *Pool) Drain(ctx context.Context, u *Upstream) error {
	p.mu.Lock()
	u.draining = true
	p.dispatchLocked() // as in Remove
	if u.busy == 0 || u.removed {
		p.mu.Unlock()
		return nil
	}
	if u.idle == nil {
		u.idle = make(chan struct{})
	}
	idle := u.idle
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Remove takes a worker out whose process is gone.
func (p *Pool) Remove(u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.removed = true
	for i, o := range p.upstreams {
		if o == u {
			p.upstreams = append(p.upstreams[:i], p.upstreams[i+1:]...)
			break
		}
	}
	u.wakeIdleLocked()
	if p.failing != nil && len(p.upstreams) == 0 {
		p.refuseAllLocked(p.failing)
	}
	p.dispatchLocked() // who avoided another one may now have no choice
}

// SetFailing says that no worker can be started, and why: with none left to
// serve, requests are refused with err at once. Add ends it.
func (p *Pool) SetFailing(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = err
	if len(p.upstreams) == 0 {
		p.refuseAllLocked(err)
	}
}

// Close refuses every request that waits or comes.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.refuseAllLocked(ErrPoolClosed)
}

func (p *Pool) refuseAllLocked(err error) {
	for w := p.first; w != nil; w = p.first {
		p.unlinkLocked(w)
		w.why = err
		p.stats.refused++
		close(w.ready)
	}
}

// A Turn says how a request waits for a worker.
type Turn struct {
	Timeout time.Duration // for how long; 0: no bound
	// Lost, if not nil, is the worker that just lost this request: it is
	// taken only if there is no other, and the request, which has waited
	// already, goes before those that wait.
	Lost *Upstream
}

// Acquire waits for a worker: ErrQueueFull, ErrQueueTimeout, ErrPoolClosed,
// the error given to SetFailing, or the cause of ctx's end where there is
// none to be had. The caller gives the worker back with Release.
func (p *Pool) Acquire(ctx context.Context, turn Turn) (*Upstream, error) {
	avoid, front := turn.Lost, turn.Lost != nil
	p.mu.Lock()
	if err := p.refusalLocked(); err != nil {
		p.stats.refused++
		p.mu.Unlock()
		return nil, err
	}
	if p.first == nil || front || p.freeLocked(nil) != nil {
		if u := p.freeLocked(avoid); u != nil {
			p.takeLocked(u)
			p.mu.Unlock()
			return u, nil
		}
	}
	if p.waiting >= p.size && !front {
		p.stats.refused++
		p.mu.Unlock()
		return nil, ErrQueueFull
	}
	w := &waiter{ready: make(chan *Upstream, 1), avoid: avoid}
	p.linkLocked(w, front)
	p.mu.Unlock()
	return p.wait(ctx, w, turn.Timeout)
}

func (p *Pool) refusalLocked() error {
	switch {
	case p.closed:
		return ErrPoolClosed
	case p.failing != nil && len(p.upstreams) == 0:
		return p.failing
	}
	return nil
}

func (p *Pool) wait(ctx context.Context, w *waiter, timeout time.Duration) (*Upstream, error) {
	var expired <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		expired = t.C
	}
	select {
	case u, ok := <-w.ready:
		if !ok {
			return nil, w.why
		}
		return u, nil
	case <-ctx.Done():
		return p.leave(w, context.Cause(ctx))
	case <-expired:
		return p.leave(w, ErrQueueTimeout)
	}
}

// leave takes w out of the queue. A worker that was given to it meanwhile
// goes to the next.
func (p *Pool) leave(w *waiter, err error) (*Upstream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.refused++
	if w.queued {
		p.unlinkLocked(w)
		return nil, err
	}
	if u, ok := <-w.ready; ok {
		p.releaseLocked(u)
	}
	return nil, err
}

// Release gives a worker back.
func (p *Pool) Release(u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.served++
	p.stats.served++
	p.releaseLocked(u)
}

func (p *Pool) releaseLocked(u *Upstream) {
	u.busy--
	if u.busy == 0 {
		u.wakeIdleLocked()
	}
	p.dispatchLocked()
}

func (u *Upstream) wakeIdleLocked() {
	if u.idle != nil {
		close(u.idle)
		u.idle = nil
	}
}

// dispatchLocked gives free workers to those that wait, in order.
func (p *Pool) dispatchLocked() {
	for w := p.first; w != nil; {
		next := w.next
		u := p.freeLocked(w.avoid)
		switch {
		case u != nil:
			p.takeLocked(u)
			p.unlinkLocked(w)
			w.ready <- u
		case p.freeLocked(nil) == nil:
			return
		}
		w = next // past one that only its own choice holds up
	}
}

func (p *Pool) takeLocked(u *Upstream) {
	u.busy++
	p.clock++
	u.used = p.clock
}

// freeLocked returns the worker with the least in hand, of those the one that
// was idle longest, so that load and recycling spread evenly.
func (p *Pool) freeLocked(avoid *Upstream) *Upstream {
	var best *Upstream
	for _, u := range p.upstreams {
		switch {
		case u.draining || u.busy >= u.Capacity:
		case u == avoid && p.othersLocked(avoid):
		case best == nil || u.busy < best.busy || u.busy == best.busy && u.used < best.used:
			best = u
		}
	}
	return best
}

// othersLocked reports whether a worker other than u takes requests.
func (p *Pool) othersLocked(u *Upstream) bool {
	for _, o := range p.upstreams {
		if o != u && !o.draining {
			return true
		}
	}
	return false
}

func (p *Pool) linkLocked(w *waiter, front bool) {
	w.queued = true
	p.waiting++
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

// PoolStats are a moment's numbers of a Pool.
type PoolStats struct {
	Workers int    // that take requests
	Busy    int    // requests in workers' hands
	Waiting int    // requests in the queue
	Served  uint64 // requests given back by workers
	Refused uint64 // requests that got no worker
	Failing error  // why no worker can be started, or nil
}

// Stats returns the numbers of this moment.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PoolStats{Waiting: p.waiting, Served: p.stats.served, Refused: p.stats.refused, Failing: p.failing}
	for _, u := range p.upstreams {
		if !u.draining {
			s.Workers++
		}
		s.Busy += u.busy
	}
	return s
}

// UpstreamStats returns how many requests u has in hand and has served.
func (p *Pool) UpstreamStats(u *Upstream) (busy int, served uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return u.busy, u.served
}
