package incident

import (
	"fmt"
	"slices"
)

// Look takes in what the other process has kept until now, for a guest.
func (r *Recorder) Look() {
	if r.order(job{look: true}) {
		r.Flush()
	}
}

// Own makes a guest's folder this process's alone: the other one has ended.
// What both have counted is added up.
func (r *Recorder) Own() {
	r.mu.Lock()
	r.guest, r.unsaved = false, true
	r.mu.Unlock()
	r.Look()
}

// look reads the folder, and makes one of what it has and what is known. It is
// called by the writer, or before there is one.
func (r *Recorder) look() error {
	r.mu.Lock()
	guest := r.guest
	r.mu.Unlock()
	r.files.Lock()
	r.store.readOnly = guest // a file that is not whole may be one that the other process writes
	list, lost, err := r.store.load()
	r.store.readOnly = false
	r.files.Unlock()
	if err != nil {
		return err
	}
	if lost.torn > 0 && !guest {
		r.trouble(fmt.Errorf("%d files of the incident store were not whole and are gone", lost.torn))
	}
	if lost.unread > 0 {
		r.trouble(fmt.Errorf("%d files of the incident store cannot be read, and are not shown: %w", lost.unread, lost.why))
	}
	r.mu.Lock()
	there := make(map[string]bool, len(list))
	for _, s := range list {
		there[s.ID] = true
		r.joinLocked(s)
	}
	for id, e := range r.index {
		if e.size > 0 && !there[id] { // the other process made room
			r.size -= e.size
			delete(r.index, id)
			delete(r.dirty, id)
		}
	}
	r.mu.Unlock()
	r.evict("")
	return nil
}

// joinLocked adds one that is on disk to what is known of it.
func (r *Recorder) joinLocked(s stored) {
	e := r.index[s.ID]
	if e == nil {
		r.index[s.ID] = &entry{Summary: summary(s.Incident), size: s.size}
		r.size += s.size
		return
	}
	if e.size == 0 || !s.counted {
		return // it is on its way to the disk, or its count there is the one that we began with
	}
	e.Count = s.Count + e.own
	if r.guest && s.First.Before(e.First) { // later, somebody may have been told of it with the time that it has
		e.First = s.First
	}
	if s.Last.After(e.Last) {
		e.Last = s.Last
	}
	e.Seen = latest(e.Seen, s.Seen)
}

// latest are the newest of two lists, each once.
func latest(a, b []Occurrence) []Occurrence {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y Occurrence) int { return x.Time.Compare(y.Time) })
	all = slices.CompactFunc(all, func(x, y Occurrence) bool {
		return x.Time.Equal(y.Time) && x.Request == y.Request && x.PID == y.PID
	})
	return all[max(0, len(all)-maxSeen):]
}
