package incident

import (
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// Defaults and bounds of a Recorder.
const (
	DefaultKeep = 500      // incidents
	DefaultSize = 64 << 20 // bytes of them on disk

	maxSeen      = 8               // occurrences kept of one incident
	queueSize    = 64              // new incidents on their way to the disk
	looksASecond = 200             // tracebacks read, some 70 us of CPU each; a known one told in the same words needs no reading
	looksAtOnce  = 1000            // after a quiet time
	newASecond   = 5               // new incidents of one application
	newAtOnce    = 50              // likewise, after a quiet time
	maxApps      = 256             // applications whose rates are kept apart
	maxKnown     = 4096            // texts whose incident is known
	flushEvery   = 2 * time.Second // counts go to the disk
	maxLate      = 32              // additions that came before their incident
)

// Options say where and how much a Recorder keeps.
type Options struct {
	Directory string // of the store; made when there is something to keep
	Bounds

	// Guest says that another process keeps incidents in the same folder: a
	// frontd that hands over. Both add to it; the counts, and what looks torn, are
	// the other's until Own is called.
	Guest bool

	// New, if not nil, is told of each new incident once it is kept: on the
	// recorder's own goroutine, which it holds up. It must not change it.
	New func(*Incident)
	// Again, if not nil, is told every few seconds of those that came again.
	Again func([]Summary)
	// Trouble, if not nil, is told of what could not be kept: an error of the
	// disk, or what a storm had more than the bounds allow.
	Trouble func(error)
}

// Bounds are how much a Recorder keeps.
type Bounds struct {
	Keep int   // incidents; 0: DefaultKeep
	Size int64 // bytes; 0: DefaultSize
}

func (b Bounds) normalized() Bounds {
	if b.Keep <= 0 {
		b.Keep = DefaultKeep
	}
	if b.Size <= 0 {
		b.Size = DefaultSize
	}
	return b
}

// A Report is what is known of an error at the moment it is met.
type Report struct {
	Kind   Kind
	Cause  string
	Detail string
	App    string
	Status int
	Time   time.Time
	// Place tells errors without a traceback apart: the method and path.
	Place string
	Text  []byte // that may have a traceback, as the request's stderr; it is not kept
	// Traced says that there is no error without a traceback in Text.
	Traced  bool
	Request string // id
	PID     int
	// Fill adds the rest of what is known, with secrets as it may be. It is
	// called before Record returns, and only for an incident that is new.
	Fill func(*Incident)
	Policy
	// Whole has Record return all of the incident, for a page that shows it. It
	// costs the caller milliseconds: in development only.
	Whole bool
}

// A Policy is what holds for the errors of an application, or of some of its URLs.
type Policy struct {
	None, All bool      // no incidents; of all answers of 5xx, those without a reason too
	Quiet     bool      // nobody is told by mail or webhook
	Redactor  *Redactor // takes the secrets out; nil: those by the usual names
	Folders   []string  // of the application's sources
	Locals    bool      // local variables are kept: in development only
}

// A Summary is an incident in short.
type Summary struct {
	ID    string       `json:"id"`
	Kind  Kind         `json:"kind"`
	App   string       `json:"app,omitempty"`
	Title string       `json:"title"`
	First time.Time    `json:"first"`
	Last  time.Time    `json:"last"`
	Count uint64       `json:"count"`
	Quiet bool         `json:"quiet,omitempty"`
	Seen  []Occurrence `json:"seen,omitempty"`
}

// A Recorder keeps incidents. Its methods are safe for several goroutines, and
// Record never waits for the disk.
type Recorder struct {
	// Immutable.
	options Options
	seed    maphash.Seed
	queue   chan job
	stop    chan struct{}
	done    chan struct{}

	files sync.Mutex // guards store: the writer's, and readers'
	store store

	mu      sync.Mutex // guards the fields below
	bounds  Bounds
	index   map[string]*entry
	known   texts
	looks   bucket
	rates   map[string]*bucket // of new ones by application
	dirty   map[string]bool
	size    int64
	dropped uint64 // not kept: the bounds were reached
	late    []addition
	closed  bool
	guest   bool
	unsaved bool // counts are not on disk
}

type entry struct {
	Summary
	size int64
	own  uint64 // of Count, those that this process saw
}

// A job is one thing for the writer to do.
type job struct {
	incident *Incident
	report   *Report // of a new one: how to clean it
	add      func(*Incident)
	clean    *Redactor
	id       string
	look     bool          // at what another process has kept
	fewer    bool          // are to be kept
	flushed  chan struct{} // closed when all before it is on disk
}

// An addition is for an incident of a request that has none yet.
type addition struct {
	request string
	clean   *Redactor
	add     func(*Incident)
}

// Open reads what is kept. The caller closes the Recorder.
func Open(o Options) (*Recorder, error) {
	r := &Recorder{
		options: o, bounds: o.Bounds.normalized(), seed: maphash.MakeSeed(), store: store{dir: o.Directory},
		queue: make(chan job, queueSize), stop: make(chan struct{}), done: make(chan struct{}),
		index: make(map[string]*entry), rates: make(map[string]*bucket), dirty: make(map[string]bool),
		looks: bucket{rate: looksASecond, most: looksAtOnce}, guest: o.Guest,
	}
	if err := r.look(); err != nil {
		return nil, err
	}
	go r.write()
	// Close waits for its end.
	return r, nil
}

// Bound has the Recorder keep more or less than it did. What is too much by now
// is removed soon.
func (r *Recorder) Bound(b Bounds) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b = b.normalized()
	if r.bounds == b || r.closed {
		return
	}
	r.bounds = b
	select {
	case r.queue <- job{fewer: true}:
	default: // new ones wait, each of which makes room
	}
}

func summary(i *Incident) Summary {
	return Summary{ID: i.ID, Kind: i.Kind, App: i.App, Title: i.Title(), First: i.First, Last: i.Last, Count: i.Count, Quiet: i.Quiet, Seen: i.Seen}
}

// Record counts an error, and keeps it if it is new. It returns its incident,
// of which ID, Kind and App are set, nil where there are more errors than are
// looked at. What it returns is the caller's alone.
func (r *Recorder) Record(p Report) *Incident {
	if p.Whole {
		return r.recordWhole(p)
	}
	id := r.record(p, nil)
	if id == "" {
		return nil
	}
	return &Incident{ID: id, Kind: p.Kind, App: p.App}
}

// recordWhole makes the incident whether it is new or not.
func (r *Recorder) recordWhole(p Report) *Incident {
	var own *Incident
	fill := func(i *Incident) {
		if p.Fill != nil {
			p.Fill(i)
		}
		own = i.clone() // i is the writer's from now on
	}
	id := r.record(p, fill)
	if id == "" {
		return nil
	}
	if own == nil {
		fill(p.incident())
	}
	own.finish(&p)
	r.mu.Lock()
	if e := r.index[id]; e != nil {
		own.First, own.Count, own.Seen = e.First, e.Count, e.Seen
	}
	r.mu.Unlock()
	return own
}

// incident is what the report itself says.
func (p *Report) incident() *Incident {
	i := &Incident{Kind: p.Kind, Cause: p.Cause, Detail: p.Detail, App: p.App, Status: p.Status, First: p.Time, Last: p.Time, Count: 1, Quiet: p.Quiet}
	text := string(p.Text)
	if i.Traceback = Parse(text); i.Traceback == nil {
		i.Raw = text
	}
	i.Fingerprint = fingerprint(i, p.Place)
	i.ID = IDOf(i.Fingerprint)
	return i
}

// record counts, and has fill, or else the report's own Fill, complete an
// incident that is new, before the writer has it.
func (r *Recorder) record(p Report, fill func(*Incident)) (id string) {
	key := r.key(&p)
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ""
	}
	if id := r.known.id(key); id == noIncident {
		r.mu.Unlock()
		return ""
	} else if id != "" && r.countLocked(id, &p) {
		r.mu.Unlock()
		return id
	}
	if !r.looks.take(p.Time) {
		r.dropped++
		r.mu.Unlock()
		return ""
	}
	r.mu.Unlock()

	i := p.incident()
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Traced && i.Traceback == nil {
		r.known.learn(key, noIncident)
		return ""
	}
	if r.countLocked(i.ID, &p) {
		r.known.learn(key, i.ID)
		return i.ID
	}
	if r.closed || !r.rate(p.App).take(p.Time) {
		r.dropped++
		return ""
	}
	if fill == nil {
		fill = p.Fill
	}
	if fill != nil {
		fill(i)
	}
	i.Seen = p.occurrence(nil)
	p.Text, p.Fill = nil, nil
	select {
	case r.queue <- job{incident: i, report: &p}:
	default:
		r.dropped++
		return ""
	}
	r.index[i.ID] = &entry{Summary: Summary{ID: i.ID, Kind: i.Kind, App: i.App, First: i.First, Last: i.Last, Count: 1, Quiet: i.Quiet, Seen: i.Seen}, own: 1}
	r.unsaved = true
	r.known.learn(key, i.ID)
	r.addLate(i.ID, p.Request)
	return i.ID
}

// key is the same for texts that are the same word for word.
func (r *Recorder) key(p *Report) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, s := range []string{p.App, string(p.Kind), p.Cause, p.Place, p.Detail} {
		h.WriteString(s)
		h.WriteByte(0)
	}
	h.Write(p.Text)
	return h.Sum64() ^ uint64(p.Status)
}

// countLocked counts one that is known.
func (r *Recorder) countLocked(id string, p *Report) bool {
	e := r.index[id]
	if e == nil {
		return false
	}
	e.Count++
	e.own++
	r.unsaved = true
	if p.Time.After(e.Last) {
		e.Last = p.Time
	}
	e.Seen = p.occurrence(e.Seen)
	r.dirty[id] = true
	r.addLate(id, p.Request)
	return true
}

func (p *Report) occurrence(seen []Occurrence) []Occurrence {
	if p.Request == "" && p.PID == 0 {
		return seen
	}
	if len(seen) >= maxSeen {
		seen = seen[len(seen)-maxSeen+1:]
	}
	return append(seen[:len(seen):len(seen)], Occurrence{Time: p.Time, Request: p.Request, PID: p.PID}) // readers have the old one
}

func (r *Recorder) rate(app string) *bucket {
	b := r.rates[app]
	if b == nil {
		if len(r.rates) >= maxApps {
			clear(r.rates)
		}
		b = &bucket{rate: newASecond, most: newAtOnce}
		r.rates[app] = b
	}
	return b
}

// Add adds what became known later to an incident, by its id or by that of its
// request: the stacks of a worker, what was asked. add is called on the writer's goroutine, and must leave
// what is there already; what it adds is cleaned then.
func (r *Recorder) Add(request string, clean *Redactor, add func(*Incident)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index[request] != nil {
		r.enqueue(job{id: request, add: add, clean: clean})
		return
	}
	for id, e := range r.index {
		for _, o := range e.Seen {
			if o.Request == request {
				r.enqueue(job{id: id, add: add, clean: clean})
				return
			}
		}
	}
	if len(r.late) >= maxLate {
		r.late = append(r.late[:0:0], r.late[1:]...)
	}
	r.late = append(r.late, addition{request, clean, add})
}

func (r *Recorder) addLate(id, request string) {
	for n, a := range r.late {
		if a.request == request {
			r.late = append(r.late[:n:n], r.late[n+1:]...)
			r.enqueue(job{id: id, add: a.add, clean: a.clean})
			return
		}
	}
}

func (r *Recorder) enqueue(j job) {
	if r.closed {
		return
	}
	select {
	case r.queue <- j:
	default:
		r.dropped++
	}
}

// Close writes what is not on disk yet.
func (r *Recorder) Close() {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if !closed {
		close(r.stop)
	}
	<-r.done
}

// ErrUnknown is what Get returns for an id that there is no incident of.
var ErrUnknown = errors.New("no such incident")
