package fcgi

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// errConnUnusable is what begin returns where the connection cannot take
// another request now. Nothing of the request was sent.
var errConnUnusable = errors.New("fcgi: connection takes no further request")

// writeTimeout bounds a write on a flow-controlled connection, whose peer
// reads always: one that does not is stopped or lost.
const writeTimeout = 10 * time.Second

// A clientConn is a connection to an application. Where flow control is on its
// read loop owns the reading side and never waits for the consumer of a stream.
// Without it there is one request at a time, and the socket is the window: the
// consumer reads by itself, and hands over to a loop what takes longer.
type clientConn struct {
	// Immutable.
	nc     net.Conn
	sock   *socket // nc, where it is one; else nil
	rr     *RecordReader
	loops  *sync.WaitGroup   // counts the connection until it is closed, and its read loops
	window int64             // bytes granted by the application to each input stream; 0: no flow control
	limit  int               // requests at once
	keep   bool              // FCGI_KEEP_CONN is set on the requests
	hold   bool              // the application takes input on demand
	settle bool              // a request that is given up is waited for, see leave
	gone   func(*clientConn) // told once, when the connection takes no further request
	idle   func(*clientConn) // told when a request has left it fit for another
	out    connWriter
	growth growth

	looking atomic.Bool // looks will come

	// Stopped: nothing is sent on their channels until they are reset, not even
	// what was due when they were stopped (package time says so).
	timers sync.Pool

	// Owned by whoever reads: the read loop, or a consumer.
	dirty  []*stream // have news their consumers were not told of
	driver *stream   // whose consumer reads; nil: the loop
	at     Header    // the record that was begun
	last   *stream   // that a record was of; nil once it has ended
	paused bool      // and is to be gone on with
	flight []byte    // to be written before the first read
	used   bool      // a request was sent here before
	readBy time.Time // the read deadline that is set

	mu      sync.Mutex // guards the fields below
	streams []*stream  // by id-1; nil: the id is free
	active  int
	bulk    bool // the last answer was worth a large window
	turn    int  // the index that the next request starts at, without flow control
	retired bool // takes no further request
	err     error
	shut    bool        // nc is closed
	left    bool        // our half of nc is
	bound   *time.Timer // for how long it may be; nil: none
	looks   *time.Timer // calls look; nil: never did
}

func newClientConn(nc net.Conn, keep bool, loops *sync.WaitGroup) *clientConn {
	c := &clientConn{nc: nc, keep: keep, limit: 1, loops: loops}
	if c.sock = newSocket(nc, keep); c.sock != nil {
		c.nc = c.sock
	}
	c.out.init(c.nc, 0)
	c.rr = NewRecordReader(wakingReader{c})
	return c
}

// release frees the id of s, whose end came, and says what becomes of the
// connection.
func (c *clientConn) release(s *stream, reusable bool) {
	grown, bulk := s.fixWindow()
	c.growth.giveBack(grown)
	c.mu.Lock()
	c.bulk = bulk
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
		c.hangUp()
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
	if c.bulk {
		s.ahead = c.growth.lend(grownWindow, s.limit)
		s.limit += s.ahead
	}
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

// quickFlight is how much a socket takes at once whatever its application does, in
// bytes.
const quickFlight = 32 << 10

// send writes the first flight of a request: everything in one write. Other
// errors than errNotSent are the read loop's to find: what the application
// answered before it closed is still to be read.
func (c *clientConn) send(ctx context.Context, s *stream, req *Request) error {
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
	if s.ahead > 0 {
		b = AppendWindow(b, s.id, TypeStdout, uint32(s.ahead))
	}
	b = req.Params.appendRecords(b, s.id)
	if req.Stdin == nil {
		b = AppendStream(b, TypeStdin, s.id, req.Body)
		b = AppendRecord(b, TypeStdin, s.id, nil)
	}
	w.pending = b
	if s.company {
		w.gatherLocked()
	}
	if c.window == 0 && len(b) > quickFlight {
		defer c.boundFlight(ctx, req.HeadTimeout)()
	} else if c.sock != nil && c.window == 0 && !s.hasBody && roomToDrive(req.HeadTimeout) {
		return c.sendDrivingLocked(s)
	}
	if w.flushLocked() != nil && w.sent == sent && c.window == 0 {
		return errNotSent
	}
	return nil
}

// boundFlight ends a write that a stopped application holds up, by the request's
// time or its client's leaving. done is called behind it, before anyone reads: who
// waits for the answer finds the same end.
func (c *clientConn) boundFlight(ctx context.Context, timeout time.Duration) (done func()) {
	if timeout > 0 {
		c.nc.SetWriteDeadline(time.Now().Add(timeout))
	}
	stop := context.AfterFunc(ctx, func() { c.nc.SetWriteDeadline(time.Unix(1, 0)) })
	return func() {
		if !stop() {
			c.retire() // the deadline is on the connection, or will be
			return
		}
		c.nc.SetWriteDeadline(time.Time{})
	}
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
	if !over && c.window == 0 && !c.leave(s) {
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
	c.hangUp()
	c.out.fail(err)
	for _, s := range streams {
		if s != nil {
			s.fail(err)
		}
	}
}

// hangUp closes the connection; whoever reads learns of it there.
func (c *clientConn) hangUp() {
	c.mu.Lock()
	was, left := c.shut, c.left
	c.shut = true
	if c.bound != nil {
		c.bound.Stop()
	}
	c.mu.Unlock()
	if was {
		return
	}
	if left {
		c.gone(c)
	}
	c.nc.Close()
	c.loops.Done()
}

// lastWords is how long a peer that takes nothing more has for what it said before.
const lastWords = time.Second

// writeFailed ends a connection with flow control that a write failed on. What
// a process has answered before it died is still to be read, and the read loop
// finds the end behind it; one that does not read is not waited for.
func (c *clientConn) writeFailed(err error) {
	if isTimeout(err) {
		c.fail(err)
		return
	}
	c.mu.Lock()
	retire := !c.retired
	c.retired = true
	c.mu.Unlock()
	if retire {
		c.gone(c)
	}
	c.nc.SetReadDeadline(time.Now().Add(lastWords))
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
		c.hangUp()
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
		c.limit = min(max(caps.MaxRequests, 1), maxRequestID)
		c.hold = caps.Hold
		c.out.timeout = writeTimeout
		c.out.failed = c.writeFailed
		if c.sock != nil {
			c.sock.waits, c.rr.both = c.wakeDirty, c.sock
			c.sock.widen()
		}
	}
	return nil
}
