package http1

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/frontd/frontd/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get is a request that nothing is wrong with.
const get = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

var quietLog = slog.New(slog.DiscardHandler)

// A memListener hands out connections in memory.
type memListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newListener() *memListener {
	return &memListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *memListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *memListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *memListener) dial() *memnet.Conn {
	ours, theirs := memnet.Pipe()
	l.conns <- theirs
	return ours
}

// serve runs f with s serving.
func serve(t testing.TB, s *Server, f func(l *memListener)) {
	t.Helper()
	if s.Log == nil {
		s.Log = quietLog
	}
	l := newListener()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	// Received below.
	f(l)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-done; !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// talk writes raw, in pieces of at most size bytes, ends its half, and returns all that
// comes back until the server closes.
func (l *memListener) talk(raw string, size int) string {
	c := l.dial()
	defer c.Close()
	for rest := raw; rest != ""; {
		n := min(size, len(rest))
		if _, err := io.WriteString(c, rest[:n]); err != nil {
			break // refused before all was sent
		}
		rest = rest[n:]
	}
	c.CloseWrite()
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// statuses parses all answers on a connection and returns their statuses.
func statuses(t testing.TB, answers string) []int {
	t.Helper()
	var all []int
	for r := bufio.NewReader(strings.NewReader(answers)); ; {
		res, err := http.ReadResponse(r, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return all
		}
		if err != nil {
			t.Fatalf("answer %d of %q: %v", len(all)+1, answers, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatalf("body of answer %d of %q: %v", len(all)+1, answers, err)
		}
		all = append(all, res.StatusCode)
	}
}

// swallow reads the body and answers 200, or breaks off with the body's error.
func swallow(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		var rule *Rule
		if !errors.As(err, &rule) {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Connection", "close")
		w.Header().Set("X-Rule", rule.Name)
		w.WriteHeader(rule.Status)
	}
}
