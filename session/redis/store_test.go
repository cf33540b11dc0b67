package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/frontd/frontd/internal/counterpart"
	"github.com/frontd/frontd/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// server is the real one, with nothing on the disk; the test kills it.
func server(t *testing.T) (url string, p *counterpart.Process) {
	t.Helper()
	path := counterpart.Find(t, "redis-server")
	dir := counterpart.Dir(t)
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	p = counterpart.Start(t, cmd)
	p.AwaitLine(`(?i)ready to accept connections`, time.Minute)
	return "unix://" + socket, p
}

func open(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func count(s *Store, k session.Key) error {
	return s.Update(bg, func(tx session.Tx) error {
		b, err := tx.Get(k)
		if err != nil {
			return err
		}
		var next [8]byte
		if b != nil {
			copy(next[:], b)
		}
		binary.BigEndian.PutUint64(next[:], binary.BigEndian.Uint64(next[:])+1)
		return tx.Put(k, next[:], time.Now().Add(time.Hour))
	})
}

// Two fronts count the same key, 25 requests at once each: bytes of all kinds
// come back as they went, and none is lost.
func TestFrontsShareAStore(t *testing.T) {
	url, _ := server(t)
	fronts := []*Store{open(t, url), open(t, url)}
	k := session.Key{1, 0xff, '\n'}
	var wg sync.WaitGroup
	for _, s := range fronts {
		for range 25 {
			wg.Go(func() { // waited for below
				for range 8 {
					if err := count(s, k); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	b, err := fronts[0].Get(bg, k)
	if err != nil || len(b) != 8 || binary.BigEndian.Uint64(b) != 400 {
		t.Errorf("%x, %v, want 400", b, err)
	}
}

func TestUpdate(t *testing.T) {
	url, p := server(t)
	s := open(t, url)
	a, b := session.Key{1}, session.Key{2}
	failed := errors.New("no")
	err := s.Update(bg, func(tx session.Tx) error {
		tx.Put(a, []byte("x"), time.Now().Add(time.Hour))
		return failed
	})
	if got, _ := s.Get(bg, a); err != failed || got != nil {
		t.Errorf("a failed transaction: %q, %v", got, err)
	}
	err = s.Update(bg, func(tx session.Tx) error {
		tx.Put(a, []byte("1"), time.Now().Add(time.Hour))
		return tx.Put(b, []byte("2"), time.Now().Add(-time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := s.client.TTL(bg, name(a)).Result(); err != nil || left < 59*time.Minute || left > time.Hour {
		t.Errorf("it is kept for %v, %v", left, err)
	}
	tries := 0
	err = s.Update(bg, func(tx session.Tx) error {
		v, err := tx.Get(a)
		if err != nil {
			return err
		}
		if tries++; tries == 1 { // another front is faster
			s.client.Set(bg, name(a), "other", 0)
		}
		return tx.Put(b, append([]byte("after "), v...), time.Now().Add(time.Hour))
	})
	if got, _ := s.Get(bg, b); err != nil || string(got) != "after other" || tries != 2 {
		t.Errorf("overtaken: %q after %d tries, %v", got, tries, err)
	}
	err = s.Update(bg, func(tx session.Tx) error { return tx.Delete(a) })
	if got, _ := s.Get(bg, a); err != nil || got != nil {
		t.Errorf("deleted: %q, %v", got, err)
	}
	p.Signal(syscall.SIGKILL)
	p.AwaitExit(30 * time.Second)
	if _, err := s.Get(bg, a); err == nil {
		t.Error("Get without a server")
	}
	if err := count(s, a); err == nil {
		t.Error("Update without a server")
	}
}

func TestOpenHidesThePassword(t *testing.T) {
	if _, err := Open("redis://u:hunter2@host:port:1/x"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}
