package fcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/frontd/frontd/internal/memnet"
)

func newFlowApp(t *testing.T) (*peerApp, *Transport) {
	p, tr := newPeerApp(t)
	tr.Flow = true
	return p, tr
}

func TestFlowRequestsShareAConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newFlowApp(t)
		var answers []<-chan answer
		for range 3 {
			answers = append(answers, ask(t.Context(), tr, get("/")))
		}
		p.accept()
		p.flow(DefaultWindow)
		for range answers {
			id := p.request()
			p.wantEmpty("stdin", TypeStdin, id)
		}
		for _, id := range []uint16{3, 1, 2} { // in another order than they came
			p.stdout(id, okHead+strings.Repeat("x", int(id)))
		}
		for _, id := range []uint16{2, 3, 1} {
			p.end(id)
		}
		total := 0
		for _, a := range answers {
			got := <-a
			total += len(got.body)
			if got.err != nil {
				t.Error(got.err)
			}
		}
		if total != 6 || len(p.conns) != 0 {
			t.Errorf("bodies of %d bytes, %d more connections", total, len(p.conns))
		}
	})
}

// A slow reader stops its own stream only, after one window.
func TestFlowSlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newFlowApp(t)
		type result struct {
			resp *Response
			err  error
		}
		slow := make(chan result, 1)
		go func() {
			// Its end is received from slow.
			resp, err := tr.RoundTrip(t.Context(), get("/slow"))
			slow <- result{resp, err}
		}()
		p.accept()
		p.flow(DefaultWindow)
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		p.stdout(id, "Content-Type: a/b\n\n")
		p.stdout(id, strings.Repeat("x", DefaultWindow-len("Content-Type: a/b\n\n")))
		r := <-slow
		if r.err != nil {
			t.Fatal(r.err)
		}
		fast := ask(t.Context(), tr, get("/fast"))
		other := p.request()
		p.wantEmpty("stdin", TypeStdin, other)
		p.stdout(other, okHead+"fast")
		p.end(other)
		if got := <-fast; got.body != "fast" {
			t.Fatalf("behind a slow reader: %+v", got)
		}
		// Now the slow one reads, and its window opens as it does.
		granted := 0
		body := make(chan answer, 1)
		go func() {
			// Its end is received from body.
			s, err := readAll(r.resp)
			body <- answer{body: s, err: err}
		}()
		_, n, err := parseWindow([]byte(p.want("the window opens", TypeWindow, id)))
		granted += int(n)
		if err != nil || granted < DefaultWindow/2 {
			t.Errorf("granted %d, %v", granted, err)
		}
		p.stdout(id, strings.Repeat("y", granted))
		p.end(id)
		if got := <-body; got.err != nil || !strings.HasSuffix(got.body, "xy"+strings.Repeat("y", granted-1)) {
			t.Errorf("%d bytes, %v", len(got.body), got.err)
		}
		r.resp.Close()
	})
}

func TestFlowWindowOverrun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newFlowApp(t)
		resp := make(chan error, 1)
		go func() {
			// Its end is received from resp.
			r, err := tr.RoundTrip(t.Context(), get("/"))
			if err == nil {
				synctest.Wait() // reads nothing until all is there
				_, err = readAll(r)
				r.Close()
			}
			resp <- err
		}()
		p.accept()
		p.flow(DefaultWindow)
		id := p.request()
		p.stdout(id, okHead)
		p.stdout(id, strings.Repeat("x", DefaultWindow+1))
		var breach *ProtocolError
		if err := <-resp; !errors.As(err, &breach) {
			t.Errorf("error %v, want a protocol error", err)
		}
	})
}

// No more of a body is taken off the client than the application has room for.
func TestFlowBodyOnDemand(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newFlowApp(t)
		body := new(endless)
		ctx, cancel := context.WithCancel(t.Context())
		a := ask(ctx, tr, post(io.MultiReader(body)))
		p.accept()
		p.flow(1000)
		id := p.request()
		if c := p.want("one window", TypeStdin, id); len(c) != 1000 {
			t.Errorf("STDIN of %d bytes, want the window of 1000", len(c))
		}
		synctest.Wait()
		if body.taken != 1000 {
			t.Errorf("%d bytes were taken off the client, want 1000", body.taken)
		}
		p.send(AppendWindow(nil, id, TypeStdin, 500))
		if c := p.want("the window's increment", TypeStdin, id); len(c) != 500 {
			t.Errorf("STDIN of %d bytes, want 500", len(c))
		}
		cancel()
		p.wantEmpty("the abort", TypeAbortRequest, id)
		<-a
	})
}

// An aborted request keeps its id until the application has ended it, and
// the connection goes on.
func TestFlowAbort(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newFlowApp(t)
		ctx, cancel := context.WithCancel(t.Context())
		a := ask(ctx, tr, get("/a"))
		p.accept()
		p.flow(DefaultWindow)
		first := p.request()
		p.wantEmpty("stdin", TypeStdin, first)
		cancel()
		p.wantEmpty("the abort", TypeAbortRequest, first)
		if got := <-a; !errors.Is(got.err, context.Canceled) {
			t.Errorf("error %v", got.err)
		}
		b := ask(t.Context(), tr, get("/b"))
		second := p.request()
		if second == first {
			t.Fatal("the id of an aborted request was used again before its end")
		}
		p.wantEmpty("stdin", TypeStdin, second)
		p.stdout(first, okHead+"of the aborted one")
		p.end(first)
		p.stdout(second, okHead+"of the second")
		p.end(second)
		if got := <-b; got.err != nil || got.body != "of the second" {
			t.Errorf("second: %+v", got)
		}
	})
}

func TestFlowBroken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newFlowApp(t)
		a := ask(t.Context(), tr, get("/"))
		p.accept()
		p.flow(DefaultWindow)
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		p.stdout(id, okHead+"half")
		p.send(AppendEndRequest(nil, id, 1, StatusBroken))
		got := <-a
		var broken *StatusError
		if !errors.As(got.err, &broken) || got.body != "half" {
			t.Errorf("%q, %v: a broken answer must not look whole", got.body, got.err)
		}
	})
}

// With Hold nothing of a body is read before the application asks for it, in
// flow mode and without.
func TestHold(t *testing.T) {
	for _, flow := range []bool{true, false} {
		inBubble(t, func(t *testing.T) {
			p, tr := newPeerApp(t)
			tr.Flow, tr.Hold = flow, true
			body := new(endless)
			req := post(body)
			req.Hold = true
			ctx, cancel := context.WithCancel(t.Context())
			a := ask(ctx, tr, req)
			p.accept()
			if flow {
				p.want("the question", TypeGetValues, ManagementID)
				var v Params
				v.Add(ValueMpxsConn, "1")
				v.Add(ValueMaxReqs, "9")
				v.Add(ValueFlow, "5000")
				v.Add(ValueHold, "1")
				p.send(AppendRecord(nil, TypeGetValuesResult, ManagementID, v.buf))
			}
			h, begin := p.next()
			if h.Type != TypeBeginRequest || begin[2]&FlagHold == 0 {
				t.Fatalf("flow %v: got %v %x, want a request on hold", flow, h, begin)
			}
			p.want("the parameters", TypeParams, h.ID)
			p.wantEmpty("their end", TypeParams, h.ID)
			synctest.Wait()
			if body.taken != 0 {
				t.Errorf("flow %v: %d bytes were taken before anyone asked", flow, body.taken)
			}
			p.send(AppendWindow(nil, h.ID, TypeStdin, 5000))
			if c := p.want("input, now that it is asked for", TypeStdin, h.ID); len(c) == 0 {
				t.Error("no input")
			}
			cancel()
			<-a
		})
	}
}

// The same between our two ends: a handler that does not read leaves the body alone.
func TestHoldServer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, reads := range []bool{false, true} {
			srv := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if reads {
					io.CopyN(io.Discard, r.Body, 100<<10)
				}
				w.WriteHeader(413)
			})}
			l := newSrvListener()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }() // its end is received below
			tr := &Transport{Flow: true, Dial: func(context.Context) (net.Conn, error) {
				a, b := memnet.Pipe()
				l.conns <- b
				return a, nil
			}}
			body := new(endless)
			req := post(body)
			req.Params.Add("REQUEST_METHOD", "POST")
			req.Params.Add("SERVER_PROTOCOL", "HTTP/1.1")
			req.Hold = true
			resp, err := tr.RoundTrip(t.Context(), req)
			if err != nil || resp.Status != 413 {
				t.Fatalf("%v, %v", resp, err)
			}
			readAll(resp)
			resp.Close()
			synctest.Wait() // for the body's reader
			if reads != (body.taken > 0) {
				t.Errorf("handler reads: %v, taken of the body: %d", reads, body.taken)
			}
			tr.Abort(errClosed)
			tr.Wait()
			srv.Close()
			l.Close()
			<-served
		}
	})
}

// The Filter role (§6.4): FCGI_DATA follows FCGI_STDIN, each with a window of
// its own.
func TestFilter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file := strings.Repeat("data", 50_000)
		srv := &Server{Filter: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			in, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			data, err := io.ReadAll(Data(r.Context()))
			if err != nil || string(data) != file {
				t.Errorf("data of %d bytes, %v; want %d", len(data), err, len(file))
			}
			w.Write(in)
		})}
		l := newSrvListener()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }() // its end is received below
		for _, flow := range []bool{true, false} {
			tr := &Transport{Flow: flow, Dial: func(context.Context) (net.Conn, error) {
				a, b := memnet.Pipe()
				l.conns <- b
				return a, nil
			}}
			req := post(strings.NewReader("input"))
			req.Role, req.Data = RoleFilter, strings.NewReader(file)
			req.Params.Add("REQUEST_METHOD", "POST")
			req.Params.Add("CONTENT_LENGTH", "5")
			req.Params.Add("FCGI_DATA_LENGTH", "200000")
			got := <-ask(t.Context(), tr, req)
			if got.err != nil || got.body != "input" {
				t.Errorf("flow %v: %q, %v", flow, got.body, got.err)
			}
			tr.Abort(errClosed)
			tr.Wait()
		}
		srv.Close()
		l.Close()
		<-served
	})
}

// An application may say that it takes more requests at once than there are ids.
func TestFlowIDsHaveAnEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		tr.Flow = true
		a := ask(t.Context(), tr, get("/"))
		p.accept()
		p.want("the question", TypeGetValues, ManagementID)
		var v Params
		v.Add(ValueMpxsConn, "1")
		v.Add(ValueMaxReqs, "1000000")
		v.Add(ValueFlow, "65536")
		p.send(AppendRecord(nil, TypeGetValuesResult, ManagementID, v.buf))
		id := p.request()
		c := tr.sharedNow()
		c.mu.Lock()
		used := c.streams[0]
		for len(c.streams) < 1<<16-1 {
			c.streams = append(c.streams, used)
		}
		c.active = len(c.streams)
		c.mu.Unlock()
		if s := newStream(get("/more")); c.begin(s) == nil {
			t.Errorf("a request got id %d, the %dth in use", s.id, 1<<16)
		}
		c.mu.Lock()
		c.streams, c.active = c.streams[:1], 1
		c.mu.Unlock()
		p.stdout(id, okHead)
		p.end(id)
		if got := <-a; got.err != nil {
			t.Error(got.err)
		}
	})
}
