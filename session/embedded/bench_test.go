package embedded

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/session"
)

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRequest is what a request costs that loads a session among 100,000
// and changes it, in CPU time, user and system.
func BenchmarkRequest(b *testing.B) {
	store, err := Open(Options{File: filepath.Join(b.TempDir(), "s.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	s, err := session.New(session.Policy{
		Cookie: session.Cookie{Name: "sid", Path: "/"}, Idle: time.Hour, Lifetime: 12 * time.Hour,
		MaxBytes: 16 << 10, Secrets: [][]byte{make([]byte, session.MinSecret)},
	}, store)
	if err != nil {
		b.Fatal(err)
	}
	for base := 0; base < 100_000; base += 1000 {
		store.Update(bg, func(tx session.Tx) error {
			for i := range 1000 {
				k := key((base + i) * 0x9E3779B97F4A7C1)
				tx.Put(k, make([]byte, 300), time.Now().Add(time.Hour))
			}
			return nil
		})
	}
	cookie := first(b, s)
	for name, fields := range map[string]http.Header{
		"read": nil, "write": {session.HeaderAdd: {"n=1"}, session.HeaderSet: {"page=%22%2Fcart%22"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			begin := cpuTime(b)
			for b.Loop() {
				request(b, s, cookie, fields)
			}
			b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/1e3, "cpu-us/op")
		})
	}
	b.Run("write from 50", func(b *testing.B) {
		b.SetParallelism(25)
		begin := cpuTime(b)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				request(b, s, cookie, http.Header{session.HeaderAdd: {"n=1"}})
			}
		})
		b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/1e3, "cpu-us/op")
	})
}

func first(b *testing.B, s *session.Sessions) string {
	b.Helper()
	return request(b, s, "", http.Header{session.HeaderSet: {"user=%22ann%22", "roles=%5B%22editor%22%5D", "csrf=%22c2Vzc2lvbnM%22"}})
}

func request(b *testing.B, s *session.Sessions, cookie string, fields http.Header) string {
	n, err := s.Load(context.Background(), []string{cookie}, "example.com", false)
	if err != nil {
		b.Fatal(err)
	}
	h := make(http.Header, len(fields))
	for k, v := range fields {
		h[k] = v
	}
	ch, err := session.TakeChanges(h)
	if err != nil {
		b.Fatal(err)
	}
	set, err := n.Commit(context.Background(), ch, false)
	if err != nil || (cookie == "") != (set != "") {
		b.Fatalf("Set-Cookie %q, %v", set, err)
	}
	return set
}
