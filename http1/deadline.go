package http1

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A deadline is one direction's of a connection. The one that is set on the
// connection is never later than the one that is wanted, and often earlier:
// it is moved when it passes, not each time that the other one moves. A
// connection in steady use costs one timer in a long while.
type deadline struct {
	set func(time.Time) error // the connection's

	mu     sync.Mutex // guards the fields below
	want   time.Time  // zero: none
	armed  time.Time  // zero: none
	ending bool       // interrupt was called: whoever waits, returns
}

// by sets the deadline that is wanted; the zero time is none. It may be called
// while another goroutine waits.
func (d *deadline) by(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = t
	if t.IsZero() || !d.armed.IsZero() && !d.armed.After(t) {
		return nil
	}
	d.armed = t
	return d.set(t.Add(benefit))
}

// benefit is what a client gets of the doubt: what arrives at the very moment
// is in time.
const benefit = time.Millisecond

// notAfter moves the deadline that is wanted, but to an earlier time only.
func (d *deadline) notAfter(t time.Time) {
	d.mu.Lock()
	wanted := d.want
	d.mu.Unlock()
	if wanted.IsZero() || wanted.After(t) {
		_ = d.by(t) // it fails on a closed connection, as the read will
	}
}

// early says whether an error is a deadline's that nobody wants any more: it is
// moved, and the caller goes on.
func (d *deadline) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending || !d.want.IsZero() && !time.Now().Before(d.want) {
		return false
	}
	if d.armed = d.want; d.want.IsZero() {
		return d.set(time.Time{}) == nil
	}
	return d.set(d.want.Add(benefit)) == nil
}

// interrupt ends a wait that heeds no deadline, until resume.
func (d *deadline) interrupt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending, d.armed = true, longAgo
	_ = d.set(longAgo) // on a closed connection nobody waits
}

func (d *deadline) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending = false
}

// none lets a wait go on that no deadline bounds, unless it is interrupted.
func (d *deadline) none() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending {
		return false
	}
	d.armed = time.Time{}
	return d.set(time.Time{}) == nil
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)
