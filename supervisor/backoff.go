package supervisor

import (
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
type row struct{ failures int }

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
		if served >= quickExit {
			return 0
		}
		return b.delay(1, random)
	case served >= healthyAge:
		r.failures = 0
	}
	d := b.delay(r.failures, random)
	r.failures++
	return d
}
