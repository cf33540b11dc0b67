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
	// Limit, if not 0, is after how many requests Tired is called, once, with
	// the pool locked: it must not block or call back.
	Limit uint64
	Tired func()
	// Doubted, if not nil, is called when the worker comes to be in doubt, see
	// Suspect: whoever finds out that it lives may Trust it. It must not block.
	Doubted func()

	// Guarded by Pool.mu.
	busy     int
	used     uint64 // when it was given a request last, in requests of the pool
	draining bool
	removed  bool
	doubts   int           // while there are any, it gets no request: see Suspect and Borrow
	losses   uint64        // of connections, as far as Suspect was told
	doubt    *time.Timer   // not nil: it has not been cleared of the last of them
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
	// Wanted, if not nil, is called when a request begins to wait, with the
	// pool locked: it must not block or call back. It is set before the first Acquire.
	Wanted func()

	unused sync.Pool // of *waiter

	mu        sync.Mutex // guards the fields below
	upstreams []*Upstream
	first     *waiter
	last      *waiter
	waiting   int
	busy      int // requests in workers' hands, also of removed ones
	peak      int // the most of waiting and busy together since Look
	clock     uint64
	failing   error
	next      time.Time // while failing: when a worker is started again; zero: not known to be
	closed    bool
	stats     counters
	expiry    *time.Timer // refuses those whose time to wait is over; nil: nobody had a bound yet
	expireAt  time.Time   // when it comes, at the first of their bounds or before it; zero: it does not
}

type counters struct{ served, refused uint64 }

// NewPool returns a pool whose queue holds size requests; 0 means that none waits.
func NewPool(size int) *Pool { return &Pool{size: size} }

// Size returns how many requests may wait.
func (p *Pool) Size() int { return p.size }

// Add makes a worker available.
func (p *Pool) Add(u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing, p.next = nil, time.Time{}
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
	p.refuseHopelessLocked()
	p.dispatchLocked() // who avoided another one may now have no choice
}

// SetFailing says that no worker can be started, why, and when it is tried
// again. With none left to serve, a request whose time to wait is over before
// that is refused with err at once, as all are where next is zero; the others
// wait, and are refused with err when their time is over. Add ends it, or a nil err.
func (p *Pool) SetFailing(err error, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing, p.next = err, next
	p.refuseHopelessLocked()
}

func (p *Pool) refuseHopelessLocked() {
	if p.failing == nil || len(p.upstreams) > 0 {
		return
	}
	for w := p.first; w != nil; {
		next := w.next
		if p.hopelessLocked(w.until) {
			p.refuseLocked(w, p.failing)
		}
		w = next
	}
}

// hopelessLocked reports whether a request that waits until then will get no worker.
func (p *Pool) hopelessLocked(until time.Time) bool {
	return p.failing != nil && len(p.upstreams) == 0 &&
		(p.next.IsZero() || !until.IsZero() && until.Before(p.next))
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
		p.refuseLocked(w, err)
	}
}

func (p *Pool) refuseLocked(w *waiter, err error) {
	p.unlinkLocked(w)
	w.why = err
	p.stats.refused++
	close(w.ready)
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
	if err := p.refusalLocked(turn.Timeout); err != nil {
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
		err := p.excuseLocked(ErrQueueFull)
		p.stats.refused++
		p.mu.Unlock()
		return nil, err
	}
	w := p.newWaiter()
	w.avoid = avoid
	if turn.Timeout > 0 {
		w.until = time.Now().Add(turn.Timeout)
		p.expireByLocked(w.until)
	}
	p.linkLocked(w, front)
	if p.Wanted != nil {
		p.Wanted()
	}
	p.mu.Unlock()
	return p.wait(ctx, w)
}

func (p *Pool) refusalLocked(timeout time.Duration) error {
	if p.closed {
		return ErrPoolClosed
	}
	if p.failing == nil || len(p.upstreams) > 0 {
		return nil
	}
	var until time.Time
	if timeout > 0 {
		until = time.Now().Add(timeout)
	}
	if p.hopelessLocked(until) {
		return p.failing
	}
	return nil
}

// excuseLocked is what a request is refused with that err, a bound of the
// queue, is to end: where there is nobody to serve, the reason for that.
func (p *Pool) excuseLocked(err error) error {
	if p.failing != nil && len(p.upstreams) == 0 {
		return p.failing
	}
	return err
}

// Release gives a worker back.
func (p *Pool) Release(u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.served++
	p.stats.served++
	if u.served == u.Limit && u.Tired != nil {
		u.Tired()
	}
	p.releaseLocked(u)
}

func (p *Pool) releaseLocked(u *Upstream) {
	u.busy--
	p.busy--
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
	p.busy++
	p.peak = max(p.peak, p.busy+p.waiting)
	p.clock++
	u.used = p.clock
}

// freeLocked returns the worker with the least in hand, of those the one that
// was idle longest, so that load and recycling spread evenly.
func (p *Pool) freeLocked(avoid *Upstream) *Upstream {
	var best *Upstream
	for _, u := range p.upstreams {
		switch {
		case u.draining || u.doubts > 0 || u.busy >= u.Capacity:
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
		if o != u && !o.draining && o.doubts == 0 {
			return true
		}
	}
	return false
}
