package metrics

import (
	"sync"
	"time"
)

// The window that rates are of: about the last seconds, so that a person who
// watches sees now, and a request that comes every other second shows.
const (
	windowLength = 10 * time.Second // at most, unless nobody has asked for longer
	windowStep   = 500 * time.Millisecond
	windowForget = time.Minute // a moment that is older says nothing of now
	windowPlaces = int(windowLength/windowStep) + 2
)

// A Window tells rates and latencies of the last seconds. It keeps no time of
// its own: each question leaves a moment's numbers behind, and what comes
// later is told as the difference. The first question has no answer yet.
type Window struct {
	set *Set

	mu      sync.Mutex // guards the field below
	moments []moment   // rising
}

type moment struct {
	at   time.Time
	apps map[string]totals
}

// totals are an application's numbers over all classes but as rates need them.
type totals struct {
	of       *App // tells an application from a later one of the same name
	duration Counts
	failed   uint64 // 5xx
	in, out  uint64
}

// A Rate is what an application did in the last seconds.
type Rate struct {
	Seconds  float64       // how long the window was
	Requests float64       // a second
	Failed   float64       // a second, answered with 5xx
	BytesIn  float64       // a second, of requests' bodies
	BytesOut float64       // a second, of answers' bodies
	P50, P99 time.Duration // of the whole request; 0 where there was none
}

// NewWindow returns a window over s.
func NewWindow(s *Set) *Window { return &Window{set: s} }

// Rates returns the rates of now by application. It has none for an
// application that was not there before, and is empty when nobody asked
// within the last minute.
func (w *Window) Rates(now time.Time) map[string]Rate {
	next := moment{at: now, apps: w.set.totals()}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.moments) > 0 && w.stale(now) {
		w.moments = append(w.moments[:0], w.moments[1:]...)
	}
	rates := make(map[string]Rate)
	if len(w.moments) > 0 {
		rates = next.since(&w.moments[0])
	}
	if n := len(w.moments); n == 0 || now.Sub(w.moments[n-1].at) >= windowStep {
		w.moments = append(w.moments, next)
	}
	return rates
}

// stale says whether the first moment is not needed: too old to tell of now,
// or followed by one that fills the window too.
func (w *Window) stale(now time.Time) bool {
	if now.Sub(w.moments[0].at) > windowForget || len(w.moments) >= windowPlaces {
		return true
	}
	return len(w.moments) > 1 && now.Sub(w.moments[1].at) >= windowLength
}

func (m *moment) since(earlier *moment) map[string]Rate {
	rates := make(map[string]Rate)
	seconds := m.at.Sub(earlier.at).Seconds()
	if seconds <= 0 {
		return rates
	}
	for name, t := range m.apps {
		was, known := earlier.apps[name]
		if !known || was.of != t.of {
			continue
		}
		d := t.duration.since(&was.duration)
		rates[name] = Rate{
			Seconds: seconds, Requests: float64(d.Count()) / seconds,
			Failed:  float64(t.failed-was.failed) / seconds,
			BytesIn: float64(t.in-was.in) / seconds, BytesOut: float64(t.out-was.out) / seconds,
			P50: d.Quantile(0.50), P99: d.Quantile(0.99),
		}
	}
	return rates
}

func (s *Set) totals() map[string]totals {
	m := make(map[string]totals)
	for name, a := range *s.apps.Load() {
		t := totals{of: a, in: a.bytesIn.Load(), out: a.bytesOut.Load()}
		for i := range a.classes {
			c := a.classes[i].duration.read()
			if i == classes-1 {
				t.failed = c.Count()
			}
			t.duration.add(c)
		}
		m[name] = t
	}
	return m
}
