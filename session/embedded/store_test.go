package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/frontd/frontd/session"
)

// TestMain runs the binary itself as another process that has the store open.
func TestMain(m *testing.M) {
	if file := os.Getenv("STORE_OF_ANOTHER"); file != "" {
		another(file)
		return
	}
	goleak.VerifyTestMain(m)
}

var bg = context.Background()

func openAt(t testing.TB, file string, limit int) *Store {
	t.Helper()
	s, err := Open(Options{File: file, Max: limit, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func key(n int) (k session.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

func put(t testing.TB, s *Store, n int, value string, left time.Duration) error {
	t.Helper()
	return s.Update(bg, func(tx session.Tx) error { return tx.Put(key(n), []byte(value), time.Now().Add(left)) })
}

// want checks what is stored, "" for nothing.
func want(t testing.TB, s *Store, n int, value string) {
	t.Helper()
	b, err := s.Get(bg, key(n))
	if err != nil || string(b) != value {
		t.Errorf("key %d: %q, %v, want %q", n, b, err, value)
	}
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestStoreKeeps(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sub", "s.db")
	s := openAt(t, file, 0)
	want(t, s, 1, "")
	put(t, s, 1, "one", time.Hour)
	put(t, s, 2, "gone", -time.Second)
	want(t, s, 1, "one")
	want(t, s, 2, "")
	failed := errors.New("no")
	err := s.Update(bg, func(tx session.Tx) error {
		tx.Put(key(1), []byte("two"), time.Now().Add(time.Hour))
		if b, _ := tx.Get(key(1)); string(b) != "two" {
			t.Errorf("a transaction reads %q of its own", b)
		}
		return failed
	})
	if err != failed {
		t.Errorf("error %v", err)
	}
	want(t, s, 1, "one")
	closeStore(t, s)
	if _, err := s.Get(bg, key(1)); err == nil {
		t.Error("Get after Close")
	}
	for _, f := range []string{file, file + ".lock", file + ".want"} {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
	s = openAt(t, file, 0)
	defer closeStore(t, s)
	want(t, s, 1, "one")
	s.Update(bg, func(tx session.Tx) error { return tx.Delete(key(1)) })
	want(t, s, 1, "")
}

func count(t testing.TB, s *Store, n int) {
	t.Helper()
	err := s.Update(bg, func(tx session.Tx) error {
		b, err := tx.Get(key(n))
		if err != nil {
			return err
		}
		var next [8]byte
		if b != nil {
			binary.BigEndian.PutUint64(next[:], binary.BigEndian.Uint64(b)+1)
		} else {
			next[7] = 1
		}
		return tx.Put(key(n), next[:], time.Now().Add(time.Hour))
	})
	if err != nil {
		t.Error(err)
	}
}

func counted(t testing.TB, s *Store, n int) uint64 {
	t.Helper()
	b, err := s.Get(bg, key(n))
	if err != nil || len(b) != 8 {
		t.Fatalf("%q, %v", b, err)
	}
	return binary.BigEndian.Uint64(b)
}

func TestConcurrentUpdates(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "s.db"), 0)
	defer closeStore(t, s)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { // waited for below
			for range 40 {
				count(t, s, 7)
			}
		})
	}
	wg.Wait()
	if n := counted(t, s, 7); n != 2000 {
		t.Errorf("counted %d, want 2000", n)
	}
}

func TestFull(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "s.db"), 3)
	defer closeStore(t, s)
	for n := range 3 {
		if err := put(t, s, n, "x", time.Duration(n)*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(t, s, 3, "x", time.Hour); !errors.Is(err, session.ErrFull) {
		t.Errorf("error %v, want ErrFull", err)
	}
	if err := put(t, s, 2, "y", time.Hour); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	db, err := s.hold(bg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.sweep(db); err != nil { // of key 0, which has expired
		t.Error(err)
	}
	s.open.RUnlock()
	if err := put(t, s, 3, "x", time.Hour); err != nil {
		t.Errorf("after a sweep: %v", err)
	}
	want(t, s, 2, "y")
}

func TestSweepGoesRound(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "s.db"), 0)
	defer closeStore(t, s)
	const n = 3 * sweepLooks
	err := s.Update(bg, func(tx session.Tx) error {
		for i := range n {
			left := time.Hour
			if i%10 == 0 {
				left = -time.Hour
			}
			tx.Put(key(i), []byte("x"), time.Now().Add(left))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	db, err := s.hold(bg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.open.RUnlock()
	for range 6 {
		if err := s.sweep(db); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if got := tx.Bucket(bucket).Sequence(); got != n*9/10 {
		t.Errorf("%d entries counted, want %d", got, n*9/10)
	}
	if got := tx.Bucket(bucket).Stats().KeyN; got != n*9/10 {
		t.Errorf("%d entries left, want %d", got, n*9/10)
	}
}

// What a power cut has left in place of the file ends all sessions, and no more.
func TestDamagedFileIsPutAside(t *testing.T) {
	for name, spoil := range map[string]func(file []byte) []byte{
		"no database": func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) },
		"cut":         func(b []byte) []byte { return b[:len(b)/2] },
		"zeroed": func(b []byte) []byte {
			clear(b[2*os.Getpagesize():])
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "s.db")
			s := openAt(t, file, 0)
			s.Update(bg, func(tx session.Tx) error {
				for i := range 2000 {
					tx.Put(key(i), bytes.Repeat([]byte("v"), 100), time.Now().Add(time.Hour))
				}
				return nil
			})
			closeStore(t, s)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, spoil(b), 0o600); err != nil {
				t.Fatal(err)
			}
			s = openAt(t, file, 0)
			defer closeStore(t, s)
			want(t, s, 1, "")
			if err := put(t, s, 1, "new", time.Hour); err != nil {
				t.Error(err)
			}
			want(t, s, 1, "new")
			if _, err := os.Stat(file + ".damaged"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A page that goes while the file is open is no end of the daemon.
func TestFileCutInUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.db")
	s := openAt(t, file, 0)
	defer closeStore(t, s)
	s.Update(bg, func(tx session.Tx) error {
		for i := range 2000 {
			tx.Put(key(i), bytes.Repeat([]byte("v"), 100), time.Now().Add(time.Hour))
		}
		return nil
	})
	if err := os.Truncate(file, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	want(t, s, 1500, "")
	if err := put(t, s, 1, "new", time.Hour); err != nil {
		t.Error(err)
	}
	want(t, s, 1, "new")
}

func TestPanicIsTheCallersAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.db")
	s := openAt(t, file, 0)
	defer closeStore(t, s)
	put(t, s, 1, "kept", time.Hour)
	err := s.Update(bg, func(session.Tx) error { panic("ours") })
	if err == nil || !strings.Contains(err.Error(), "ours") {
		t.Errorf("error %v", err)
	}
	want(t, s, 1, "kept")
}

// Two processes that have the same file open, as at a takeover, take turns.
func TestTwoProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.db")
	s := openAt(t, file, 0)
	defer closeStore(t, s)
	count(t, s, 1)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STORE_OF_ANOTHER="+file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Received below.
	mine := uint64(1)
	for ending := false; !ending; {
		select {
		case err := <-ended:
			if ending = true; err != nil {
				t.Errorf("the other process: %v\n%s", err, &out)
			}
		default:
			count(t, s, 1)
			mine++
		}
	}
	if n := counted(t, s, 1); n != mine+anothers {
		t.Errorf("counted %d, want %d of ours and %d of the other's", n, mine, anothers)
	}
	t.Logf("%d of ours beside %d of the other's", mine, anothers)
}

const anothers = 50

// another counts, and is killed in the middle of its use of the file: the
// kernel opens the gate.
func another(file string) {
	s, err := Open(Options{File: file})
	if err != nil {
		panic(err)
	}
	var t testing.T
	for range anothers {
		count(&t, s, 1)
	}
	if t.Failed() {
		os.Exit(1)
	}
	os.Exit(0) // without Close
}

func TestGatePatience(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.db")
	s := openAt(t, file, 0)
	hung := openAt(t, file, 0) // a holder that does not look at who waits
	if err := hung.gate.enter(bg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(bg)
	cancel(errors.New("client gone"))
	if _, err := s.Get(ctx, key(1)); err == nil || !strings.Contains(err.Error(), "client gone") {
		t.Errorf("error %v, want the context's", err)
	}
	hung.gate.leave()
	want(t, s, 1, "") // by the wait that was under way
	closeStore(t, hung)
	closeStore(t, s)
}
