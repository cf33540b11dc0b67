// Package metrics counts what a daemon's requests come to, by application and
// class of status, and writes it for Prometheus.
//
// Counting is a few additions to numbers that are there already: no lock, no
// allocation, no formatting. All that costs more is done by who asks.
package metrics

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// NoApp is the application's name for requests that none took: it cannot be
// one's own.
const NoApp = "(none)"

// classes are the first digits of a status, 0 for what has none.
const classes = 6

var classNames = [classes]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

func classOf(status int) int {
	if c := status / 100; c >= 1 && c < classes {
		return c
	}
	return 0
}

// A Request is what is counted of one that has ended.
type Request struct {
	App      string // "": none
	Status   int    // that the client was sent
	Cause    string // why it was not answered as the application would have, "" if it was
	Queued   bool   // it asked for a worker, so that Queue means something
	Worked   bool   // it got one, so that Worker does
	Queue    time.Duration
	Worker   time.Duration
	Duration time.Duration
	BytesIn  int64
	BytesOut int64
}

// A Set is the numbers of all applications. It bounds its own size: names
// come from the configuration with Keep, causes from New, and nothing that a
// client says becomes a label.
type Set struct {
	causes map[string]int // to the index in series.causes; immutable
	names  []string       // of causes, by index; the last is "other"; immutable

	apps atomic.Pointer[map[string]*App] // replaced as a whole by Keep
	mu   sync.Mutex                      // serialises Keep
}

// New returns a Set that tells these causes apart.
func New(causes ...string) *Set {
	s := &Set{causes: make(map[string]int), names: append(slices.Clone(causes), "other")}
	for i, c := range causes {
		s.causes[c] = i
	}
	s.apps.Store(&map[string]*App{NoApp: s.newApp()})
	return s
}

// Keep makes the applications known that are counted. One that was known
// keeps its numbers, one that is no longer named loses them.
func (s *Set) Keep(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.apps.Load()
	next := map[string]*App{NoApp: old[NoApp]}
	for _, name := range names {
		if next[name] = old[name]; next[name] == nil {
			next[name] = s.newApp()
		}
	}
	s.apps.Store(&next)
}

// Apps returns the names that are counted, sorted, NoApp among them.
func (s *Set) Apps() []string {
	return slices.Sorted(maps.Keys(*s.apps.Load()))
}

// App returns an application's numbers, nil if it is not known.
func (s *Set) App(name string) *App { return (*s.apps.Load())[name] }

// Observe counts a request. An application that Keep does not know is NoApp.
func (s *Set) Observe(r *Request) {
	apps := *s.apps.Load()
	a := apps[r.App]
	if a == nil {
		a = apps[NoApp]
	}
	c := &a.classes[classOf(r.Status)]
	c.duration.observe(r.Duration)
	if r.Queued {
		c.queue.observe(r.Queue)
	}
	if r.Worked {
		c.worker.observe(r.Worker)
	}
	if r.Cause != "" {
		c.causes[s.cause(r.Cause)].Add(1)
	}
	if r.BytesIn > 0 {
		a.bytesIn.Add(uint64(r.BytesIn))
	}
	if r.BytesOut > 0 {
		a.bytesOut.Add(uint64(r.BytesOut))
	}
}

// Refuse counts what was refused before it was a request: only its cause is known.
func (s *Set) Refuse(status int, cause string) {
	(*s.apps.Load())[NoApp].classes[classOf(status)].causes[s.cause(cause)].Add(1)
}

func (s *Set) cause(name string) int {
	if i, known := s.causes[name]; known {
		return i
	}
	return len(s.names) - 1
}

// An App is one application's numbers. They only rise.
type App struct {
	classes  [classes]series
	bytesIn  atomic.Uint64
	bytesOut atomic.Uint64
}

// A series is what is counted of one class of status.
type series struct {
	duration histogram
	queue    histogram
	worker   histogram
	causes   []atomic.Uint64
}

func (s *Set) newApp() *App {
	a := &App{}
	for i := range a.classes {
		a.classes[i].causes = make([]atomic.Uint64, len(s.names))
	}
	return a
}
