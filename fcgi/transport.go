package fcgi

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Request is what a web server asks of an application.
type Request struct {
	Role   Role
	Params *Params
	// Stdin is the body; nil for none. It is read by one goroutine, and only
	// as far as the application takes it. An error other than io.EOF aborts
	// the request.
	Stdin io.Reader
	// Body, where Stdin is nil, is a body that is here already: it goes out with
	// the request's head. It should be small (16 KiB): no more of the answer is
	// taken than the sockets hold until it has left.
	Body []byte
	// Data is FCGI_DATA of a request in the Filter role (§6.4), sent behind
	// Stdin; the parameters say its length and date. nil in every other role.
	Data io.Reader
	// Hold leaves Stdin alone until the application asks for input, where the
	// application can say so; else it is read when the request is sent.
	Hold bool
	// Stderr, if not nil, gets what the application writes to FCGI_STDERR,
	// in pieces, on the goroutine that reads the connection: it must not block,
	// and the bytes are its only during the call.
	Stderr func([]byte)
	// NoBody says that the answer has no body whatever its header says: HEAD.
	NoBody bool
	// HeadTimeout bounds the wait for the head of the answer, PieceTimeout
	// the wait for each next piece of its body. 0: no bound. ErrTimeout.
	HeadTimeout, PieceTimeout time.Duration
	// Overdue, if not nil, is called when HeadTimeout is over, before the
	// application is told that the request is given up: it still does then what
	// took so long.
	Overdue func()
	// Buffer says how far the answer is taken ahead of its reader where there
	// is no flow control.
	Buffer Buffering
	// OnEnd, if not nil, is called on the goroutine that reads, maybe RoundTrip's or
	// Next's own, when the application has
	// ended the request, before the whole answer may have been read: the
	// application is free for another. It must not block. It is not called for
	// a request that ends in any other way.
	OnEnd func()
	// Interim, if not nil, gets each 1xx answer before the final one.
	Interim func(status int, header http.Header)
}

// A Transport sends requests to one application at one address. Where the
// application offers flow control (FRONTD_FLOW) many requests share a
// connection, otherwise each has one of its own while it lasts.
// It is safe for concurrent use. Fields are set before the first request.
type Transport struct {
	// Dial connects to the application.
	Dial func(ctx context.Context) (net.Conn, error)
	// Flow says that the application answered a Probe with flow control, so
	// each new connection negotiates it.
	Flow bool
	// Hold says that the application answered a Probe with input on demand.
	Hold bool
	// Keep says that connections without flow control are kept for the next
	// request. Set it only where an idle connection starves nobody: a worker
	// that serves one connection at a time and has other clients would.
	Keep bool
	// Settle says that where a request was given up, and the application has no
	// flow control, its connection is kept half open until the application is done
	// with it: Response.Settled tells then, at the latest PieceTimeout and a second
	// later. It is for applications with several threads; whether one that serves
	// a single request at a time is free again, a Probe tells.
	Settle bool
	// MaxIdle bounds the connections kept idle; 0 means 1.
	MaxIdle int

	mu     sync.Mutex // guards the fields below
	conns  map[*clientConn]struct{}
	idle   []*clientConn // no flow control: fit for one request, last used last
	shared *clientConn   // flow control: the one that takes requests
	dialed chan struct{} // not nil: somebody connects for shared; closed at its end
	closed bool

	loops sync.WaitGroup // its connections that are open, and their read loops
}

// errClosed is what a closed Transport answers.
var errClosed = errors.New("fcgi: transport is closed")

// RoundTrip sends req and returns the head of the answer. The caller reads
// the body and closes the response. An error of type *DialError means that
// nothing was sent. When ctx ends the request is aborted.
func (t *Transport) RoundTrip(ctx context.Context, req *Request) (*Response, error) {
	if err := req.Params.Err(); err != nil {
		return nil, err
	}
	start := time.Now()
	s, err := t.send(ctx, req)
	if err != nil {
		return nil, &DialError{Err: err}
	}
	if s.hasBody {
		s.pumpDone = make(chan struct{})
		go s.pump(req.Stdin, req.Data)
		// Response.Close receives the end of s.pumpDone.
	}
	r := &s.response
	r.s, r.wait = s, req.PieceTimeout
	if err := r.readHead(ctx, req, start); err != nil {
		r.err = err
		if err == ErrTimeout && req.Overdue != nil {
			req.Overdue()
		}
		r.Close()
		return nil, &RequestError{Err: err, Began: s.hasBegun(), r: r}
	}
	return r, nil
}

// A RequestError is a request that reached an application, or may have, and
// was not answered with a CGI response.
type RequestError struct {
	Err   error
	Began bool // some byte of an answer had come

	r *Response
}

func (e *RequestError) Error() string { return e.Err.Error() }
func (e *RequestError) Unwrap() error { return e.Err }

// BodyBusy and Wait are as Response has them.
func (e *RequestError) BodyBusy() bool { return e.r.BodyBusy() }

// Wait returns when Request.Stdin is used no more.
func (e *RequestError) Wait() { e.r.Wait() }

// Settled is as Response has it.
func (e *RequestError) Settled() <-chan struct{} { return e.r.Settled() }

func (s *stream) hasBegun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.began
}

// maxStale is how many kept connections in a row may turn out to be lost.
const maxStale = 16

// send begins the request on a connection that takes it.
func (t *Transport) send(ctx context.Context, req *Request) (*stream, error) {
	for try := 0; ; try++ {
		s, err := t.begin(ctx, req)
		if err != nil {
			return nil, err
		}
		err = s.c.send(ctx, s, req)
		if err == nil {
			return s, nil
		}
		s.c.fail(err)
		if try >= maxStale {
			return nil, err
		}
	}
}

// begin finds a connection and takes an id on it.
func (t *Transport) begin(ctx context.Context, req *Request) (*stream, error) {
	s := newStream(req)
	for {
		c, err := t.conn(ctx, req.HeadTimeout)
		if err != nil {
			return nil, err
		}
		if err := c.begin(s); err == nil {
			return s, nil
		}
		// It was lost or filled between the two: go for the next.
	}
}

// conn returns a connection that probably takes a request.
func (t *Transport) conn(ctx context.Context, timeout time.Duration) (*clientConn, error) {
	if t.Flow {
		if c := t.sharedNow(); c != nil {
			return c, nil
		}
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, errClosed
	}
	if n := len(t.idle); n > 0 {
		c := t.idle[n-1]
		t.idle[n-1] = nil
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		return c, nil
	}
	t.mu.Unlock()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, ErrTimeout)
		defer cancel()
	}
	if t.Flow {
		return t.sharedConn(ctx)
	}
	return t.dial(ctx)
}

// sharedNow returns the shared connection if it takes a request.
func (t *Transport) sharedNow() *clientConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared != nil && t.shared.hasRoom() {
		return t.shared
	}
	return nil
}

// sharedConn returns the connection that takes requests, or makes it; one
// caller connects, the others wait for it.
func (t *Transport) sharedConn(ctx context.Context) (*clientConn, error) {
	for {
		t.mu.Lock()
		switch {
		case t.closed:
			t.mu.Unlock()
			return nil, errClosed
		case t.shared != nil && t.shared.hasRoom():
			c := t.shared
			t.mu.Unlock()
			return c, nil
		case t.dialed != nil:
			wait := t.dialed
			t.mu.Unlock()
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			continue
		}
		done := make(chan struct{})
		t.dialed = done
		t.mu.Unlock()
		c, err := t.dial(ctx)
		t.mu.Lock()
		full := t.shared
		if err == nil {
			t.shared = c
		}
		t.dialed = nil
		close(done)
		t.mu.Unlock()
		if err == nil && full != nil {
			full.retire() // it ends with the last request on it
		}
		return c, err
	}
}

func (c *clientConn) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.retired && c.active < c.limit
}

func (t *Transport) dial(ctx context.Context) (*clientConn, error) {
	nc, err := t.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if u, ok := nc.(*net.UnixConn); ok && !t.Flow && !t.Hold {
		// Best effort: with the system's own size more of a body would be taken
		// than need be of which the application reads nothing.
		_ = u.SetWriteBuffer(plainBuffer)
	}
	c := newClientConn(nc, t.Keep || t.Flow, &t.loops)
	c.hold, c.settle = t.Hold, t.Settle
	c.gone, c.idle = t.connGone, t.connIdle
	if t.Flow {
		if err := c.negotiate(ctx); err != nil {
			c.nc.Close()
			return nil, err
		}
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		c.nc.Close()
		return nil, errClosed
	}
	if t.conns == nil {
		t.conns = make(map[*clientConn]struct{})
	}
	t.conns[c] = struct{}{}
	t.loops.Add(1)
	t.mu.Unlock()
	if c.window > 0 {
		c.startLoop()
	}
	return c, nil
}

// plainBuffer is what a unix socket holds on the way to an application that takes
// its input as it comes, in bytes; Linux doubles it, for its own account. Of a body
// that nobody reads so much is lost, and one piece. TCP is left to tune itself.
const plainBuffer = 48 << 10

// connGone forgets a connection that takes no further request.
func (t *Transport) connGone(c *clientConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
	if t.shared == c {
		t.shared = nil
	}
	for i, o := range t.idle {
		if o == c {
			t.idle = append(t.idle[:i], t.idle[i+1:]...)
			return
		}
	}
}

// connIdle takes back a connection whose request has left nothing behind.
func (t *Transport) connIdle(c *clientConn) {
	if c.window > 0 {
		return
	}
	t.mu.Lock()
	// With more connections than may be idle, one made meanwhile waits for this
	// one to go: a worker of one connection at a time would never accept it.
	most := max(t.MaxIdle, 1)
	full := t.closed || len(t.idle) >= most || len(t.conns) > most
	if !full {
		t.idle = append(t.idle, c)
	}
	t.mu.Unlock()
	if full {
		c.retire()
	}
}

// Wait returns when the last connection of a closed Transport is gone.
func (t *Transport) Wait() { t.loops.Wait() }

// Close lets the requests under way end and closes every other connection.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	conns := slices.Collect(maps.Keys(t.conns))
	t.mu.Unlock()
	for _, c := range conns {
		c.retire()
	}
}

// Abort closes every connection at once: the application is gone.
func (t *Transport) Abort(err error) {
	t.mu.Lock()
	t.closed = true
	conns := slices.Collect(maps.Keys(t.conns))
	t.mu.Unlock()
	for _, c := range conns {
		c.fail(err)
	}
}
