// Package elastic decides how many workers an application has at a moment. It
// is one pure function: what is known goes in, what to do comes out, and the
// clock is an argument.
package elastic

import (
	"slices"
	"time"
)

// Bounds are what the configuration says.
type Bounds struct {
	Min, Max int
	Spare    int           // idle workers wanted beside those at work, while there is work
	Idle     time.Duration // how long fewer must have been enough before one goes
	Places   int           // requests a worker takes at once, at least 1
}

// A Load is what is seen at a moment.
type Load struct {
	Waiting  int // requests in the queue
	Busy     int // requests in workers' hands
	Peak     int // the most of both together since the last look
	Serving  int // workers that take requests
	Starting int // workers that do not yet, also those that wait for their next start
	Free     int // of all these, those that could go at once: no request in hand
}

// A Decision is what to do now.
type Decision struct {
	Start int // so many workers
	Stop  int // so many of those that are free
}

const (
	// settle is how long workers must have been too few before more start: a
	// queue of a millisecond is over before a worker has started.
	settle = 100 * time.Millisecond

	// window is the time in which no more than rate workers start: firstRate at
	// first, and twice as many in each window after one that was not enough, up to
	// maxRate. All boot on the CPUs that have to serve meanwhile.
	window    = time.Second
	firstRate = 4
	maxRate   = 32
)

// A State is what is remembered from one decision to the next. The zero State
// is that of an application that starts.
type State struct {
	began time.Time // the first decision
	short time.Time // since when workers are too few; zero if they are not
	peaks []peak    // of the time Idle, later ones lower
	opens time.Time // when the present window began
	rate  int       // of the present window
	left  int       // of it
	spent bool      // it was not enough
}

type peak struct {
	at time.Time
	n  int
}

// Next takes a look at a moment, and returns what to do and what to remember.
//
// Up: the requests in hand and in the queue need a number of workers; where
// those that serve or start are fewer, or fewer than that and Spare, for a
// tenth of a second, the difference starts, as fast as the rate allows. With
// none at all the first starts at once.
//
// Down: where the most requests at once within the time Idle needed fewer
// workers than there are, as many as are too many and free may go. So the
// number follows the peaks, not the way in which requests are spread.
func (s State) Next(b Bounds, l Load, now time.Time) (State, Decision) {
	if s.began.IsZero() {
		s.began = now
	}
	s.remember(max(l.Peak, l.Busy+l.Waiting), b.Idle, now)
	have := l.Serving + l.Starting
	want := b.workers(l.Busy+l.Waiting, s.peaks[0].n > 0)
	if want > have {
		return s, Decision{Start: s.grow(want-have, have < b.Min || have == 0, now)}
	}
	s.short = time.Time{}
	if keep := b.workers(s.peaks[0].n, s.peaks[0].n > 0); have > keep && now.Sub(s.began) >= b.Idle {
		return s, Decision{Stop: min(have-keep, l.Free)}
	}
	return s, Decision{}
}

// workers is how many n requests at once need.
func (b Bounds) workers(n int, active bool) int {
	need := (n + b.Places - 1) / b.Places
	if active {
		need += b.Spare
	}
	return min(max(need, b.Min), b.Max)
}

// remember keeps the highest number of the time idle, and what would be the
// highest once that is older.
func (s *State) remember(n int, idle time.Duration, now time.Time) {
	kept := slices.DeleteFunc(slices.Clone(s.peaks), func(p peak) bool { return p.n <= n || now.Sub(p.at) >= idle })
	s.peaks = append(kept, peak{now, n})
}

// grow is how many of missing workers may start now.
func (s *State) grow(missing int, urgent bool, now time.Time) int {
	if s.short.IsZero() {
		s.short = now
	}
	if !urgent && now.Sub(s.short) < settle {
		return 0
	}
	switch {
	case s.opens.IsZero() || now.Sub(s.opens) >= 2*window || now.Sub(s.opens) >= window && !s.spent:
		s.opens, s.rate, s.left, s.spent = now, firstRate, firstRate, false
	case now.Sub(s.opens) >= window:
		s.rate = min(2*s.rate, maxRate)
		s.opens, s.left, s.spent = now, s.rate, false
	}
	n := min(missing, s.left)
	s.left -= n
	if n < missing {
		s.spent = true
	} else {
		s.short = time.Time{} // what is missing next is another shortage
	}
	return n
}
