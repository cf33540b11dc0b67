package front

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// A door is a whole server on connections in memory, on virtual time.
type door struct {
	t        *testing.T
	engine   Engine
	server   *Server
	conns    chan net.Conn
	closed   chan struct{}
	once     sync.Once
	refusals []Refusal

	mu   sync.Mutex // guards the field below
	seen []Exchange // ended, in order
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}
func (d *door) Close() error   { d.once.Do(func() { close(d.closed) }); return nil }
func (d *door) Addr() net.Addr { return &net.TCPAddr{} }

// open runs f with a server of each engine for c; its handler takes every
// request unless c has routes.
func open(t *testing.T, c Config, sc ServerConfig, handler http.HandlerFunc, f func(d *door)) {
	t.Helper()
	for _, sc.Engine = range []Engine{OwnEngine, NetEngine} {
		failed := t.Failed()
		openOne(t, c, sc, handler, f)
		if t.Failed() && !failed {
			t.Logf("with engine %s", sc.Engine)
		}
	}
}

// openOne does it in a bubble of virtual time.
func openOne(t *testing.T, c Config, sc ServerConfig, handler http.HandlerFunc, f func(d *door)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &door{t: t, engine: sc.Engine, conns: make(chan net.Conn), closed: make(chan struct{})}
		if c.Routes == nil {
			settings := DefaultSettings()
			if c.Settings != nil {
				settings = *c.Settings
			}
			c.Routes = []Route{{Handler: handler, Settings: settings}}
		}
		c.Log, sc.Log = quiet, quiet
		c.Observe = func(x *Exchange) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.seen = append(d.seen, *x)
		}
		sc.Refusal = func(r Refusal) { d.refusals = append(d.refusals, r) }
		chain, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		d.server = NewServer(chain, sc)
		done := make(chan error, 1)
		go func() { done <- d.server.Serve(d) }()
		// Received below.
		f(d)
		// Unlike Close it waits for connections that linger after an error.
		if err := d.server.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func (d *door) dial() *memnet.Conn {
	ours, theirs := memnet.Pipe()
	d.conns <- theirs
	return ours
}

// talk writes raw, in pieces of at most size bytes, and returns all that comes back until the
// server closes; virtual time brings it to close an idle connection.
func (d *door) talk(raw string, size int) string {
	d.t.Helper()
	c := d.dial()
	defer c.Close()
	for rest := raw; rest != ""; {
		n := min(size, len(rest))
		if _, err := io.WriteString(c, rest[:n]); err != nil {
			break // refused before all was sent
		}
		rest = rest[n:]
		synctest.Wait()
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		d.t.Fatalf("read the answer: %v", err)
	}
	return string(answer)
}

// statuses parses all answers on a connection and returns their statuses.
func statuses(t *testing.T, answers string) []int {
	t.Helper()
	var all []int
	if answers == "" {
		return nil
	}
	for r := bufio.NewReader(strings.NewReader(answers)); ; {
		res, err := http.ReadResponse(r, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && len(all) > 0 {
			return all
		}
		if err != nil {
			t.Fatalf("answer %d of %q: %v", len(all)+1, answers, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatalf("body of answer %d: %v", len(all)+1, err)
		}
		all = append(all, res.StatusCode)
	}
}

func ok(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		Fail(w, r, CauseOf(err), err.Error())
		return
	}
	io.WriteString(w, "ok")
}

func TestChainTellsTheHandlerWhatItDecided(t *testing.T) {
	var got Exchange
	open(t, Config{}, ServerConfig{Listener: Listener{Name: "test"}}, func(w http.ResponseWriter, r *http.Request) {
		got = *ExchangeOf(r)
		if r.URL.Path != "/b c" || r.RequestURI != "/a/../%62%20c?x=%20" {
			t.Errorf("request has path %q, target %q", r.URL.Path, r.RequestURI)
		}
		w.WriteHeader(http.StatusTeapot)
	}, func(d *door) {
		answer := d.talk("GET /a/../%62%20c?x=%20 HTTP/1.1\r\nHost: Example.com:8080\r\n\r\n", 1<<20)
		if !strings.HasPrefix(answer, "HTTP/1.1 418 ") || !strings.Contains(answer, "X-Request-Id: "+got.ID+"\r\n") {
			t.Errorf("answer %q, request id %q", answer, got.ID)
		}
		if x := d.seen[0]; x.Status != http.StatusTeapot || x.Cause != "" {
			t.Errorf("recorded status %d, cause %q", x.Status, x.Cause)
		}
	})
	if got.Path != "/b c" || got.Host != "Example.com:8080" || got.hostName != "example.com" || got.Scheme != "http" || got.Listener.Name != "test" {
		t.Errorf("exchange: %+v", got)
	}
	if len(got.ID) != idLen {
		t.Errorf("id %q of %d letters", got.ID, len(got.ID))
	}
}

func TestPanicIsOneIncidentAndOneAnswer(t *testing.T) {
	var logged bytes.Buffer
	var failures []Failure
	h := &exception{log: slog.New(slog.NewTextHandler(&logged, nil)), hook: func(f Failure) *incident.Incident { failures = append(failures, f); return nil },
		next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("lost my way") })}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "lost my way") {
		t.Errorf("answer %d %q: want 500 that keeps the reason", w.Code, w.Body)
	}
	if n := strings.Count(logged.String(), "panic while serving"); n != 1 || !strings.Contains(logged.String(), "front_test.go") {
		t.Errorf("logged %d times, want once with the stack: %s", n, &logged)
	}
	if len(failures) != 1 || failures[0].Panic != "lost my way" || len(failures[0].Stack) == 0 {
		t.Errorf("failures: %+v", failures)
	}
}

func TestPanicAfterTheHeadBreaksTheAnswer(t *testing.T) {
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic("late")
	}, func(d *door) {
		answer := d.talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1<<20)
		if !strings.Contains(answer, "half") || strings.Contains(answer, "0\r\n\r\n") {
			t.Errorf("answer %q: want a chunk and no end", answer)
		}
		if x := d.seen[0]; x.Status != 200 || x.Cause != Internal {
			t.Errorf("recorded status %d, cause %q", x.Status, x.Cause)
		}
	})
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) { // H1
	var raw strings.Builder
	const n = 100
	for i := range n {
		body := strings.Repeat("x", i)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&raw, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		case 1:
			fmt.Fprintf(&raw, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body)
		case 2:
			fmt.Fprintf(&raw, "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", i, len(body), body)
		}
	}
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %v;", r.URL.Path, len(body), err)
	}, func(d *door) {
		answer := d.talk(raw.String(), 1<<20)
		at := 0
		for i := range n {
			size := i
			if i%3 == 0 {
				size = 0
			}
			want := fmt.Sprintf("/%d %d <nil>;", i, size)
			next := strings.Index(answer[at:], want)
			if next < 0 {
				t.Fatalf("answer %q is missing or out of order", want)
			}
			at += next
		}
		if got := len(statuses(t, answer)); got != n {
			t.Errorf("%d answers, want %d", got, n)
		}
	})
}

// BenchmarkChain is the cost of the chain without an application or network.
func BenchmarkChain(b *testing.B) {
	log := NewAccessLog(io.Discard, LogText)
	chain, err := New(Config{AccessLog: log, Log: quiet, Routes: []Route{{Path: "/", Settings: DefaultSettings(),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })}}})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/some/path?query", nil)
	r = r.WithContext(WithListener(b.Context(), Listener{Name: "test"}))
	w := &nullWriter{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		chain.ServeHTTP(w, r)
	}
}

type nullWriter struct{ h http.Header }

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}

func (w *nullWriter) SetWriteDeadline(time.Time) error { return nil }

// mustWrite makes files of a map from name to content; a name that ends in a
// slash is a folder.
func mustWrite(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		full := dir + "/" + name
		if err := os.MkdirAll(full[:strings.LastIndexByte(full, '/')], 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
