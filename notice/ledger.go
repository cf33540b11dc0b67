package notice

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A ledger is the memory of what was told: how often each incident had come
// then. It is on disk before the next batch leaves, so that after a crash at
// most the last one is told twice, and none is left out.
type ledger struct {
	path   string
	Told   map[string]entry `json:"told"`   // by ID; no more than are kept
	Sent   []time.Time      `json:"sent"`   // within the last hour, oldest first
	Latest time.Time        `json:"latest"` // when a batch was sent last
	Held   bool             `json:"held"`   // Rules.PerHour stands in the way of the next
}

// An entry is one incident's.
type entry struct {
	First time.Time `json:"first"`
	Count uint64    `json:"count"`
}

// maxLedger is more than the entries of all incidents that can be kept, in bytes.
const maxLedger = 16 << 20

// openLedger reads what was told. Where nothing is known, what is known now counts
// as told; unsaved says why that is not on disk.
func openLedger(path string, known []Head) (l *ledger, unsaved, err error) {
	l = &ledger{path: path, Told: map[string]entry{}}
	b, err := readBounded(path)
	switch {
	case err == nil:
		if err = json.Unmarshal(b, l); err == nil && l.Told != nil {
			return l, nil, nil
		}
		l = &ledger{path: path, Told: map[string]entry{}} // torn by who knows what: as if it were not there
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("read what was told: %w", err)
	}
	for _, h := range known {
		l.Told[h.ID] = entry{h.First, h.Count}
	}
	return l, l.save(), nil
}

func readBounded(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxLedger {
		return nil, fmt.Errorf("%s: no regular file of at most %d bytes", path, maxLedger)
	}
	return os.ReadFile(path)
}

// A plan is what is to be told now, or how long to wait for it.
type plan struct {
	heads []due
	rest  int           // of heads, the last: by their number alone
	held  bool          // they waited because of Rules.PerHour
	wait  time.Duration // with no heads: below 0 when there is nothing to wait for
	all   []Head        // that are kept
}

type due struct {
	Head
	fresh bool
	times uint64
}

// plan decides what is due.
func (l *ledger) plan(now time.Time, rules Rules, heads []Head) plan {
	p := plan{all: heads, wait: -1}
	list, at := l.untold(now, rules, heads)
	if len(list) == 0 {
		return p
	}
	if rules.PerHour > 0 {
		l.forgetSent(now)
		if n := len(l.Sent); n >= rules.PerHour {
			free := l.Sent[n-rules.PerHour].Add(time.Hour)
			l.Held = l.Held || free.After(at)
			at = later(at, free)
		}
	}
	if at.After(now) {
		p.wait = at.Sub(now)
		return p
	}
	if rules.Most > 0 && len(list) > rules.Most {
		if rules.Rest {
			p.rest = len(list) - rules.Most
		} else {
			list = list[:rules.Most]
		}
	}
	p.heads, p.held = list, l.Held
	return p
}

// untold returns what nobody was told of yet, in the order of telling, and
// when it is due: new ones after a moment, those known by the digest's time.
func (l *ledger) untold(now time.Time, rules Rules, heads []Head) (list []due, at time.Time) {
	var fresh bool
	for _, h := range heads {
		e, known := l.Told[h.ID]
		known = known && e.First.Equal(h.First)
		switch {
		case h.Mute || known && h.Count <= e.Count:
		case known:
			list = append(list, due{h, false, h.Count - e.Count})
		default:
			list = append(list, due{h, true, h.Count})
			if t := since(h.First, now).Add(rules.Window); !fresh || t.Before(at) {
				at = t
			}
			fresh = true
		}
	}
	if !fresh {
		at = since(l.Latest, now).Add(rules.Digest)
	}
	slices.SortFunc(list, func(a, b due) int {
		switch {
		case a.fresh != b.fresh:
			return map[bool]int{true: -1, false: 1}[a.fresh]
		case a.fresh:
			return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Or(cmp.Compare(b.times, a.times), cmp.Compare(a.ID, b.ID))
	})
	return list, at
}

// forgetSent drops what was sent more than an hour ago; what a clock that was
// set back makes to be sent in the future does not hold anything up for ever.
func (l *ledger) forgetSent(now time.Time) {
	l.Sent = slices.DeleteFunc(l.Sent, func(t time.Time) bool { return now.Sub(t) >= time.Hour || t.After(now) })
}

// told notes a plan as done, and forgets what is not kept any more.
func (l *ledger) told(p plan, now time.Time, sent bool) error {
	kept := make(map[string]bool, len(p.all))
	for _, h := range p.all {
		kept[h.ID] = true
	}
	for id := range l.Told {
		if !kept[id] {
			delete(l.Told, id)
		}
	}
	for _, d := range p.heads {
		l.Told[d.ID] = entry{d.First, d.Count}
	}
	if sent {
		l.Latest, l.Held = now, false
		l.Sent = append(l.Sent, now)
	}
	l.forgetSent(now)
	return l.save()
}

// save replaces the file: it is whole at any time.
func (l *ledger) save() error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(l.path), filepath.Base(l.path)+".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), l.path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// since is at, or long ago where it is still to come: what was noted before the
// clock was set back, and read from a file since, is due now and not when the
// clock is there again.
func since(at, now time.Time) time.Time {
	if at.After(now) {
		return time.Time{}
	}
	return at
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
