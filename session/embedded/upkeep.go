package embedded

import (
	"bytes"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	upkeepEvery = 250 * time.Millisecond // the most that another process waits for an idle holder
	sweepEvery  = 4                      // of those: a second
	syncEvery   = 20                     // of those: 5 seconds
	// A sweep looks at so many entries and forgets so many: some 200 us.
	sweepLooks   = 1000
	sweepForgets = 256
)

// upkeep gives the file to who waits for it, forgets what has expired, and
// forces onto the disk what was written.
func (s *Store) upkeep() {
	t := time.NewTicker(upkeepEvery)
	defer t.Stop()
	for n := 1; ; n++ {
		select {
		case <-t.C:
		case <-s.stop:
			return
		}
		s.open.RLock()
		db := s.db
		if db != nil {
			s.tend(db, n)
		}
		s.open.RUnlock()
		if db != nil && s.gate.wanted() {
			s.release()
		}
	}
}

func (s *Store) tend(db *bolt.DB, n int) {
	err := guarded(func() error {
		if n%sweepEvery == 0 {
			if err := s.sweep(db); err != nil {
				return err
			}
		}
		if n%syncEvery == 0 {
			return db.Sync() // of nothing it costs nothing
		}
		return nil
	})
	if err != nil {
		s.log.Error("session store upkeep", "file", s.file, "error", err)
	}
}

// sweep forgets what has expired of the next entries, round and round. What
// has expired is not found in any case: this is for room.
func (s *Store) sweep(db *bolt.DB) error {
	stale, err := s.expired(db, time.Now())
	if err != nil || len(stale) == 0 {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		count, now := b.Sequence(), time.Now()
		for _, k := range stale {
			v := b.Get(k)
			if _, expires := decodeEntry(v); v == nil || now.Before(expires) {
				continue // used since
			}
			if err := b.Delete(k); err != nil {
				return err
			}
			count = max(count, 1) - 1
		}
		return b.SetSequence(count)
	})
}

// expired returns the keys of entries that have expired, or are damaged.
func (s *Store) expired(db *bolt.DB, now time.Time) (stale [][]byte, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		looks := 0
		for k, v := c.Seek(s.from[:]); ; k, v = c.Next() {
			if k == nil {
				s.from = [32]byte{}
				return nil
			}
			if looks++; looks > sweepLooks || len(stale) == sweepForgets {
				copy(s.from[:], k)
				return nil
			}
			if _, expires := decodeEntry(v); !now.Before(expires) {
				stale = append(stale, bytes.Clone(k))
			}
		}
	})
	return stale, err
}
