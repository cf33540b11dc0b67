package embedded

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/frontd/frontd/session"
)

// sample returns a file with branches, overflow pages and freed pages.
func sample(t testing.TB) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s.db")
	s := openAt(t, file, 0)
	for round := range 3 {
		err := s.Update(bg, func(tx session.Tx) error {
			for i := round; i < 1500; i += round + 1 {
				value := bytes.Repeat([]byte("v"), 100)
				if i%100 == 0 {
					value = bytes.Repeat([]byte("v"), 3*os.Getpagesize())
				}
				if err := tx.Put(key(i), value, time.Now().Add(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	if err := inspect(file); err != nil {
		t.Fatalf("a sound file: %v", err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spoilPages damages some pages as a power cut does, or a disk.
func spoilPages(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	size := os.Getpagesize()
	for range 1 + r.IntN(4) {
		p := b[r.IntN(len(b)/size)*size:][:size]
		switch r.IntN(6) {
		case 0:
			clear(p)
		case 1: // another page's
			copy(p, b[r.IntN(len(b)/size)*size:][:size])
		case 2: // half of it
			clear(p[r.IntN(size):])
		case 3: // its header
			p[r.IntN(pageHead)] ^= byte(1 + r.IntN(255))
		case 4: // its elements
			for range 8 {
				p[pageHead+r.IntN(16*elementHead)] = byte(r.IntN(256))
			}
		case 5:
			for i := range p {
				p[i] = byte(r.IntN(256))
			}
		}
	}
	if r.IntN(8) == 0 {
		b = b[:r.IntN(len(b))]
	}
	return b
}

// Whatever became of the file, the store works: a panic in a goroutine of
// bbolt's would end this test.
func TestDamagedPages(t *testing.T) {
	sound := sample(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "s.db")
	aside := 0
	const seeds = 500
	for seed := range uint64(seeds) {
		if err := os.WriteFile(file, spoilPages(rand.New(rand.NewPCG(seed, 1)), sound), 0o600); err != nil {
			t.Fatal(err)
		}
		s := openAt(t, file, 0)
		for i := 0; i < 1500; i += 50 {
			if _, err := s.Get(bg, key(i)); err != nil {
				t.Errorf("seed %d: get: %v", seed, err)
			}
		}
		if err := put(t, s, 1, "new", time.Hour); err != nil {
			t.Errorf("seed %d: put: %v", seed, err)
		}
		want(t, s, 1, "new")
		closeStore(t, s)
		if os.Remove(file+".damaged") == nil {
			aside++
		}
	}
	if aside < seeds/4 || aside == seeds {
		t.Errorf("%d of %d files put aside: the damage is not what it should be", aside, seeds)
	}
	t.Logf("%d of %d files put aside", aside, seeds)
}

// FuzzInspect looks for a file that passes and that bbolt does not bear.
func FuzzInspect(f *testing.F) {
	sound := sample(f)
	f.Add(uint64(0), uint64(0), []byte{})
	f.Add(uint64(8*os.Getpagesize()), uint64(0), make([]byte, 16))
	f.Fuzz(func(t *testing.T, at, cut uint64, over []byte) {
		b := bytes.Clone(sound)
		copy(b[at%uint64(len(b)):], over)
		b = b[:uint64(len(b))-cut%uint64(len(b))]
		file := filepath.Join(t.TempDir(), "s.db")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{File: file, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer closeStore(t, s)
		if err := put(t, s, 1, "new", time.Hour); err != nil {
			t.Error(err)
		}
	})
}
