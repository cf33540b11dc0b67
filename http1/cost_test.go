package http1

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A feed is a connection that brings the same request again and again.
type feed struct {
	net.Conn
	raw  string
	left int // requests to come

	begun bool
}

func (f *feed) Read(p []byte) (int, error) {
	if f.begun { // by a wait without a buffer, which takes one byte
		f.begun = false
		return copy(p, f.raw[1:]), nil
	}
	if f.left--; f.left < 0 {
		return 0, io.EOF
	}
	f.begun = len(p) == 1
	return copy(p, f.raw), nil
}
func (f *feed) Write(p []byte) (int, error)      { return len(p), nil }
func (f *feed) Close() error                     { return nil }
func (f *feed) RemoteAddr() net.Addr             { return nil }
func (f *feed) SetReadDeadline(time.Time) error  { return nil }
func (f *feed) SetWriteDeadline(time.Time) error { return nil }

const browser = "GET /a/path?with=query HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"accept: text/html,*/*;q=0.8\r\naccept-language: en\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: a=b; c=d\r\n" +
	"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Mode: navigate\r\nCache-Control: max-age=0\r\n\r\n"

var (
	helloType   = []string{"text/plain"}
	helloLength = []string{"6"}
	hello       = []byte("hello\n")
)

func answerHello(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = helloType
	w.Header()["Content-Length"] = helloLength
	w.Write(hello)
}

// The bounds are what is there to be bounded, not what would be nice: the copy
// of the head, the turn, and the http.Request that net/http's API lets nobody
// use again; and the channel of a context, where it is asked for.
func TestAllocationsARequest(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector empties pools")
	}
	for _, c := range []struct {
		why     string
		handler http.HandlerFunc
		raw     string
		most    float64
	}{
		{"plain", answerHello, get, 3},
		{"a browser's", answerHello, browser, 3},
		{"with a context", func(w http.ResponseWriter, r *http.Request) {
			_ = r.Context().Done()
			answerHello(w, r)
		}, browser, 4},
		{"with a body", func(w http.ResponseWriter, r *http.Request) {
			var b [100]byte
			for {
				if _, err := r.Body.Read(b[:]); err != nil {
					break
				}
			}
			answerHello(w, r)
		}, post("Content-Length: 5\r\n\r\nabcd\n"), 6},
	} {
		const runs = 2000
		s := &Server{Handler: c.handler, Log: quietLog}
		s.begin()
		run := func(n int) {
			k := newConn(s, &feed{raw: c.raw, left: n})
			s.conns = append(s.conns[:0], k)
			k.serve()
		}
		run(10) // whatever is made once
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		run(runs)
		runtime.ReadMemStats(&after)
		// A collection on the way may empty the pool, and a second goroutine is here too.
		if got := float64(after.Mallocs-before.Mallocs) / runs; got > c.most+0.2 {
			t.Errorf("%s: %.2f allocations a request, at most %.0f", c.why, got, c.most)
		}
		s.ending.Store(true)
		s.sweeping.Wait()
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, raw := range map[string]string{"short": get, "browser": browser} {
		b.Run(name, func(b *testing.B) {
			s := &Server{Handler: http.HandlerFunc(answerHello), Log: quietLog}
			s.begin()
			c := newConn(s, &feed{raw: raw, left: b.N})
			s.conns = append(s.conns, c)
			b.ReportAllocs()
			c.serve()
			b.StopTimer()
			s.ending.Store(true)
			s.sweeping.Wait()
		})
	}
}

// An idle connection holds no buffers: ten thousand cost at most 12 KiB each,
// their ends of the wire included.
func TestIdleConnectionsAreSmall(t *testing.T) {
	const count = 10_000
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answerHello(w, r)
		deep(50) // a chain of handlers has a stack
	})}
	serve(t, s, func(l *memListener) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		conns := make([]net.Conn, count)
		b := make([]byte, 1000)
		for i := range conns {
			conns[i] = l.dial()
			io.WriteString(conns[i], browser)
			if n, err := conns[i].Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200") {
				t.Fatalf("%q, %v", b[:n], err)
			}
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		total := after.HeapInuse + after.StackInuse - before.HeapInuse - before.StackInuse
		t.Logf("%d bytes a connection (heap %d, stacks %d)", total/count,
			(after.HeapInuse-before.HeapInuse)/count, (after.StackInuse-before.StackInuse)/count)
		if total/count > 12<<10 {
			t.Errorf("%d bytes a connection, at most 12 KiB", total/count)
		}
		for _, c := range conns {
			c.Close()
		}
	})
}

//go:noinline
func deep(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n) + deep(n-1)
}
