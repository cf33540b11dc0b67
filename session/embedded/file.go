package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

var bucket = []byte("sessions")

// openFile opens the database, and begins anew where it is damaged.
func (s *Store) openFile() (*bolt.DB, error) {
	db, err := s.tryFile()
	var d *damage
	if !errors.As(err, &d) {
		return db, err
	}
	s.moveAside(d)
	return s.tryFile()
}

// tryFile opens the database, after a look at the whole of the file: what was
// not on the disk yet when the machine stopped may be half there.
func (s *Store) tryFile() (db *bolt.DB, err error) {
	if err := inspect(s.file); err != nil {
		return nil, fmt.Errorf("open session store: %w", err)
	}
	err = guarded(func() error {
		db, err = bolt.Open(s.file, fileMode, &bolt.Options{
			Timeout: gatePatience, NoSync: true, NoGrowSync: true, NoFreelistSync: true, NoStatistics: true,
			FreelistType: bolt.FreelistMapType,
		})
		return err
	})
	if err != nil {
		if invalid(err) {
			err = &damage{err}
		}
		return nil, fmt.Errorf("open session store: %w", err)
	}
	err = guarded(func() error {
		return db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(bucket)
			return err
		})
	})
	if err != nil {
		guarded(db.Close)
		return nil, fmt.Errorf("open session store: %w", err)
	}
	return db, nil
}

func invalid(err error) bool {
	return errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrChecksum) || errors.Is(err, berrors.ErrVersionMismatch)
}

// damage is a file that says what no store has written.
type damage struct{ err error }

func (d *damage) Error() string { return "damaged: " + d.err.Error() }
func (d *damage) Unwrap() error { return d.err }

// guarded calls f, in which bbolt reads a file that is mapped into memory: it
// panics at what it cannot be, and a page that is gone is a fault.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = &damage{fmt.Errorf("%v", v)}
		}
	}()
	return f()
}

// putAside ends the use of a damaged database, unless that was done already.
func (s *Store) putAside(db *bolt.DB, d *damage) {
	s.open.Lock()
	defer s.open.Unlock()
	if s.db != db || s.closed {
		return
	}
	s.moveAside(d)
	s.closeFile()
}

// moveAside keeps the last damaged file for who wants to know, and no more.
func (s *Store) moveAside(d *damage) {
	s.log.Error("session store begins anew: all sessions have ended", "file", s.file, "kept", s.file+".damaged", "error", d)
	if err := os.Rename(s.file, s.file+".damaged"); err != nil {
		s.log.Error("damaged session store not kept", "file", s.file, "error", err)
		os.Remove(s.file)
	}
}

// An entry is a value with when it expires and a checksum: pages have none.
const entryHead = 8 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeEntry(value []byte, expires time.Time) []byte {
	b := make([]byte, entryHead, entryHead+len(value))
	binary.BigEndian.PutUint64(b, uint64(expires.UnixMicro()))
	b = append(b, value...)
	binary.BigEndian.PutUint32(b[8:], entrySum(b))
	return b
}

// decodeEntry returns nil for none, and for what is damaged.
func decodeEntry(b []byte) (value []byte, expires time.Time) {
	if len(b) <= entryHead || binary.BigEndian.Uint32(b[8:]) != entrySum(b) {
		return nil, time.Time{}
	}
	return b[entryHead:], time.UnixMicro(int64(binary.BigEndian.Uint64(b)))
}

func entrySum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:8], castagnoli), castagnoli, b[entryHead:])
}
