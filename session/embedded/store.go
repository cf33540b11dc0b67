// Package embedded keeps sessions in one file, without a server: a bbolt
// database.
//
// What Update has returned for is in the file, and survives frontd's own death
// by whatever means. It is forced onto the disk every 5 seconds and at the
// end: a power cut costs at most what came since, and a file that it damaged is
// found out when it is opened, put aside as FILE.damaged, and begun anew.
//
// Several processes may have the same file open, as two daemons do while one
// takes over from the other. One of them holds it at a time, gives it up as
// soon as another one asks, and asks for it again when it needs it.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/frontd/frontd/session"
)

// Options say where sessions are kept, and how many.
type Options struct {
	File string       // made if it is not there, with its folder, both for the owner alone
	Max  int          // sessions; 0: 1,000,000
	Log  *slog.Logger // nil: slog.Default
}

const defaultMax = 1_000_000

// fileMode is for the owner alone. Where the file is in a temporary folder, who
// takes away what is old there leaves alone what has the sticky bit (XDG Base
// Directory Specification; systemd-tmpfiles): a store may be read for days before
// it is written.
const fileMode = 0o600 | os.ModeSticky

// A Store is a session.Store in a file.
type Store struct {
	// Immutable.
	file string
	max  int
	log  *slog.Logger
	gate *gate
	stop chan struct{}
	done sync.WaitGroup // upkeep

	queue queue

	open   sync.RWMutex // held for reading by who uses db, for writing by who opens or closes it
	db     *bolt.DB     // nil: not held
	closed bool

	from [32]byte // where the next sweep begins; owned by upkeep
}

// Open returns a store. The file is opened when it is first needed: another
// process may hold it until then.
func Open(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Max <= 0 {
		o.Max = defaultMax
	}
	if err := os.MkdirAll(filepath.Dir(o.File), 0o700); err != nil {
		return nil, fmt.Errorf("open session store: %w", err)
	}
	g, err := newGate(o.File)
	if err != nil {
		return nil, fmt.Errorf("open session store: %w", err)
	}
	f, err := os.OpenFile(o.File, os.O_RDWR|os.O_CREATE, fileMode) // whether it could be
	if err != nil {
		g.close()
		return nil, fmt.Errorf("open session store: %w", err)
	}
	f.Close()
	s := &Store{file: o.File, max: o.Max, log: o.Log, gate: g, stop: make(chan struct{})}
	s.done.Go(s.upkeep) // waited for in Close
	return s, nil
}

// errClosed is the answer of a store after Close.
var errClosed = errors.New("session store: closed")

// Get implements session.Store.
func (s *Store) Get(ctx context.Context, k session.Key) (value []byte, err error) {
	err = s.with(ctx, func(db *bolt.DB) error {
		return db.View(func(tx *bolt.Tx) error {
			found, expires := decodeEntry(tx.Bucket(bucket).Get(k[:]))
			if found != nil && time.Now().Before(expires) {
				value = append([]byte(nil), found...)
			}
			return nil
		})
	})
	return value, err
}

// with calls f with the database open, and once more with a new one where the
// file turns out to be damaged.
func (s *Store) with(ctx context.Context, f func(*bolt.DB) error) error {
	for damaged := false; ; {
		db, err := s.hold(ctx)
		if err != nil {
			return err
		}
		err = guarded(func() error { return f(db) })
		s.open.RUnlock()
		var d *damage
		if !errors.As(err, &d) || damaged {
			return err
		}
		damaged = true
		s.putAside(db, d)
	}
}

// hold returns the database and holds s.open for reading.
func (s *Store) hold(ctx context.Context) (*bolt.DB, error) {
	for {
		s.open.RLock()
		switch {
		case s.closed:
			s.open.RUnlock()
			return nil, errClosed
		case s.db != nil:
			return s.db, nil
		}
		s.open.RUnlock()
		if err := s.acquire(ctx); err != nil {
			return nil, err
		}
	}
}

// acquire opens the file when no other process holds it.
func (s *Store) acquire(ctx context.Context) error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.db != nil || s.closed {
		return nil
	}
	if err := s.gate.enter(ctx); err != nil {
		return fmt.Errorf("open session store: %w", err)
	}
	db, err := s.openFile()
	if err != nil {
		s.gate.leave()
		return err
	}
	s.db = db
	return nil
}

// release gives the file up.
func (s *Store) release() {
	s.open.Lock()
	defer s.open.Unlock()
	s.closeFile()
}

func (s *Store) closeFile() {
	if s.db == nil {
		return
	}
	if err := guarded(s.db.Close); err != nil {
		s.log.Error("session store not closed", "file", s.file, "error", err)
	}
	s.db = nil
	s.gate.leave()
}

// Close implements session.Store.
func (s *Store) Close() error {
	close(s.stop)
	s.done.Wait()
	s.open.Lock()
	defer s.open.Unlock()
	var err error
	if s.closed = true; s.db != nil {
		err = guarded(s.db.Sync)
		s.closeFile()
	}
	return errors.Join(err, s.gate.close())
}
