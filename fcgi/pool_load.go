package fcgi

import "time"

// doubtful is for how long a worker that has lost a connection gets no
// request, unless it is known to live or to be gone before: its socket outlives
// it, so that what is sent there reaches its successor, which may not be ready.
const doubtful = 250 * time.Millisecond

// Suspect says that u may have died: its connection was lost. It gets no
// request for a moment, unless it is trusted before. A death is told by Remove.
func (p *Pool) Suspect(u *Upstream) {
	p.mu.Lock()
	if u.removed || u.draining {
		p.mu.Unlock()
		return
	}
	u.losses++
	loss, known := u.losses, u.doubt != nil
	if known {
		u.doubt.Stop()
	} else {
		u.doubts++
	}
	u.doubt = time.AfterFunc(doubtful, func() { p.Trust(u, loss) })
	p.mu.Unlock()
	if !known && u.Doubted != nil {
		u.Doubted()
	}
}

// Loss returns the number of the lost connection for which u is in doubt, 0 if
// it is not.
func (p *Pool) Loss(u *Upstream) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u.doubt == nil || u.removed {
		return 0
	}
	return u.losses
}

// Trust says that u was seen to live after it had lost a connection, the one
// with the number that Loss has returned: it gets requests again. Of one that was lost
// since, this says nothing.
func (p *Pool) Trust(u *Upstream, loss uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u.doubt == nil || u.losses != loss {
		return
	}
	u.doubt.Stop()
	u.doubt = nil
	u.doubts--
	p.dispatchLocked()
}

// Retire gives u no further request. What it has in hand goes on.
func (p *Pool) Retire(u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.draining = true
	p.dispatchLocked() // who avoided another one may now have no choice
}

// Borrow takes u out of the dispatch if it has nothing in hand, until Return,
// and reports whether it did.
func (p *Pool) Borrow(u *Upstream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u.busy > 0 || u.draining || u.removed || u.doubts > 0 {
		return false
	}
	u.doubts++
	return true
}

// Return gives u back.
func (p *Pool) Return(u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.doubts--
	p.dispatchLocked()
}

// Waiting returns how many requests are in the queue.
func (p *Pool) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// A Load is what a Pool has to do at a moment.
type Load struct {
	Waiting int // requests in the queue
	Busy    int // requests in workers' hands
	Peak    int // the most of both together since the last Look
	Workers []Occupied
}

// An Occupied is a worker of a Pool, and what it has to do.
type Occupied struct {
	*Upstream
	Busy     int
	Served   uint64
	Used     uint64 // when it was given a request last: higher is later
	Draining bool
}

// Look returns what there is to do, and begins a new peak.
func (p *Pool) Look() Load {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Load{Waiting: p.waiting, Busy: p.busy, Peak: p.peak, Workers: make([]Occupied, 0, len(p.upstreams))}
	p.peak = p.busy + p.waiting
	for _, u := range p.upstreams {
		l.Workers = append(l.Workers, Occupied{u, u.busy, u.served, u.used, u.draining})
	}
	return l
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

// Served returns how many requests an upstream has given back.
func (p *Pool) Served(u *Upstream) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return u.served
}
