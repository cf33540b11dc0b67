package fcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// errConnUnusable is what begin returns where the connection cannot take
// another request now. Nothing of the request was sent.
var errConnUnusable = errors.New("fcgi: connection takes no further request")

// writeTimeout bounds a write on a flow-controlled connection, whose peer
// reads always: one that does not is stopped or lost.
const writeTimeout = 10 * time.Second

// A clientConn is a connection to an application. Its read loop owns the
// reading side and never waits for the consumer of a stream when flow control
// is on; without it there is one request at a time, and the socket is the window.
type clientConn struct {
	// Immutable.
	nc     net.Conn
	rr     *RecordReader
	window int64             // bytes granted by the application to each input stream; 0: no flow control
	limit  int               // requests at once
	keep   bool              // FCGI_KEEP_CONN is set on the requests
	hold   bool              // the application takes input on demand
	gone   func(*clientConn) // told once, when the connection takes no further request
	idle   func(*clientConn) // told when a request has left it fit for another
	out    connWriter

	// Stopped: nothing is sent on their channels until they are reset, not even
	// what was due when they were stopped (package time says so).
	timers sync.Pool

	// Owned by the read loop.
	dirty []*stream // have news their consumers were not told of

	mu      sync.Mutex // guards the fields below
	streams []*stream  // by id-1; nil: the id is free
	active  int
	turn    int  // the index that the next request starts at, without flow control
	retired bool // takes no further request
	err     error
}

func newClientConn(nc net.Conn) *clientConn {
	c := &clientConn{nc: nc, limit: 1}
	c.out.init(nc, 0)
	c.rr = NewRecordReader(wakingReader{c})
	return c
}

// A wakingReader tells the streams what came for them before it waits for
// more: a whole batch of records costs each of them one wake-up.
type wakingReader struct{ c *clientConn }

func (r wakingReader) Read(p []byte) (int, error) {
	r.c.wakeDirty()
	return r.c.nc.Read(p)
}

func (c *clientConn) wakeDirty() {
	for i, s := range c.dirty {
		s.dirty = false
		s.signal()
		c.dirty[i] = nil
	}
	c.dirty = c.dirty[:0]
}

func (c *clientConn) touch(s *stream) {
	if !s.dirty {
		s.dirty = true
		c.dirty = append(c.dirty, s)
	}
}

func (c *clientConn) readLoop(loops *sync.WaitGroup) {
	defer loops.Done()
	err := c.readRecords()
	if err == io.EOF {
		err = ErrTruncated // for whoever still has a request here
	}
	c.fail(err)
	c.wakeDirty()
}

func (c *clientConn) readRecords() error {
	for {
		h, err := c.rr.Next()
		if err != nil {
			return err
		}
		if err := c.record(h); err != nil {
			return err
		}
	}
}

func (c *clientConn) record(h Header) error {
	switch h.Type {
	case TypeStdout, TypeStderr, TypeEndRequest:
	case TypeWindow:
		if c.window == 0 && !c.hold {
			return nil // not negotiated: an unknown type
		}
	default:
		return nil // §4.2: an unknown type is skipped; results of GET_VALUES were taken by the handshake
	}
	s := c.stream(h.ID)
	if s == nil && h.Type == TypeWindow {
		return nil // it crossed the end of its request
	}
	if s == nil {
		// §3.3: a record of an id not in use. What else it may hit cannot be
		// known: peers that let it pass put it into another's answer.
		return protocolErrorf("%v for request id %d, which is not in use", h.Type, h.ID)
	}
	switch h.Type {
	case TypeStdout:
		return c.stdout(s, h)
	case TypeStderr:
		return c.stderr(s, h)
	case TypeWindow:
		return c.windowUpdate(s, h)
	}
	return c.end(s, h)
}

func (c *clientConn) stream(id uint16) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == ManagementID || int(id) > len(c.streams) {
		return nil
	}
	return c.streams[id-1]
}

func (c *clientConn) stdout(s *stream, h Header) error {
	if h.ContentLength == 0 {
		s.mu.Lock()
		s.stdoutEnded = true
		s.mu.Unlock()
		return nil
	}
	for {
		b, err := c.rr.Chunk()
		if err != nil || len(b) == 0 {
			return err
		}
		if err := s.deliver(b, c.window > 0, c.wakeDirty); err != nil {
			return err
		}
		c.touch(s) // after it: a wait within tells the consumer of what was there before
	}
}

func (c *clientConn) stderr(s *stream, h Header) error {
	for {
		b, err := c.rr.Chunk()
		if err != nil || len(b) == 0 {
			break
		}
		s.mu.Lock()
		if s.stderr != nil {
			s.stderr(b)
		}
		s.mu.Unlock()
	}
	if c.window > 0 {
		// Its consumer is this loop: the window opens again at once.
		s.stderrTaken += int64(h.ContentLength)
		if s.stderrTaken >= DefaultWindow/2 {
			c.grantLater(s, TypeStderr, s.stderrTaken)
			s.stderrTaken = 0
		}
	}
	return nil
}

func (c *clientConn) grantLater(s *stream, t Type, n int64) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.pending = AppendWindow(c.out.pending, s.id, t, uint32(n))
	c.out.flushLaterLocked()
}

func (c *clientConn) windowUpdate(s *stream, h Header) error {
	b, err := c.rr.Fixed(h, 8)
	if err != nil {
		return err
	}
	t, n, err := parseWindow(b)
	if err != nil {
		return err
	}
	if t != TypeStdin && t != TypeData {
		return protocolErrorf("WINDOW for %v, which the application sends itself", t)
	}
	return s.openWindow(t, int64(n))
}

func (c *clientConn) end(s *stream, h Header) error {
	b, err := c.rr.Fixed(h, 8)
	if err != nil {
		return err
	}
	appStatus, status, err := parseEndRequest(b)
	if err != nil {
		return err
	}
	// No record of this id leaves after its end is known: a later request
	// that gets the id must not find it.
	c.out.mu.Lock()
	s.over = true
	c.out.mu.Unlock()
	// The connection goes back before anyone learns of the end: whoever comes
	// next would else connect anew, and a worker of one connection at a time
	// would never accept that. Not after a request with a body, unless the
	// application is known to read FCGI_STDIN to its end: libfcgi's programs leave
	// the empty record, and trip over it. Not with more bytes behind the end,
	// which belong to nothing.
	clean := s.clean() && (!s.hasBody || c.hold) && !c.rr.Buffered()
	c.release(s, c.window > 0 || clean)
	if s.onEnd != nil {
		s.onEnd()
	}
	s.finish(appStatus, status)
	c.touch(s)
	return nil
}

// release frees the id of s, whose end came, and says what becomes of the
// connection.
func (c *clientConn) release(s *stream, reusable bool) {
	c.mu.Lock()
	c.streams[s.id-1] = nil
	c.active--
	retire := !c.retired && (!reusable || !c.keep)
	if retire {
		c.retired = true
	}
	last := c.retired && c.active == 0
	idle := !c.retired && c.idle != nil
	c.mu.Unlock()
	switch {
	case retire:
		c.gone(c)
	case idle:
		c.idle(c)
	}
	if last {
		c.nc.Close()
	}
}

// begin takes an id for a request. It fails with errConnUnusable.
func (c *clientConn) begin(s *stream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.retired || c.active >= c.limit {
		return errConnUnusable
	}
	i := 0
	if c.window == 0 {
		// Two ids in turn: what a peer sends too late for one request hits
		// no other, but an id that is not in use.
		i = c.turn
		c.turn ^= 1
	}
	// The smallest free id: ids stay small and are used again (§3.3).
	for i < len(c.streams) && c.streams[i] != nil {
		i++
	}
	for i >= len(c.streams) {
		c.streams = append(c.streams, nil)
	}
	s.c, s.id = c, uint16(i+1)
	s.stdin.window, s.data.window = c.window, c.window
	if s.onDemand = s.onDemand && c.hold; s.onDemand {
		s.stdin.window = 0
	}
	c.streams[i] = s
	s.company = c.active > 0
	c.active++
	return nil
}

// errNotSent is what send returns where nothing of the request has left.
var errNotSent = errors.New("fcgi: connection lost before the request was sent")

// send writes the first flight of a request: everything in one write. Other
// errors than errNotSent are the read loop's to find: what the application
// answered before it closed is still to be read.
func (c *clientConn) send(s *stream, req *Request) error {
	var flags uint8
	if c.keep {
		flags = FlagKeepConn
	}
	s.mu.Lock()
	if s.onDemand {
		flags |= FlagHold
	}
	s.mu.Unlock()
	w := &c.out
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return errNotSent
	}
	sent := w.sent
	b := AppendBeginRequest(w.pending, s.id, req.Role, flags)
	b = req.Params.appendRecords(b, s.id)
	if req.Stdin == nil {
		b = AppendRecord(b, TypeStdin, s.id, nil)
	}
	w.pending = b
	if s.company {
		w.gatherLocked()
	}
	if w.flushLocked() != nil && w.sent == sent && c.window == 0 {
		return errNotSent
	}
	return nil
}

// abort tells the application that nobody waits for s any more. On a
// connection of one request it closes the connection, since runtimes exist
// that do not hear FCGI_ABORT_REQUEST; on a shared one the id stays taken
// until the application has ended the request.
func (c *clientConn) abort(s *stream) {
	w := &c.out
	w.mu.Lock()
	over := s.over
	if !over && w.err == nil {
		w.pending = AppendRecord(w.pending, TypeAbortRequest, s.id, nil)
		if c.window > 0 {
			w.flushLocked()
		} else if !w.writing {
			// The record goes out before the connection closes, if the peer
			// has room for it; it may not hold us up.
			c.nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			w.flushLocked()
		}
	}
	w.mu.Unlock()
	if !over && c.window == 0 {
		c.fail(ErrAborted)
	}
}

// fail ends the connection and every request on it.
func (c *clientConn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	retire := !c.retired
	c.retired = true
	streams := append([]*stream(nil), c.streams...)
	c.mu.Unlock()
	if retire {
		c.gone(c)
	}
	c.nc.Close()
	c.out.fail(err)
	for _, s := range streams {
		if s != nil {
			s.fail(err)
		}
	}
}

// retire lets the requests on c end and then closes it.
func (c *clientConn) retire() {
	c.mu.Lock()
	was := c.retired
	c.retired = true
	last := c.active == 0
	c.mu.Unlock()
	if !was {
		c.gone(c)
	}
	if last {
		c.nc.Close()
	}
}

// negotiate asks the application for flow control before the read loop runs.
func (c *clientConn) negotiate(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.nc.SetDeadline(time.Unix(1, 0)) })
	caps, err := getValues(c.nc, c.rr)
	if !stop() {
		return context.Cause(ctx) // the deadline is on the connection, or will be
	}
	if err != nil {
		return err
	}
	if caps.Multiplex && caps.Window > 0 {
		c.window = caps.Window
		c.limit = max(caps.MaxRequests, 1)
		c.hold = caps.Hold
		c.out.timeout = writeTimeout
		c.out.failed = c.fail
	}
	return nil
}
