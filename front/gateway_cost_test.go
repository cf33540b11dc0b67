package front

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"

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

// A rig is the whole chain before a worker, served as a lean engine serves it:
// the request, its header and its URL are the same objects every time.
type rig struct {
	chain http.Handler
	w     bareWriter
	r     *http.Request
	proto http.Request
	ctx   context.Context
	head  [][2]string
	value []string
}

func newRig(tb testing.TB, flow bool) *rig {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "w")
	l, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	u := upstreamAt(path, 64)
	u.Transport.Flow = flow
	done := make(chan struct{})
	go func() {
		defer close(done) // received by the cleanup
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			newCannedWorker("Content-Type: text/plain\r\nContent-Length: 12", "hello, world").serve(nc)
		}
	}()
	log := NewAccessLog(io.Discard, LogText)
	tb.Cleanup(func() {
		u.Transport.Abort(net.ErrClosed)
		u.Transport.Wait()
		l.Close()
		<-done
	})
	g := gateway(u)
	g.Stderr = func(*Exchange, []byte) {}
	settings := settingsFor()
	chain, err := New(Config{AccessLog: log, Log: quiet, Observe: func(*Exchange) {},
		Routes: []Route{{Path: "/", App: "app", Settings: settings, Handler: g}}})
	if err != nil {
		tb.Fatal(err)
	}
	ctx := WithListener(tb.Context(), Listener{Name: "test"})
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080})
	r, err := http.NewRequestWithContext(ctx, "GET", "/hello?a=b", nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.RequestURI, r.RemoteAddr, r.Host, r.Body = "/hello?a=b", "127.0.0.1:40000", "127.0.0.1:8080", http.NoBody
	return &rig{chain: chain, w: bareWriter{h: http.Header{}}, r: r, proto: *r, ctx: ctx, head: [][2]string{
		{"User-Agent", "wrk/4.1"}, {"Accept", "*/*"}, {"Accept-Encoding", "gzip, br"}, {"X-Custom-Field", "value"},
	}}
}

// serve is one request.
func (g *rig) serve() {
	clear(g.w.h)
	clear(g.r.Header)
	if g.value == nil {
		g.value = make([]string, len(g.head))
	}
	for i, f := range g.head {
		g.value[i] = f[1]
		g.r.Header[f[0]] = g.value[i : i+1 : i+1]
	}
	g.w.body = 0
	g.chain.ServeHTTP(&g.w, g.r)
}

// BenchmarkGateway is the cost of a request from the chain's door to a
// worker's socket and back: chain, gateway, FastCGI client and log.
func BenchmarkGateway(b *testing.B) {
	for _, c := range []struct {
		name string
		flow bool
	}{{"multiplexed", true}, {"plain", false}} {
		b.Run(c.name, func(b *testing.B) {
			g := newRig(b, c.flow)
			g.serve()
			if g.w.body != len("hello, world") {
				b.Fatalf("%d bytes of body", g.w.body)
			}
			b.ReportAllocs()
			for b.Loop() {
				g.serve()
			}
		})
	}
}
