package fcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A sockApp is a peerApp behind a real socket: what is done with system calls
// of our own is not done on a connection in memory.
type sockApp struct {
	peerApp
	ln net.Listener
}

func newSockApp(t *testing.T) (*sockApp, *Transport) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	p := &sockApp{peerApp{t: t}, ln}
	tr := &Transport{Keep: true, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", ln.Addr().String())
	}}
	t.Cleanup(func() {
		tr.Abort(errClosed)
		tr.Wait()
		ln.Close()
	})
	return p, tr
}

// accept takes the next connection.
func (p *sockApp) accept() net.Conn {
	p.t.Helper()
	nc, err := p.ln.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	p.rr = NewRecordReader(nc)
	return nc
}

func whole(id uint16, body string) []byte {
	b := AppendStream(nil, TypeStdout, id, []byte(okHead+body))
	b = AppendRecord(b, TypeStdout, id, nil)
	return AppendEndRequest(b, id, 0, StatusRequestComplete)
}

// Of a kept connection that is lost, or has bytes of nobody on it, the next
// request learns before a byte of it has left: it goes out once, on another one.
func TestDriveStaleConnection(t *testing.T) {
	for name, spoil := range map[string]func(nc net.Conn){
		"closed":    func(nc net.Conn) { nc.Close() },
		"half open": func(nc net.Conn) { nc.(*net.UnixConn).CloseWrite() },
		"late":      func(nc net.Conn) { nc.Write(AppendRecord(nil, TypeStdout, 2, []byte("of another"))) },
	} {
		t.Run(name, func(t *testing.T) {
			p, tr := newSockApp(t)
			a := ask(t.Context(), tr, get("/first"))
			nc := p.accept()
			id := p.request()
			nc.Write(whole(id, "first"))
			if got := <-a; got.err != nil || got.body != "first" {
				t.Fatalf("first: %+v", got)
			}
			spoil(nc)
			req := get("/second")
			req.Body = []byte("not to be sent twice")
			b := ask(t.Context(), tr, req)
			next := p.accept()
			id = p.request()
			if c := p.want("its body", TypeStdin, id); c != string(req.Body) {
				t.Errorf("STDIN %q", c)
			}
			p.wantEmpty("and the end of it", TypeStdin, id)
			next.Write(whole(id, "second"))
			if got := <-b; got.err != nil || got.body != "second" {
				t.Errorf("second: %+v", got)
			}
		})
	}
}

// A process that did not run for a while finds the deadline of its reading passed
// before it has tried anything: the connection is none the worse for it.
func TestDriveAfterStandstill(t *testing.T) {
	p, tr := newSockApp(t)
	a := ask(t.Context(), tr, get("/first"))
	nc := p.accept()
	nc.Write(whole(p.request(), "first"))
	p.wantEmpty("stdin", TypeStdin, 1)
	if got := <-a; got.err != nil {
		t.Fatal(got.err)
	}
	tr.mu.Lock()
	kept := tr.idle[0]
	tr.mu.Unlock()
	if err := kept.nc.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	kept.readBy = time.Now().Add(time.Hour) // that it is past is not known
	b := ask(t.Context(), tr, get("/second"))
	nc.Write(whole(p.request(), "second")) // on the same connection
	if got := <-b; got.err != nil || got.body != "second" {
		t.Errorf("second: %+v", got)
	}
}

// A consumer that reads by itself learns of its client's leaving all the same,
// before the answer and in the middle of it, and the connection is closed.
func TestDriveCancel(t *testing.T) {
	for name, sent := range map[string]string{"silent": "", "within the head": "Content-Ty", "within the body": okHead + "a"} {
		t.Run(name, func(t *testing.T) {
			p, tr := newSockApp(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a := ask(ctx, tr, get("/"))
			nc := p.accept()
			id := p.request()
			p.wantEmpty("stdin", TypeStdin, id)
			nc.Write(AppendStream(nil, TypeStdout, id, []byte(sent)))
			cancel()
			p.wantEmpty("the abort", TypeAbortRequest, id)
			p.wantClosed("a connection with an abort on it")
			if got := <-a; !errors.Is(got.err, context.Canceled) {
				t.Errorf("error %v, want the context's", got.err)
			}
		})
	}
}

// A flight larger than the socket takes, and an answer that begins before all of
// it is read.
func TestDriveLargeFlight(t *testing.T) {
	p, tr := newSockApp(t)
	req := get("/")
	for range 20 {
		req.Params.Add("HTTP_X", strings.Repeat("x", 60<<10))
	}
	a := ask(t.Context(), tr, req)
	nc := p.accept()
	h, _ := p.next()
	n := 0
	for {
		c := p.want("parameters", TypeParams, h.ID)
		if c == "" {
			break
		}
		n += len(c)
	}
	if n < 20*60<<10 {
		t.Errorf("%d bytes of parameters came", n)
	}
	nc.Write(whole(h.ID, "ok"))
	if got := <-a; got.err != nil || got.body != "ok" {
		t.Errorf("answer %+v", got)
	}
}

// An answer in two pieces, cut at each byte, is the same whoever reads the second.
func TestDriveEveryCut(t *testing.T) {
	p, tr := newSockApp(t)
	stderr := AppendStream(nil, TypeStderr, 1, []byte("warning"))
	var nc net.Conn
	for cut := 1; ; cut++ {
		var told strings.Builder
		req := get("/")
		req.Stderr = func(b []byte) { told.Write(b) }
		a := ask(t.Context(), tr, req)
		if nc == nil {
			nc = p.accept()
		}
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		stderr[3] = byte(id)
		b := append(append([]byte(nil), stderr...), whole(id, "body")...)
		if cut >= len(b) {
			nc.Write(b)
			<-a
			return
		}
		nc.Write(b[:cut])
		nc.Write(b[cut:])
		if got := <-a; got.err != nil || got.body != "body" || told.String() != "warning" {
			t.Fatalf("cut at %d: %+v, stderr %q", cut, got, told.String())
		}
	}
}

// The same with so long between the two that the loop has taken over: it goes on
// at the byte where the consumer left.
func TestDriveEveryCutLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		for cut := 1; ; cut++ {
			var told strings.Builder
			req := get("/")
			req.Stderr = func(b []byte) { told.Write(b) }
			start := time.Now()
			a := ask(t.Context(), tr, req)
			if p.nc == nil {
				p.accept()
			}
			id := p.request()
			p.wantEmpty("stdin", TypeStdin, id)
			b := append(AppendStream(nil, TypeStderr, id, []byte("warning")), whole(id, "body")...)
			p.send(b[:min(cut, len(b))])
			if cut >= len(b) {
				<-a
				return
			}
			time.Sleep(3 * driveTime) // virtual
			p.send(b[cut:])
			if got := <-a; got.err != nil || got.body != "body" || told.String() != "warning" {
				t.Fatalf("cut at %d: %+v, stderr %q", cut, got, told.String())
			}
			if d := time.Since(start); d != 3*driveTime {
				t.Fatalf("cut at %d: the answer came after %v", cut, d)
			}
		}
	})
}

// An answer of any length comes off the application while nobody takes it.
func TestDriveHandsOver(t *testing.T) {
	p, tr := newSockApp(t)
	ended := make(chan struct{})
	req := get("/")
	req.Buffer.Memory = 1 << 20
	req.OnEnd = func() { close(ended) }
	type result struct {
		r   *Response
		err error
	}
	a := make(chan result, 1)
	go func() {
		// Received below.
		r, err := tr.RoundTrip(t.Context(), req)
		a <- result{r, err}
	}()
	nc := p.accept()
	id := p.request()
	body := strings.Repeat("0123456789", 90<<10)
	nc.Write(whole(id, body))
	got := <-a
	if got.err != nil {
		t.Fatal(got.err)
	}
	<-ended // with not one Next
	n := 0
	for {
		b, err := got.r.Next()
		if n += len(b); err != nil {
			if err != io.EOF || n != len(body) {
				t.Errorf("%d bytes, %v", n, err)
			}
			break
		}
	}
	got.r.Close()
}

// Of a body that the application does not read only so much leaves the client: a
// piece, what the socket holds, and what frontd has looked at before (64 KiB) are
// to be 256 KiB at most.
func TestPlainSocketHolds(t *testing.T) {
	_, tr := newSockApp(t)
	c, err := tr.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := c.nc.Write(make([]byte, 1<<20))
	if !isTimeout(err) || n > 128<<10 || n < 16<<10 {
		t.Errorf("the socket took %d bytes, %v; want at most 128 KiB, and at least a small body", n, err)
	}
}
