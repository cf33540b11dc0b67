package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/metrics"
)

// watchLease is how long requests are counted for somebody who asked for
// rates, beyond the last question.
const watchLease = time.Minute

// A traffic counts requests, while somebody wants to know: always with
// [metrics], else as long as frontd top, or the like, looks on.
type traffic struct {
	set     *metrics.Set
	counted atomic.Bool

	mu     sync.Mutex // guards the fields below
	always bool
	window *metrics.Window
	lease  *time.Timer // nil: nobody has looked on so far
	closed bool
}

func newTraffic() *traffic {
	var causes []string
	for _, c := range front.Causes {
		causes = append(causes, string(c))
	}
	return &traffic{set: metrics.New(causes...)}
}

// keep counts from now on until the end.
func (t *traffic) keep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.always = true
	t.beginLocked()
}

// leave counts as long as somebody looks on, and for a while after now.
func (t *traffic) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.always = false
	if !t.closed {
		t.watchLocked()
	}
}

func (t *traffic) beginLocked() {
	if !t.counted.Load() {
		t.window = metrics.NewWindow(t.set) // what was counted earlier was with a gap
		t.counted.Store(true)
	}
}

// observe is called at each request's end.
func (t *traffic) observe(x *front.Exchange) {
	if !t.counted.Load() {
		return
	}
	r := metrics.Request{
		App: x.App, Status: x.Status, Cause: string(x.Cause), Queued: x.Attempts > 0 || x.Queue > 0, Worked: x.Attempts > 0,
		Queue: x.Queue, Worker: x.WorkerTime, Duration: x.Duration(), BytesIn: x.BytesIn, BytesOut: x.BytesOut,
	}
	t.set.Observe(&r)
}

// rates returns those of the last seconds by application, none while nobody
// has them counted. watched says that the caller will ask again.
func (t *traffic) rates(now time.Time, watched bool) map[string]metrics.Rate {
	t.mu.Lock()
	if watched && !t.closed {
		t.watchLocked()
	}
	window := t.window
	t.mu.Unlock()
	if window == nil {
		return nil
	}
	return window.Rates(now)
}

func (t *traffic) watchLocked() {
	t.beginLocked()
	switch {
	case t.always:
	case t.lease == nil:
		t.lease = time.AfterFunc(watchLease, t.unwatched)
	default:
		t.lease.Reset(watchLease)
	}
}

// unwatched ends the counting that nobody looks at any more.
func (t *traffic) unwatched() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.always {
		t.counted.Store(false)
		t.window = nil
	}
}

// close ends the lease.
func (t *traffic) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.lease != nil {
		t.lease.Stop()
	}
}
