package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/fcgi"
)

// cutWorker answers each request with what it is given, and then dies.
func cutWorker(t *testing.T, answer string) *fcgi.Upstream {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "c"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done) // received at the test's end
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 64<<10)
			nc.Read(b) // what is unread at the close would break the answer too early
			nc.Write(fcgi.AppendRecord(nil, fcgi.TypeStdout, uint16(b[2])<<8|uint16(b[3]), []byte(answer)))
			nc.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return upstreamAt(l.Addr().String(), 1)
}

// As long as the client has seen nothing of an answer, a request that is safe
// to repeat goes to another worker.
func TestGatewayRepeatsWhatNobodySaw(t *testing.T) {
	good := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "whole") }))
	for _, tt := range []struct{ name, method, answer string }{
		{"half a head", "GET", "Content-Ty"},
		{"half a head, not idempotent", "POST", "Content-Ty"},
		{"half a body", "GET", "Content-Type: text/plain\r\n\r\nwho"},
		{"half a body, not idempotent", "POST", "Content-Type: text/plain\r\n\r\nwho"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := gateway(cutWorker(t, tt.answer)) // idle longest: it goes first
			g.Pool.Add(good.upstream)
			url, records := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
			resp, err := http.DefaultTransport.RoundTrip(newReq(t, tt.method, url, nil))
			body := []byte(nil)
			if err == nil {
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			x := <-records
			if tt.method == "POST" {
				if x.Attempts != 1 || x.Cause != WorkerDied || err == nil && resp.StatusCode != 502 {
					t.Errorf("%v, %q, %d attempts, cause %q; want it lost", err, body, x.Attempts, x.Cause)
				}
				return
			}
			// A piece of the body may have been on its way before the end was known.
			repeated := err == nil && resp.StatusCode == 200 && string(body) == "whole" && x.Attempts == 2
			broken := err != nil && strings.HasPrefix("who", string(body)) && x.Attempts == 1 && strings.Contains(tt.answer, "who")
			if !repeated && !broken {
				t.Errorf("%v, %q, %d attempts; want it whole after 2", err, body, x.Attempts)
			}
		})
	}
}

// A seenEnd tells when its peer's end was read.
type seenEnd struct {
	net.Conn
	once sync.Once
	end  chan struct{}
}

func (s *seenEnd) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // which is of this side
		s.once.Do(func() { close(s.end) })
	}
	return n, err
}

// A worker's death finds the body on its way from the client: it is repeated
// as one that is here, once it is.
func TestGatewayRepeatsWhenTheBodyIsHere(t *testing.T) {
	good := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q %v", r.Method, b, err)
	}))
	var taken atomic.Int64
	dying := dyingWorker(t, &taken)
	dead := &seenEnd{end: make(chan struct{})}
	dial := dying.Transport.Dial
	dying.Transport.Dial = func(ctx context.Context) (net.Conn, error) {
		nc, err := dial(ctx)
		dead.Conn = nc
		return dead, err
	}
	g := gateway(dying) // idle longest: it goes first
	g.Pool.Add(good.upstream)
	url, records := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
	<-dead.end
	io.WriteString(nc, "dy")
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if want := `PUT "body" <nil>`; err != nil || string(body) != want {
		t.Errorf("status %d, %q, %v; want %q", resp.StatusCode, body, err, want)
	}
	if x := <-records; x.Attempts != 2 || x.Cause != "" {
		t.Errorf("%d attempts, cause %q", x.Attempts, x.Cause)
	}
}

// A worker that cannot be reached is no repetition: nothing was sent.
func TestGatewayDialsAreNoRepeats(t *testing.T) {
	g := gateway()
	var dials atomic.Int64
	for range 2 * maxRepeats {
		u := upstreamAt("", 1)
		u.Transport.Dial = func(context.Context) (net.Conn, error) {
			dials.Add(1)
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		g.Pool.Add(u)
	}
	g.Pool.Add(startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") })).upstream)
	url, _ := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	resp, body := fetch(t, newReq(t, "POST", url, strings.NewReader("x")))
	if resp.StatusCode != 200 || body != "here" || dials.Load() != 2*maxRepeats {
		t.Errorf("status %d %q after %d dials; want the one that is there", resp.StatusCode, body, dials.Load())
	}
	if lost := g.Lost(1); len(lost) > 0 {
		t.Errorf("lost %+v: no worker had it in hand", lost)
	}
}

// A worker that answers again did not die of what it broke off: when it does
// die, that is not told as what it had in hand.
func TestGatewayForgetsWhatNoDeathTook(t *testing.T) {
	w := startWorker(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			io.WriteString(w, "part")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, "whole")
	}))
	g := gateway(w.upstream)
	url, records := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	for _, tt := range []struct {
		after string // what is asked for behind the broken answer
		lost  int
	}{{"", 1}, {"/broken", 2}, {"/whole", 0}} {
		for _, path := range []string{"/broken", tt.after} {
			if path == "" {
				continue
			}
			resp, err := http.DefaultTransport.RoundTrip(newReq(t, "POST", url+path, nil))
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if x := <-records; (x.Cause == WorkerDied) != (path == "/broken") {
				t.Errorf("%s: %v, cause %q", path, err, x.Cause)
			}
		}
		if lost := g.Lost(1); len(lost) != tt.lost {
			t.Errorf("then %q: lost %+v, want %d", tt.after, lost, tt.lost)
		}
	}
}

// A process that ends long after one of its connections broke did not lose what
// that one had: a worker breaks answers off that it cannot finish, and lives on.
func TestGatewayForgetsWhatIsLongLost(t *testing.T) {
	g := &Gateway{lost: []lostFlight{
		{Flight{PID: 1, ID: "long ago"}, time.Now().Add(-lostFor)},
		{Flight{PID: 1, ID: "now"}, time.Now().Add(time.Hour)},
		{Flight{PID: 2, ID: "another's"}, time.Now().Add(time.Hour)},
	}}
	if lost := g.Lost(1); len(lost) != 1 || lost[0].ID != "now" {
		t.Errorf("lost %+v, want that of now", lost)
	}
	if len(g.lost) != 1 {
		t.Errorf("%+v stay, want another's", g.lost)
	}
}

// Being out of descriptors is told as that, and not held against the worker.
func TestGatewayExhausted(t *testing.T) {
	good := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }))
	dial := good.upstream.Transport.Dial
	var full atomic.Bool
	full.Store(true)
	good.upstream.Transport.Dial = func(ctx context.Context) (net.Conn, error) {
		if full.Load() {
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		}
		return dial(ctx)
	}
	g := gateway(good.upstream)
	url, records := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	resp, _ := fetch(t, newReq(t, "GET", url, nil))
	x := <-records
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || x.Cause != Exhausted || x.Attempts != 1 || !strings.Contains(x.Detail, "too many open files") {
		t.Errorf("status %d, %v, %q %q after %d attempts", resp.StatusCode, resp.Header, x.Cause, x.Detail, x.Attempts)
	}
	full.Store(false)
	s := settingsFor()
	s.QueueTimeout = 1 // in doubt, it would not be given any request
	url, _ = site(t, Route{Path: "/", App: "app", Settings: s, Handler: g})
	if resp, body := fetch(t, newReq(t, "GET", url, nil)); resp.StatusCode != 200 {
		t.Errorf("with descriptors again: status %d %q", resp.StatusCode, body)
	}
}
