package supervisor

import (
	"sync"
	"syscall"
	"time"
)

// A Backoff bounds how fast a failing worker is started again. The first
// restart after a failure is immediate, the n-th in a row comes after
// Min·2^(n-2), at most Max, minus up to Jitter of it. With the defaults a
// program that always fails at once is started 12 or 13 times in its first
// minute, and one that has been repaired is noticed within Max.
type Backoff struct {
	Min    time.Duration // 0: 100 ms
	Max    time.Duration // 0: 15 s
	Jitter float64       // share of a delay that chance may take off, 0 to 1; 0: 0.2, negative: none
}

const (
	defaultBackoffMin    = 100 * time.Millisecond
	defaultBackoffMax    = 15 * time.Second
	defaultBackoffJitter = 0.2

	// healthyAge is how long a worker must have served for its failure to
	// start a new row.
	healthyAge = 10 * time.Second

	// quickExit is the age below which exit status 0 counts as a failure:
	// FastCGI §7 lets a worker end as it likes, not several times a second.
	quickExit = time.Second
)

func (b Backoff) normalized() Backoff {
	if b.Min <= 0 {
		b.Min = defaultBackoffMin
	}
	if b.Max <= 0 {
		b.Max = defaultBackoffMax
	}
	b.Max = max(b.Max, b.Min)
	switch {
	case b.Jitter == 0:
		b.Jitter = defaultBackoffJitter
	case b.Jitter < 0:
		b.Jitter = 0
	}
	b.Jitter = min(b.Jitter, 1)
	return b
}

// delay returns the pause before the restart after the given number of
// earlier failures in a row. random is in [0, 1).
func (b Backoff) delay(failures int, random float64) time.Duration {
	if failures == 0 {
		return 0
	}
	d := b.Min
	for range failures - 1 {
		if d >= b.Max/2 {
			d = b.Max
			break
		}
		d *= 2
	}
	return d - time.Duration(float64(d)*b.Jitter*random)
}

// A row counts failures that follow each other closely.
type row struct {
	failures int
	killed   bool // the last one was killed, by somebody else, soon after it came up
}

// next takes the end of a process, nil if none could be started, and returns
// how long to wait before the next start. An end that was asked for is neither
// a failure nor a recovery and does not come here.
func (r *row) next(b Backoff, exit *Exit, served time.Duration, random float64) time.Duration {
	switch {
	case exit != nil && exit.OK() && exit.Age >= quickExit:
		return 0 // as intended
	case exit != nil && exit.Ready && exit.Signal == syscall.SIGKILL && !exit.OOM:
		// Somebody's kill -9 says nothing of the program, however often it
		// comes: pauses that grow would take the application down for it.
		again := r.killed
		if r.killed = served < quickExit; r.killed && again {
			return b.delay(1, random)
		}
		return 0
	case served >= healthyAge:
		r.failures = 0
	}
	d := b.delay(r.failures, random)
	r.failures++
	return d
}

// A series is the starts that fail in one plan, of whatever slot. What one
// worker cannot do its brothers mostly cannot either: as long as none comes up
// they try one after the other, with pauses as for a single one, so that a
// group of fifty fails no more often in a minute than a group of one. The first
// that comes up wakes all.
type series struct {
	mu      sync.Mutex // guards the fields below
	row     row
	until   time.Time     // when the last of those that wait tries again
	revived chan struct{} // closed by end
}

// next takes a start that failed, and returns how long its slot waits, unless
// the channel is closed before.
func (s *series) next(b Backoff, exit *Exit, random float64) (time.Duration, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.until.Before(now) {
		s.until = now
	}
	s.until = s.until.Add(s.row.next(b, exit, 0, random))
	return s.until.Sub(now), s.revived
}

// end is told that a worker has come up.
func (s *series) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.row.failures == 0 {
		return
	}
	s.row, s.until = row{}, time.Time{}
	close(s.revived)
	s.revived = make(chan struct{})
}
