package embedded

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/frontd/frontd/session"
)

// An update is one transaction that waits for its turn.
type update struct {
	f    func(session.Tx) error
	err  error
	done chan bool // true: it was done, or could not be; false: its owner is to do the next round
}

// A queue joins the transactions that come while one is written: whoever finds
// nobody at work does a round for all that wait, and hands over to one of those
// that came meanwhile. So there is no writer to be woken where there is one
// request, and one write for all where there are many.
type queue struct {
	mu      sync.Mutex // guards the fields below
	waiting []*update
	busy    bool
}

// maxRound bounds the transactions of one write: all of them wait for its end.
const maxRound = 256

// Update implements session.Store. f is called with the file held, for all
// others to wait: it must not wait for anything.
func (s *Store) Update(ctx context.Context, f func(session.Tx) error) error {
	u := &update{f: f}
	q := &s.queue
	q.mu.Lock()
	if q.busy {
		u.done = make(chan bool, 1)
	}
	q.waiting = append(q.waiting, u)
	first := !q.busy
	q.busy = true
	q.mu.Unlock()
	if !first && <-u.done { // a round takes as long as the file does, and ctx's end undoes nothing
		return u.err
	}
	s.round(context.WithoutCancel(ctx))
	return u.err
}

// round does what waits, the caller's own first.
func (s *Store) round(ctx context.Context) {
	q := &s.queue
	q.mu.Lock()
	round := q.waiting[:min(len(q.waiting), maxRound)]
	q.waiting = q.waiting[len(round):]
	q.mu.Unlock()
	err := s.with(ctx, func(db *bolt.DB) error {
		return db.Update(func(tx *bolt.Tx) error { return s.write(tx, round) })
	})
	if s.gate.wanted() {
		s.release()
	}
	for _, u := range round {
		if err != nil {
			u.err = err // none of them is in the file
		}
	}
	q.mu.Lock()
	var next *update
	if q.busy = len(q.waiting) > 0; q.busy {
		next = q.waiting[0]
	}
	q.mu.Unlock()
	for _, u := range round[1:] {
		u.done <- true
	}
	if next != nil {
		next.done <- false
	}
}

// write runs a round's transactions one after another: each sees what those
// before it have written.
func (s *Store) write(tx *bolt.Tx, round []*update) error {
	b := tx.Bucket(bucket)
	count := b.Sequence()
	now := time.Now()
	for _, u := range round {
		var broken error
		var there presence
		draft := session.Draft{Load: func(k session.Key) (v []byte, err error) {
			broken = guarded(func() error {
				var expires time.Time
				entry := b.Get(k[:])
				there = append(there, known{k, entry != nil})
				if v, expires = decodeEntry(entry); !now.Before(expires) {
					v = nil
				}
				return nil
			})
			return v, broken
		}}
		if u.err = u.run(&draft); broken != nil {
			return broken
		}
		if u.err != nil {
			continue
		}
		n, err := s.put(b, draft.Writes, there, count)
		if errors.Is(err, session.ErrFull) {
			u.err = err
			continue
		}
		if err != nil {
			return err
		}
		count = n
	}
	if count != b.Sequence() {
		return b.SetSequence(count)
	}
	return nil
}

// run calls f. That it panics says nothing of the file.
func (u *update) run(tx session.Tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("session store: panic in a transaction: %v\n%s", v, debug.Stack())
		}
	}()
	return u.f(tx)
}

// A presence is which of the keys that a transaction has looked at are in the
// file, expired ones too: a search less for each.
type presence []known

type known struct {
	key   session.Key
	there bool
}

func (p presence) has(b *bolt.Bucket, key session.Key) bool {
	for _, k := range p {
		if k.key == key {
			return k.there
		}
	}
	return b.Get(key[:]) != nil
}

// put writes what one transaction wants written, all of it or nothing, and
// returns how many entries there are then.
func (s *Store) put(b *bolt.Bucket, writes []session.Write, there presence, count uint64) (uint64, error) {
	for _, w := range writes {
		had := there.has(b, w.Key)
		switch {
		case w.Value != nil && !had:
			count++
		case w.Value == nil && had && count > 0:
			count--
		}
	}
	if count > uint64(s.max) && count > b.Sequence() {
		return 0, session.ErrFull
	}
	for _, w := range writes {
		var err error
		if w.Value == nil {
			err = b.Delete(w.Key[:])
		} else {
			err = b.Put(w.Key[:], encodeEntry(w.Value, w.Expires))
		}
		if err != nil {
			return 0, err
		}
	}
	return count, nil
}
