package fcgi

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/frontd/frontd/internal/memnet"
)

// tortureTime is how long all of TestTorture runs; FRONTD_TORTURE=10m lengthens it.
func tortureTime(t *testing.T) time.Duration {
	if v := os.Getenv("FRONTD_TORTURE"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatalf("FRONTD_TORTURE: %v", err)
		}
		return d
	}
	if testing.Short() {
		return 2 * time.Second
	}
	return 5 * time.Second
}

// Both ends of this package against each other, with everything going wrong
// that can: no answer reaches another's request, and none that was cut looks whole.
func TestTorture(t *testing.T) {
	tests := []struct {
		name string
		site *tortureSite
	}{
		{"flow, unix sockets, calm", &tortureSite{flow: true, unix: true}},
		{"plain, unix sockets, calm", &tortureSite{unix: true}},
		{"flow, split at random, calm", &tortureSite{flow: true}},
		{"plain, split at random, calm", &tortureSite{}},
		{"flow, unix sockets, storm", &tortureSite{flow: true, unix: true, storm: true}},
		{"plain, unix sockets, storm", &tortureSite{unix: true, storm: true}},
		{"flow, split at random, storm", &tortureSite{flow: true, storm: true}},
		{"plain, split at random, storm", &tortureSite{storm: true}},
	}
	share := tortureTime(t) / time.Duration(len(tests))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			s := tt.site
			s.t, s.dir = t, t.TempDir()
			s.run(share)
		})
	}
}

// A tortureSite is a Pool of workers and the clients that torment them.
type tortureSite struct {
	t     *testing.T
	dir   string
	flow  bool
	unix  bool // else memnet, cut at random
	storm bool // connections are reset and workers replaced under load
	pool  *Pool

	ids   atomic.Uint64 // of requests
	names atomic.Uint64 // of sockets

	mu      sync.Mutex // guards the fields below
	conns   []net.Conn // that may be reset
	results map[string]int
}

const (
	tortureClients = 12
	tortureWorkers = 3
	tortureShare   = 6 // a worker's requests at once: clients wait for their turn in a storm
)

func (s *tortureSite) run(d time.Duration) {
	s.pool, s.results = NewPool(tortureClients), make(map[string]int)
	workers := make(chan *tortureWorker, tortureWorkers)
	for range tortureWorkers {
		w := s.start()
		s.pool.Add(w.up)
		workers <- w
	}
	end := time.NewTimer(d)
	over := make(chan struct{})
	var clients, chaos sync.WaitGroup
	for i := range uint64(tortureClients) {
		clients.Go(func() { s.client(rand.New(rand.NewPCG(i, uint64(d))), over) })
	}
	if s.storm {
		chaos.Go(func() { s.reset(over) })
		chaos.Go(func() { s.replace(workers, over) })
	}
	<-end.C
	close(over)
	clients.Wait()
	chaos.Wait()
	close(workers)
	for w := range workers {
		s.retire(w, time.Second)
	}
	st := s.pool.Stats()
	if st.Busy != 0 || st.Waiting != 0 {
		s.t.Errorf("at the end %d requests are busy and %d wait", st.Busy, st.Waiting)
	}
	s.t.Logf("%d requests: %v", s.ids.Load(), s.results)
}

// A tortureWorker is a Server with its way in.
type tortureWorker struct {
	up     *Upstream
	srv    *Server
	served chan error
}

func (s *tortureSite) start() *tortureWorker {
	w := &tortureWorker{served: make(chan error, 1)}
	w.srv = &Server{Handler: http.HandlerFunc(s.serve), ErrorLog: s.breach}
	tr := &Transport{Flow: s.flow, Hold: s.flow, Keep: true, MaxIdle: tortureShare}
	var l net.Listener
	if s.unix {
		path := filepath.Join(s.dir, strconv.FormatUint(s.names.Add(1), 10))
		ul, err := net.Listen("unix", path)
		if err != nil {
			s.t.Fatal(err)
		}
		l = ul
		tr.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			nc, err := d.DialContext(ctx, "unix", path)
			if err == nil {
				s.remember(nc)
			}
			return nc, err
		}
	} else {
		ml := newSrvListener()
		l = ml
		tr.Dial = func(ctx context.Context) (net.Conn, error) {
			a, b := memnet.Pipe()
			select {
			case ml.conns <- choppyConn{b}:
				s.remember(a)
				return choppyConn{a}, nil
			case <-ml.done:
				return nil, net.ErrClosed
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}
	w.up = &Upstream{Transport: tr, Capacity: tortureShare}
	go func() { w.served <- w.srv.Serve(l) }()
	// Its end is received by retire.
	return w
}

// breach hears of what our Server takes for a breach of the protocol by our Transport.
func (s *tortureSite) breach(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); strings.Contains(line, "protocol error") {
		s.t.Errorf("application's end: %s", line)
	}
}

func (s *tortureSite) remember(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, nc)
}

// choppyConn cuts what is written and read at random.
type choppyConn struct{ net.Conn }

func (c choppyConn) Read(p []byte) (int, error) {
	if len(p) > 1 && rand.IntN(3) == 0 {
		p = p[:1+rand.IntN(min(len(p)-1, 64))]
	}
	return c.Conn.Read(p)
}

func (c choppyConn) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		k := len(p)
		if k > 1 && rand.IntN(3) == 0 {
			k = 1 + rand.IntN(k-1)
		}
		var m int
		m, err = c.Conn.Write(p[:k])
		n, p = n+m, p[m:]
	}
	return n, err
}

// reset closes connections under load, one at a time.
func (s *tortureSite) reset(over <-chan struct{}) {
	tick := time.NewTicker(7 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		if n := len(s.conns); n > 0 {
			i := rand.IntN(n)
			s.conns[i].Close()
			s.conns[i] = s.conns[n-1]
			s.conns = s.conns[:n-1]
		}
		s.mu.Unlock()
	}
}

// replace takes a worker out and puts a new one in, gently or not.
func (s *tortureSite) replace(workers chan *tortureWorker, over <-chan struct{}) {
	tick := time.NewTicker(60 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		old := <-workers
		next := s.start()
		s.pool.Add(next.up)
		s.retire(old, time.Duration(rand.IntN(30))*time.Millisecond)
		workers <- next
	}
}

// retire stops a worker as a reload does, and kills it when its time is up.
func (s *tortureSite) retire(w *tortureWorker, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.pool.Drain(ctx, w.up)
	w.up.Transport.Close()
	if w.srv.Shutdown(ctx) != nil {
		w.srv.Close()
		w.up.Transport.Abort(ErrTruncated)
	}
	s.pool.Remove(w.up)
	w.up.Transport.Wait()
	if err := w.srv.Shutdown(context.Background()); err != nil {
		s.t.Errorf("Shutdown: %v", err)
	}
	<-w.served
}

// tortureByte is the byte at offset i of the content that belongs to id: what
// is another's, or at another place, is told at once.
func tortureByte(id uint64, i int) byte {
	x := (id+1)*0x9e3779b97f4a7c15 ^ uint64(i>>3)*0xbf58476d1ce4e5b9
	x ^= x >> 29
	return byte(x >> (8 * (i & 7)))
}

func tortureFill(p []byte, id uint64, at int) {
	for i := range p {
		p[i] = tortureByte(id, at+i)
	}
}

func tortureWrong(p []byte, id uint64, at int) int {
	for i := range p {
		if p[i] != tortureByte(id, at+i) {
			return i
		}
	}
	return -1
}

// serve is the application. It knows by the header what body has to come, and
// tells the client what did.
func (s *tortureSite) serve(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.ParseUint(r.Header.Get("X-Id"), 10, 64)
	size, _ := strconv.Atoi(r.Header.Get("X-Size"))
	mode := r.Header.Get("X-Mode")
	w.Header().Set("X-Id", r.Header.Get("X-Id"))
	w.Header().Set("Content-Type", "application/octet-stream")
	switch mode {
	case "panic":
		panic(http.ErrAbortHandler)
	case "duplex":
		s.duplex(w, r, id)
		return
	case "early":
	default:
		w.Header().Set("X-Got", s.drain(r, id))
	}
	if mode == "noise" {
		fmt.Fprintf(Stderr(r.Context()), "noise of %d %s\n", id, strings.Repeat("~", 100_000))
	}
	buf := make([]byte, 1+int(id*7919%20_000))
	for at := 0; at < size; at += len(buf) {
		p := buf[:min(len(buf), size-at)]
		tortureFill(p, id, at)
		if mode == "half" && at+len(p) > size/2 {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(p); err != nil {
			return
		}
		if id%3 == 0 {
			http.NewResponseController(w).Flush()
		}
	}
}

// drain reads the body and checks it. One that the client broke off never ends well.
func (s *tortureSite) drain(r *http.Request, id uint64) string {
	want, _ := strconv.Atoi(r.Header.Get("X-Length"))
	sum, n := crc32.NewIEEE(), 0
	buf := make([]byte, 8<<10)
	for {
		k, err := r.Body.Read(buf)
		if i := tortureWrong(buf[:k], id, n); i >= 0 {
			s.t.Errorf("request %d: byte %d of its body is another's", id, n+i)
		}
		sum.Write(buf[:k])
		n += k
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if n != want {
		s.t.Errorf("request %d: %d bytes of body look whole, %d were meant", id, n, want)
	}
	return fmt.Sprintf("%d %08x", n, sum.Sum32())
}

// duplex sends the body back as it comes.
func (s *tortureSite) duplex(w http.ResponseWriter, r *http.Request, id uint64) {
	http.NewResponseController(w).Flush()
	buf, n := make([]byte, 4<<10), 0
	for {
		k, err := r.Body.Read(buf)
		if i := tortureWrong(buf[:k], id, n); i >= 0 {
			s.t.Errorf("request %d: byte %d of its body is another's", id, n+i)
		}
		n += k
		if _, err := w.Write(buf[:k]); err != nil {
			return
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// errTortureBody is a client that breaks off.
var errTortureBody = errors.New("the client broke off")
