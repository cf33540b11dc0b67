package incident

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxIncident bounds an incident on disk, in bytes of JSON. What is over it
// loses local variables, then source, then the texts.
const maxIncident = 256 << 10

// stale is how long an incident that does not come again is worth more than
// one that came once.
const stale = 30 * 24 * time.Hour

// write is the one goroutine that touches the disk.
func (r *Recorder) write() {
	defer close(r.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case j := <-r.queue:
			r.do(j)
		case <-tick.C:
			r.flush()
		case <-r.stop:
			r.drain()
			r.flush()
			r.save() // also where no incident came again: who takes the folder over goes by it
			return
		}
	}
}

func (r *Recorder) drain() {
	for {
		select {
		case j := <-r.queue:
			r.do(j)
		default:
			return
		}
	}
}

func (r *Recorder) do(j job) {
	switch {
	case j.look:
		if err := r.look(); err != nil {
			r.trouble(err)
		}
	case j.fewer:
		r.evict("")
	case j.flushed != nil:
		r.flush()
		close(j.flushed)
	case j.incident != nil:
		r.keep(j.incident, j.report)
	default:
		r.complete(j)
	}
}

// keep cleans a new incident and puts it on disk.
func (r *Recorder) keep(i *Incident, p *Report) {
	i.finish(p)
	size, err := r.put(i)
	r.mu.Lock()
	e := r.index[i.ID]
	if e == nil { // cleared meanwhile
		r.mu.Unlock()
		r.files.Lock()
		r.store.remove(i.ID)
		r.files.Unlock()
		return
	}
	if err != nil {
		delete(r.index, i.ID)
		r.mu.Unlock()
		r.trouble(err)
		return
	}
	e.Title, e.size = i.Title(), size
	r.size += size
	r.mu.Unlock()
	r.evict(i.ID)
	if r.options.New != nil {
		r.options.New(i)
	}
}

// finish cleans an incident and adds the source.
func (i *Incident) finish(p *Report) {
	clean := p.Redactor
	if clean == nil {
		clean = NewRedactor()
	}
	i.clean(clean, p.Locals)
	newLibrary(p.Folders).fill(i.Traceback, clean)
}

// clone is a copy that shares nothing.
func (i *Incident) clone() *Incident {
	c := new(Incident)
	b, err := json.Marshal(i)
	if err == nil {
		err = json.Unmarshal(b, c)
	}
	if err != nil {
		return &Incident{ID: i.ID, Kind: i.Kind, App: i.App} // never: all of it is plain data
	}
	return c
}

func (r *Recorder) put(i *Incident) (int64, error) {
	i.fit()
	r.files.Lock()
	defer r.files.Unlock()
	return r.store.write(i.ID+storeSuffix, i)
}

// complete adds to an incident that is on disk.
func (r *Recorder) complete(j job) {
	r.files.Lock()
	i, err := r.store.read(j.id)
	r.files.Unlock()
	if err != nil {
		return // it was evicted or cleared meanwhile
	}
	if j.clean == nil {
		j.clean = NewRedactor()
	}
	j.add(i)
	i.clean(j.clean, true)
	size, err := r.put(i)
	if err != nil {
		r.trouble(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.index[j.id]; e != nil {
		r.size += size - e.size
		e.size, e.Title = size, i.Title()
	}
}

// evict makes room: what has not come for long goes first, then the rarest
// and of these the oldest. keep is the newest, which stays.
func (r *Recorder) evict(keep string) {
	r.mu.Lock()
	var gone []string
	for {
		var worst *entry
		old, kept := time.Now().Add(-stale), 0
		for id, e := range r.index {
			if e.size == 0 {
				continue // on its way to the disk: until then nothing need make room for it
			}
			if kept++; id != keep && (worst == nil || e.less(worst, old)) {
				worst = e
			}
		}
		if worst == nil || kept <= r.bounds.Keep && r.size <= r.bounds.Size {
			break
		}
		r.size -= worst.size
		delete(r.index, worst.ID)
		delete(r.dirty, worst.ID)
		gone = append(gone, worst.ID)
	}
	r.mu.Unlock()
	r.remove(gone)
}

// less says whether e is worth less than o.
func (e *entry) less(o *entry, old time.Time) bool {
	if a, b := e.Last.Before(old), o.Last.Before(old); a != b {
		return a
	}
	if a, b := rank(e.Count), rank(o.Count); a != b {
		return a < b
	}
	return e.Last.Before(o.Last)
}

// rank is how often, roughly.
func rank(n uint64) int {
	return len(fmt.Sprint(n)) + min(int(n), 2)
}

func (r *Recorder) remove(ids []string) {
	if len(ids) == 0 {
		return
	}
	r.files.Lock()
	defer r.files.Unlock()
	for _, id := range ids {
		if err := r.store.remove(id); err != nil {
			r.trouble(err)
		}
	}
}

// flush writes the counts, and tells of those that changed and of what was
// not kept.
func (r *Recorder) flush() {
	r.mu.Lock()
	dropped := r.dropped
	r.dropped = 0
	var again []Summary
	for id := range r.dirty {
		if e := r.index[id]; e != nil && e.size > 0 {
			again = append(again, e.Summary)
		}
	}
	clear(r.dirty)
	r.mu.Unlock()
	if dropped > 0 {
		r.trouble(fmt.Errorf("%d errors were not looked at or kept: more came than %d a second, or than %d new ones a second of one application", dropped, looksASecond, newASecond))
	}
	if len(again) == 0 {
		return
	}
	r.save()
	slices.SortFunc(again, func(a, b Summary) int { return strings.Compare(a.ID, b.ID) })
	if r.options.Again != nil {
		r.options.Again(again)
	}
}

// save writes the counts, if they are ours to write and not on disk.
func (r *Recorder) save() {
	r.mu.Lock()
	if r.guest || !r.unsaved {
		r.mu.Unlock()
		return
	}
	r.unsaved = false
	counts := make(map[string]count, len(r.index))
	for id, e := range r.index {
		counts[id] = count{e.First, e.Last, e.Count, e.Seen}
	}
	r.mu.Unlock()
	var err error
	r.files.Lock()
	if len(counts) > 0 || r.store.there() { // else there is nothing to keep, and no count of before
		_, err = r.store.write(countsName, counts)
	}
	r.files.Unlock()
	if err != nil {
		r.trouble(err)
	}
}

func (r *Recorder) trouble(err error) {
	if r.options.Trouble != nil {
		r.options.Trouble(err)
	}
}

// Flush returns when what was recorded before is on disk, of a guest all but
// the counts.
func (r *Recorder) Flush() {
	done := make(chan struct{})
	if r.order(job{flushed: done}) {
		select {
		case <-done:
		case <-r.done:
		}
	}
}

// order gives the writer something to do, and waits until it takes it. It
// returns false after the end.
func (r *Recorder) order(j job) bool {
	select {
	case r.queue <- j:
		return true
	case <-r.done:
		return false
	}
}

// List returns the incidents, the latest first.
func (r *Recorder) List() []Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Summary, 0, len(r.index))
	for e := range maps.Values(r.index) {
		if e.size > 0 {
			list = append(list, e.Summary)
		}
	}
	slices.SortFunc(list, func(a, b Summary) int {
		if c := b.Last.Compare(a.Last); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Get returns an incident, by its id, or by that of a request that it came
// with. The error is ErrUnknown, or the disk's.
func (r *Recorder) Get(id string) (*Incident, error) {
	r.mu.Lock()
	e := r.index[id]
	if e == nil {
		for _, o := range r.index {
			if slices.ContainsFunc(o.Seen, func(s Occurrence) bool { return s.Request == id && id != "" }) {
				e = o
			}
		}
	}
	if e == nil {
		r.mu.Unlock()
		return nil, fmt.Errorf("%w: %s", ErrUnknown, id)
	}
	s := e.Summary
	onDisk := e.size > 0
	r.mu.Unlock()
	if !onDisk {
		r.Flush()
	}
	r.files.Lock()
	defer r.files.Unlock()
	i, err := r.store.read(s.ID)
	if err != nil {
		return nil, err
	}
	i.First, i.Last, i.Count, i.Seen = s.First, s.Last, s.Count, s.Seen
	return i, nil
}

// Clear forgets all, and returns how many there were.
func (r *Recorder) Clear() int {
	r.Flush()
	r.mu.Lock()
	ids := slices.Collect(maps.Keys(r.index))
	clear(r.index)
	r.known.forget()
	clear(r.dirty)
	r.size = 0
	r.mu.Unlock()
	r.remove(ids)
	r.files.Lock()
	defer r.files.Unlock()
	r.store.remove(strings.TrimSuffix(countsName, storeSuffix))
	return len(ids)
}
