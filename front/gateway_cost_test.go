package front

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frontd/frontd/fcgi"
)

// A cannedWorker answers each request with the same bytes and allocates
// nothing, so that what a benchmark counts is ours.
type cannedWorker struct {
	in     []byte
	out    []byte
	answer []byte // of one request, the id missing
}

func newCannedWorker(head, body string) *cannedWorker {
	answer := fcgi.AppendRecord(nil, fcgi.TypeStdout, 0, []byte(head+"\r\n\r\n"+body))
	answer = fcgi.AppendRecord(answer, fcgi.TypeStdout, 0, nil)
	answer = fcgi.AppendEndRequest(answer, 0, 0, fcgi.StatusRequestComplete)
	return &cannedWorker{in: make([]byte, 0, 256<<10), out: make([]byte, 0, 256<<10), answer: answer}
}

// capabilities is what it says to FCGI_GET_VALUES: it multiplexes with flow control.
var capabilities = func() []byte {
	var b []byte
	for _, v := range [][2]string{{fcgi.ValueMpxsConn, "1"}, {fcgi.ValueMaxReqs, "100"}, {fcgi.ValueFlow, "262144"}} {
		b = append(append(append(b, byte(len(v[0])), byte(len(v[1]))), v[0]...), v[1]...)
	}
	return b
}()

func (c *cannedWorker) serve(nc net.Conn) {
	defer nc.Close()
	for {
		n, err := nc.Read(c.in[len(c.in):cap(c.in)])
		if err != nil {
			return
		}
		c.in = c.in[:len(c.in)+n]
		c.out = c.out[:0]
		rest := c.in
		for len(rest) >= fcgi.HeaderLen {
			size := fcgi.HeaderLen + int(binary.BigEndian.Uint16(rest[4:])) + int(rest[6])
			if len(rest) < size {
				break
			}
			c.record(rest[:size])
			rest = rest[size:]
		}
		c.in = c.in[:copy(c.in[:cap(c.in)], rest)]
		if _, err := nc.Write(c.out); err != nil {
			return
		}
	}
}

func (c *cannedWorker) record(r []byte) {
	switch fcgi.Type(r[1]) {
	case fcgi.TypeGetValues:
		c.out = fcgi.AppendRecord(c.out, fcgi.TypeGetValuesResult, 0, capabilities)
	case fcgi.TypeStdin:
		if r[4] != 0 || r[5] != 0 {
			return // not its end
		}
		for rest := c.answer; len(rest) > 0; {
			size := fcgi.HeaderLen + int(binary.BigEndian.Uint16(rest[4:])) + int(rest[6])
			at := len(c.out)
			c.out = append(c.out, rest[:size]...)
			copy(c.out[at+2:at+4], r[2:4])
			rest = rest[size:]
		}
	}
}

// A bareWriter is the least that a server may be.
type bareWriter struct {
	h    http.Header
	body int
}

func (w *bareWriter) Header() http.Header               { return w.h }
func (w *bareWriter) Write(p []byte) (int, error)       { w.body += len(p); return len(p), nil }
func (w *bareWriter) WriteString(s string) (int, error) { w.body += len(s); return len(s), nil }
func (w *bareWriter) WriteHeader(int)                   {}
func (w *bareWriter) FlushError() error                 { return nil }
func (w *bareWriter) SetWriteDeadline(time.Time) error  { return nil }

// A rig is the whole chain before a worker.
type rig struct {
	chain http.Handler
	ctx   context.Context
}

// newRig has the chain write its log to w.
func newRig(tb testing.TB, flow bool, w io.Writer) *rig {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "w")
	l, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	u := upstreamAt(path, 64)
	u.Transport.Flow, u.Transport.MaxIdle = flow, 64
	done := make(chan struct{})
	go func() {
		defer close(done) // received by the cleanup
		var conns sync.WaitGroup
		defer conns.Wait()
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { // waited for above
				newCannedWorker("Content-Type: text/plain\r\nContent-Length: 12", "hello, world").serve(nc)
			})
		}
	}()
	tb.Cleanup(func() {
		u.Transport.Abort(net.ErrClosed)
		u.Transport.Wait()
		l.Close()
		<-done
	})
	g := gateway(u)
	g.Stderr = func(*Exchange, []byte) {}
	chain, err := New(Config{AccessLog: NewAccessLog(w, LogText), Log: quiet, Observe: func(*Exchange) {},
		Routes: []Route{{Path: "/", App: "app", Settings: settingsFor(), Handler: g}}})
	if err != nil {
		tb.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080})
	return &rig{chain, ctx}
}

// A visitor sends requests as a lean engine serves them: the request, its
// header and its URL are the same objects every time, and nobody's in between.
type visitor struct {
	chain  http.Handler
	w      bareWriter
	r      *http.Request
	values [4]string
}

func (g *rig) visitor() *visitor {
	ctx := WithListener(g.ctx, Listener{Name: "test"})
	r := (&http.Request{Header: http.Header{}, URL: new(url.URL)}).WithContext(ctx)
	return &visitor{chain: g.chain, w: bareWriter{h: http.Header{}}, r: r}
}

func (v *visitor) get(target, agent string) {
	clear(v.w.h)
	clear(v.r.Header)
	v.w.body = 0
	v.values = [...]string{agent, "*/*", "gzip, br", "value"}
	for i, name := range [...]string{"User-Agent", "Accept", "Accept-Encoding", "X-Custom-Field"} {
		v.r.Header[name] = v.values[i : i+1 : i+1]
	}
	v.r.Method, v.r.Proto, v.r.ProtoMajor, v.r.ProtoMinor = "GET", "HTTP/1.1", 1, 1
	v.r.URL.Path, v.r.URL.RawQuery, _ = strings.Cut(target, "?")
	v.r.RequestURI, v.r.RemoteAddr, v.r.Host, v.r.Body = target, "127.0.0.1:40000", "127.0.0.1:8080", http.NoBody
	v.chain.ServeHTTP(&v.w, v.r)
}

// scribble is what an engine may do to a request that was answered.
func (v *visitor) scribble() {
	for i := range v.values {
		v.values[i] = "scribbled"
	}
	clear(v.r.Header)
	clear(v.w.h)
	*v.r.URL = url.URL{Path: "/scribbled"}
	v.r.Method, v.r.RequestURI, v.r.Host, v.r.RemoteAddr = "SCRIBBLED", "/scribbled", "scribbled", "scribbled"
}

// BenchmarkGateway is the cost of a request from the chain's door to a
// worker's socket and back: chain, gateway, FastCGI client and log.
func BenchmarkGateway(b *testing.B) {
	for _, c := range []struct {
		name string
		flow bool
	}{{"multiplexed", true}, {"plain", false}} {
		b.Run(c.name, func(b *testing.B) {
			v := newRig(b, c.flow, io.Discard).visitor()
			v.get("/hello?a=b", "wrk/4.1")
			if v.w.body != len("hello, world") {
				b.Fatalf("%d bytes of body", v.w.body)
			}
			b.ReportAllocs()
			for b.Loop() {
				v.get("/hello?a=b", "wrk/4.1")
			}
		})
	}
}

// maxAllocs bounds what a request on the steady path allocates in chain,
// gateway, FastCGI client and log together.
const maxAllocs = 12

func TestSteadyPathAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector pools forget on purpose")
	}
	for _, flow := range []bool{true, false} {
		v := newRig(t, flow, io.Discard).visitor()
		n := testing.AllocsPerRun(2000, func() { v.get("/hello?a=b", "wrk/4.1") })
		if n > maxAllocs {
			t.Errorf("multiplexed %v: %v allocations a request, at most %d", flow, n, maxAllocs)
		}
		t.Logf("multiplexed %v: %v allocations a request", flow, n)
	}
}

// A lockedLog is a log that tests read.
type lockedLog struct {
	mu  sync.Mutex // guards the field below
	buf bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Nothing in the chain looks at a request, its header or its URL after the
// handler's return, when an engine may use them for another: the race detector
// sees every late look, and the log has each request's own words.
func TestChainKeepsNothing(t *testing.T) {
	for _, flow := range []bool{true, false} {
		var log lockedLog
		g := newRig(t, flow, &log)
		const visitors, requests = 8, 50
		var all sync.WaitGroup
		for i := range visitors {
			v := g.visitor()
			all.Go(func() { // waited for below
				for n := range requests {
					v.get(fmt.Sprintf("/%d/%d", i, n), fmt.Sprintf("agent-%d-%d", i, n))
					if v.w.body != len("hello, world") {
						t.Errorf("%d bytes of body", v.w.body)
					}
					v.scribble()
				}
			})
		}
		all.Wait()
		seen := map[string]bool{}
		line := regexp.MustCompile(`^127\.0\.0\.1 - - .* "GET /(\d+)/(\d+) HTTP/1\.1" 200 12 "-" "agent-(\d+)-(\d+)" host="127\.0\.0\.1:8080" app=app .* id=([0-9A-Z]{26})$`)
		for l := range strings.Lines(log.buf.String()) {
			m := line.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
			if m == nil || m[1] != m[3] || m[2] != m[4] {
				t.Fatalf("line %q", l)
			}
			seen[m[1]+"/"+m[2]], seen[m[5]] = true, true
		}
		if len(seen) != 2*visitors*requests {
			t.Errorf("%d requests and ids logged, want %d of each", len(seen), visitors*requests)
		}
	}
}

// The request that stages see is the server's in all but its context.
func TestCarryTakesEveryField(t *testing.T) {
	from, to := new(http.Request), new(http.Request)
	fields := reflect.ValueOf(from).Elem()
	for i := range fields.NumField() {
		f := fields.Field(i)
		if !fields.Type().Field(i).IsExported() {
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int, reflect.Int64:
			f.SetInt(1)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Chan:
			f.Set(reflect.MakeChan(reflect.ChanOf(reflect.BothDir, reflect.TypeFor[struct{}]()), 0).Convert(f.Type()))
		case reflect.Func:
			f.Set(reflect.ValueOf(func() (io.ReadCloser, error) { return nil, nil }))
		case reflect.Interface:
			f.Set(reflect.ValueOf(http.NoBody))
		default:
			t.Fatalf("field %s: no value of kind %v", fields.Type().Field(i).Name, f.Kind())
		}
	}
	carry(to, from)
	for i := range fields.NumField() {
		if f := fields.Type().Field(i); f.IsExported() && reflect.ValueOf(to).Elem().Field(i).IsZero() {
			t.Errorf("field %s is left behind", f.Name)
		}
	}
}
