package fcgi

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// runtimePatience is when a real runtime counts as hung.
const runtimePatience = 2 * time.Minute

// A realSite is a runtime in service and our Transport to it.
type realSite struct {
	t     *testing.T
	rt    *realRuntime
	ctx   context.Context
	path  string
	tr    *Transport
	dials atomic.Int32
}

// eachRuntime runs f against every runtime there is.
func eachRuntime(t *testing.T, f func(s *realSite)) {
	for _, rt := range realRuntimes {
		t.Run(rt.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), runtimePatience)
			t.Cleanup(stop)
			s := &realSite{t: t, rt: rt, ctx: ctx, path: rt.listen(t)}
			s.tr = &Transport{Keep: true, Flow: rt.caps.Window > 0, Dial: func(ctx context.Context) (net.Conn, error) {
				s.dials.Add(1)
				return new(net.Dialer).DialContext(ctx, "unix", s.path)
			}}
			t.Cleanup(func() {
				s.tr.Abort(errClosed)
				s.tr.Wait()
			})
			f(s)
		})
	}
}

// request makes a request for a path of the test application.
func (s *realSite) request(uri string, body io.Reader, length int, vars ...string) *Request {
	p := new(Params)
	method := "GET"
	if body != nil {
		method = "POST"
	}
	all := append([]string{
		"REQUEST_METHOD=" + method, "REQUEST_URI=" + uri, "SERVER_PROTOCOL=HTTP/1.1", "GATEWAY_INTERFACE=CGI/1.1",
		"SCRIPT_NAME=", "QUERY_STRING=", "SERVER_NAME=localhost", "SERVER_PORT=80",
	}, s.rt.vars...)
	if body != nil {
		all = append(all, fmt.Sprintf("CONTENT_LENGTH=%d", length), "CONTENT_TYPE=application/octet-stream")
	}
	for _, v := range append(all, vars...) {
		name, value, _ := strings.Cut(v, "=")
		p.Add(name, value)
	}
	return &Request{Role: RoleResponder, Params: p, Stdin: body, Stderr: func(b []byte) { s.t.Logf("stderr: %s", b) }}
}

// want makes a request and checks its answer.
func (s *realSite) want(why string, req *Request, body string) {
	s.t.Helper()
	got := <-ask(s.ctx, s.tr, req)
	switch {
	case got.err != nil:
		s.t.Fatalf("%s: %v", why, got.err)
	case got.resp.Status != 200:
		s.t.Fatalf("%s: status %d, %q", why, got.resp.Status, got.body)
	case got.body != body:
		s.t.Fatalf("%s: %d bytes %.60q, want %d %.60q", why, len(got.body), got.body, len(body), body)
	}
}

// Twenty requests one after the other go over one connection.
func TestRuntimeKeptConnection(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		for range 20 {
			s.want("hello", s.request("/hello", nil, 0), "hello")
		}
		if n := s.dials.Load(); n != 1 {
			s.t.Errorf("%d connections were made for 20 requests in turn", n)
		}
	})
}

// A connection that is not kept is closed after the request.
func TestRuntimeConnectionNotKept(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		s.tr.Keep = false
		for range 3 {
			s.want("hello", s.request("/hello", nil, 0), "hello")
		}
		if n := s.dials.Load(); n != 3 && !s.tr.Flow {
			s.t.Errorf("%d connections were made for 3 requests", n)
		}
	})
}

// Bodies both ways, at the borders of records and far beyond what sockets hold (F15).
func TestRuntimeBodies(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		for _, n := range []int{0, 1, 8191, 8192, 65527, 65528, 65534, 65535, 65536, 131070, 131071, 1 << 20} {
			body := strings.Repeat("0123456789abcde\n", n/16+1)[:n]
			s.want(fmt.Sprintf("%d bytes there and back", n), s.request("/echo", strings.NewReader(body), n), body)
			s.want(fmt.Sprintf("%d bytes back", n), s.request(fmt.Sprintf("/size/%d", n), nil, 0), strings.Repeat("x", n))
		}
	})
}

// Parameters of more than a record go in several, with whole pairs in each: no
// runtime here refuses that (R7, F23).
func TestRuntimeManyParams(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		for _, first := range []int{65000, 65400, 65500, 65510, MaxContent&^7 - len("HTTP_X_FIRST") - 5} {
			vars := []string{
				"HTTP_X_FIRST=" + strings.Repeat("1", first), "HTTP_X_SECOND=" + strings.Repeat("2", 40000),
				"HTTP_X_THIRD=" + strings.Repeat("3", 30000),
			}
			for i, v := range vars {
				name, value, _ := strings.Cut(v, "=")
				s.want(fmt.Sprintf("%d bytes first, variable %d", first, i), s.request("/env/"+name, nil, 0, vars...), value)
			}
		}
	})
}

// A client that leaves in mid answer, and in mid body: the next request gets
// its own answer (F13, H3).
func TestRuntimeAbort(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		for i := range 5 {
			resp, err := s.tr.RoundTrip(s.ctx, s.request("/endless", nil, 0))
			if err != nil {
				s.t.Fatal(err)
			}
			if _, err := resp.Next(); err != nil {
				s.t.Fatal(err)
			}
			resp.Close()
			value := fmt.Sprintf("request %d", i)
			s.want("after an abort in mid answer", s.request("/env/HTTP_X_ID", nil, 0, "HTTP_X_ID="+value), value)
			broken := s.request("/echo", io.MultiReader(strings.NewReader("half"), brokenBody{io.ErrUnexpectedEOF}), 1000)
			if got := <-ask(s.ctx, s.tr, broken); got.err == nil {
				s.t.Errorf("a body that broke off gave a whole answer, %q", got.body)
			}
			s.want("after an abort in mid body", s.request("/env/HTTP_X_ID", nil, 0, "HTTP_X_ID=b"+value), "b"+value)
		}
	})
}

// What a runtime says of itself, or that it says nothing.
func TestRuntimeProbe(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		nc, err := s.tr.Dial(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		defer nc.Close()
		caps, err := Probe(s.ctx, nc)
		s.t.Logf("%+v, %v", caps, err)
		if err != nil {
			s.t.Fatal(err)
		}
		if caps != s.rt.caps {
			s.t.Errorf("%+v, want %+v", caps, s.rt.caps)
		}
		nc.Close()
		s.want("a request after the probe", s.request("/hello", nil, 0), "hello")
	})
}

// A kept connection that its other end has closed is not used again.
func TestRuntimeClosedWhileIdle(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		s.want("first", s.request("/hello", nil, 0), "hello")
		s.tr.mu.Lock()
		var c *clientConn
		for c = range s.tr.conns {
		}
		s.tr.mu.Unlock()
		if c == nil {
			s.t.Fatal("no connection was kept")
		}
		c.nc.Close() // as its read loop learns of an end
		s.want("second", s.request("/hello", nil, 0), "hello")
	})
}

// Many at once: of a runtime that serves one at a time the others wait.
func TestRuntimeAtOnce(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		s.tr.Keep = false // an idle connection would starve the rest
		var answers []<-chan answer
		for i := range 20 {
			v := fmt.Sprintf("%d", i)
			answers = append(answers, ask(s.ctx, s.tr, s.request("/env/HTTP_X_ID", nil, 0, "HTTP_X_ID="+v)))
		}
		for i, a := range answers {
			if got := <-a; got.err != nil || got.body != fmt.Sprint(i) {
				s.t.Errorf("request %d: %q, %v", i, got.body, got.err)
			}
		}
	})
}

// An idle kept connection starves a runtime of one connection at a time: a
// Probe over a second one is not even read. So nobody may ask that way
// whether a worker is free while its Transport keeps a connection.
func TestRuntimeKeptConnectionStarves(t *testing.T) {
	eachRuntime(t, func(s *realSite) {
		if s.rt.caps.Multiplex || s.rt.name == "php-fpm" {
			s.t.Skip("it serves several connections at once")
		}
		s.want("hello", s.request("/hello", nil, 0), "hello")
		nc, err := s.tr.Dial(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		defer nc.Close()
		ctx, stop := context.WithTimeout(s.ctx, 300*time.Millisecond)
		defer stop()
		if caps, err := Probe(ctx, nc); err == nil {
			s.t.Errorf("the probe got %+v past an idle kept connection", caps)
		}
		nc.Close() // or it would be the next to be served
		s.tr.Close()
		again, err := s.tr.Dial(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		defer again.Close()
		if caps, err := Probe(s.ctx, again); err != nil {
			s.t.Errorf("without one the probe got %+v, %v", caps, err)
		}
	})
}
