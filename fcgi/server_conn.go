package fcgi

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A serverConn is a connection from a web server. Its read loop never writes and,
// in flow mode, never waits for a handler, so an abort or a grant is never stuck
// behind a body that nobody reads. Without flow control there is one request at a
// time and the socket is the window: the loop waits for the handler to take STDIN.
type serverConn struct {
	// Immutable.
	srv  *Server
	nc   net.Conn
	sock *socket // nc, where it is one; else nil
	rr   *RecordReader

	// Owned by the read loop.
	untold *serverStream // has more than its reader was told of

	loops    sync.WaitGroup      // handlers and flushers; serve waits for them
	handlers chan *serverRequest // to goroutines without a request; closed by the read loop
	idle     atomic.Int32        // how many of these there are

	growth growth // of the windows of input streams

	mu       sync.Mutex // guards the fields below; never held across a read or write
	reqs     map[uint16]*serverRequest
	flow     bool      // FRONTD_FLOW was negotiated
	window   int64     // in flow mode: what the web server grants each output stream at first
	served   bool      // a request has begun here; since draining began, once that has
	rested   time.Time // when the last request ended
	draining bool      // Shutdown was called
	closing  bool      // closes when no request is left and everything is written
	unread   bool      // closing, and the peer may still be sending
	hungUp   bool      // closing has been carried out
	err      error     // why nothing more can be written; the connection is closed

	// The output, see server_out.go.
	pending *serverBuffer // nil: nothing to write
	writing bool          // somebody writes, and will write pending too
	writeBy time.Time     // the write deadline that is set; of the one that writes
	batch   batch         // of the one that writes
	room    sync.Cond     // pending was taken, or err was set, or a request was aborted
}

func newServerConn(s *Server, nc net.Conn) *serverConn {
	sock := newSocket(nc, false)
	if sock != nil {
		nc = sock
	}
	c := &serverConn{srv: s, nc: nc, sock: sock, rr: NewRecordReader(nc), reqs: make(map[uint16]*serverRequest),
		handlers: make(chan *serverRequest)}
	if sock != nil {
		sock.waits, c.rr.both = c.tell, sock
	}
	c.room.L = &c.mu
	return c
}

func (c *serverConn) serve() {
	defer c.srv.removeConn(c)
	err := c.readRecords()
	close(c.handlers)
	var breach *ProtocolError
	if errors.As(err, &breach) {
		c.srv.logf("fcgi: connection from %v closed: %v", c.nc.RemoteAddr(), err)
	}
	c.fail(err)
	c.loops.Wait()
}

func (c *serverConn) readRecords() error {
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

// record takes one record. What it leaves of its content is skipped.
func (c *serverConn) record(h Header) error {
	switch {
	case h.ID == ManagementID:
		return c.management(h)
	case h.Type == TypeBeginRequest:
		return c.begin(h)
	}
	r := c.request(h.ID)
	if r == nil {
		return nil // §3.3: the application ignores records of inactive ids
	}
	switch h.Type {
	case TypeAbortRequest:
		c.abort(r)
	case TypeParams:
		return c.params(r, h)
	case TypeStdin:
		return c.stdin(r, h)
	case TypeData:
		return c.data(r, h)
	case TypeWindow:
		return c.grantFromPeer(r, h)
	}
	return nil // a type that is unknown, or not for an application to receive
}

func (c *serverConn) request(id uint16) *serverRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reqs[id]
}

// begin takes a BEGIN_REQUEST (§5.1): a new request, or a refusal.
func (c *serverConn) begin(h Header) error {
	b, err := c.rr.Fixed(h, 8)
	if err != nil {
		return err
	}
	role, flags, err := parseBeginRequest(b)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err // nobody would end it: failLocked has been here
	}
	if c.reqs[h.ID] != nil {
		return protocolErrorf("BEGIN_REQUEST for request id %d, which is active (§3.3)", h.ID)
	}
	if c.closing && len(c.reqs) == 0 {
		return nil // the last response here was given; the peer will see the end
	}
	keep := flags&FlagKeepConn != 0
	if status := c.refusal(role); status != StatusRequestComplete {
		c.appendControl(AppendEndRequest(c.buffer(), h.ID, 0, status))
		if !keep && status != StatusCantMultiplex {
			c.closing, c.unread = true, true // §5.1: closed after the response; its input still comes
		}
		c.flushLater()
		return nil
	}
	if c.draining {
		c.nc.SetReadDeadline(time.Time{}) // its first request, within the grace
	}
	c.served = true
	r := newServerRequest(c, h.ID, role, keep)
	if flags&FlagHold != 0 {
		r.stdin.hold()
	}
	c.reqs[h.ID] = r
	return nil
}

// refusal returns why a request in role cannot begin now, or REQUEST_COMPLETE
// if it can: then it is counted as in hand.
func (c *serverConn) refusal(role Role) ProtocolStatus {
	switch {
	case !c.flow && len(c.reqs) > 0:
		return StatusCantMultiplex
	case c.srv.handlerFor(role) == nil:
		return StatusUnknownRole
	case c.draining && c.served, c.closing, !c.srv.takeRequest():
		return StatusOverloaded
	}
	return StatusRequestComplete
}

// params takes a piece of the PARAMS stream. Its end starts the request.
func (c *serverConn) params(r *serverRequest, h Header) error {
	if r.paramsEnded {
		return nil
	}
	if h.ContentLength == 0 {
		return r.endParams()
	}
	for {
		b, err := c.rr.Chunk()
		if err != nil || len(b) == 0 {
			return err
		}
		if !r.addParams(b) {
			return nil
		}
	}
}

// stdin takes a piece of the STDIN stream. Its first record tells whether a
// request that did not say so has a body.
func (c *serverConn) stdin(r *serverRequest, h Header) error {
	if r.undecided {
		if h.ContentLength == 0 {
			r.length = 0
		}
		r.start()
	}
	return c.input(r, h, &r.stdin)
}

func (c *serverConn) input(r *serverRequest, h Header, s *serverStream) error {
	if h.ContentLength == 0 {
		s.end()
		return nil
	}
	for {
		if n := c.rr.large(); n > 0 && n <= c.srv.window() && r.started {
			return c.inputDirect(s, n)
		}
		b, err := c.rr.Chunk()
		if err != nil || len(b) == 0 {
			return err
		}
		if err := s.put(b, r.started); err != nil {
			return err
		}
	}
}

// inputDirect takes what is left of a large record straight into the memory that
// the stream's reader gets. The reader is told of it when the connection has no
// more for now, or when it is worth its while.
func (c *serverConn) inputDirect(s *serverStream, n int) error {
	if c.untold != s {
		c.tell()
	}
	p := newPiece(n)
	m, err := c.rr.into(p.b[:n])
	p.b = p.b[:m]
	c.untold = s
	buffered, broken := s.push(p)
	if buffered >= tellAt {
		c.tell()
	}
	if broken != nil {
		return broken
	}
	return err
}

// tell tells the reader of a stream what came for it.
func (c *serverConn) tell() {
	if s := c.untold; s != nil {
		c.untold = nil
		s.tell()
	}
}

// data takes a piece of the DATA stream, which only a Filter has, behind its
// STDIN (§6.4). Without flow control one stream that nobody reads would hold
// up the other one.
func (c *serverConn) data(r *serverRequest, h Header) error {
	switch {
	case r.role != RoleFilter:
		return nil
	case !c.flow && !r.stdin.hasEnded():
		return protocolErrorf("DATA before the end of STDIN (§6.4)")
	}
	return c.input(r, h, r.data)
}

// grantFromPeer takes a FRONTD_WINDOW record: an output stream may send more.
func (c *serverConn) grantFromPeer(r *serverRequest, h Header) error {
	if !c.flow { // only the read loop sets it
		return nil
	}
	b, err := c.rr.Fixed(h, 8)
	if err != nil {
		return err
	}
	stream, n, err := parseWindow(b)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := r.sendWindow(stream)
	if w == nil {
		return protocolErrorf("WINDOW for %v from a web server, which does not receive it", stream)
	}
	if *w, err = addWindow(*w, n); err != nil {
		return err
	}
	r.wake.Broadcast()
	return nil
}

// abort takes an ABORT_REQUEST (§5.4). The END_REQUEST that answers it comes when
// the handler has returned: until then the request does take up the worker.
func (c *serverConn) abort(r *serverRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.abortLocked()
	if !r.started {
		c.endLocked(r, serverAborted)
		c.flushLater()
	}
}

// management takes a management record (§4).
func (c *serverConn) management(h Header) error {
	switch h.Type {
	case TypeGetValues:
		return c.getValues()
	case TypeUnknownType:
		return nil // no answer to an answer
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appendControl(AppendUnknownType(c.buffer(), h.Type))
	c.flushLater()
	return nil
}

// getValues answers FCGI_GET_VALUES (§4.1): the names that were asked for and are
// known, no others. It may come at any time.
func (c *serverConn) getValues() error {
	asked := make(map[string]string)
	d := paramsDecoder{limit: MaxContent}
	for {
		b, err := c.rr.Chunk()
		if err != nil {
			return err
		}
		if len(b) == 0 {
			break
		}
		if err := d.add(b, func(name, value string) { asked[name] = value }); err != nil {
			return err
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.negotiate(asked)
	var result Params
	add := func(name string, value int) {
		if _, ok := asked[name]; ok {
			result.Add(name, strconv.Itoa(value))
		}
	}
	add(ValueMaxConns, c.srv.maxConns())
	add(ValueMaxReqs, c.srv.maxRequests())
	if c.flow {
		add(ValueMpxsConn, 1)
		add(ValueFlow, c.srv.window())
	} else {
		add(ValueMpxsConn, 0)
	}
	add(ValueHold, 1)
	c.appendControl(AppendRecord(c.buffer(), TypeGetValuesResult, ManagementID, result.buf))
	c.flushLater()
	return nil
}

// negotiate turns flow mode on if the web server asked for it and no request
// is in hand that began without it.
func (c *serverConn) negotiate(asked map[string]string) {
	n, err := strconv.ParseInt(asked[ValueFlow], 10, 64)
	if err != nil || n < 1 || n > MaxWindow || c.flow || len(c.reqs) > 0 {
		return
	}
	c.flow, c.window = true, n
	if c.sock != nil {
		c.sock.widen()
		if !c.writing && !c.draining && c.sock.quieten() {
			c.writeBy = time.Time{} // what was set is not any more
		}
	}
}

// drain lets the requests in hand finish and then closes the connection.
func (c *serverConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	switch {
	case len(c.reqs) > 0:
	case c.served && (c.flow || time.Since(c.rested) > serverGrace):
		c.closing = true
		c.settle()
	default:
		// A web server that kept it is perhaps sending its next request.
		c.served = false
		c.nc.SetReadDeadline(time.Now().Add(serverGrace))
	}
}

// fail closes the connection at once. Everything in hand on it is aborted.
func (c *serverConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *serverConn) failLocked(err error) {
	if c.err != nil {
		return
	}
	if err == nil || err == io.EOF {
		err = ErrAborted
	}
	c.err = err
	c.nc.Close()
	c.room.Broadcast()
	for _, r := range c.reqs {
		r.abortLocked()
		if !r.started {
			c.forget(r)
		}
	}
}

// settle closes the connection if that is all that is left to do.
func (c *serverConn) settle() {
	if !c.closing || c.hungUp || c.err != nil || len(c.reqs) > 0 || c.writing || c.pending != nil {
		return
	}
	c.hungUp = true
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !c.unread || !ok {
		c.nc.Close()
		return
	}
	half.CloseWrite()
	c.nc.SetReadDeadline(time.Now().Add(serverLinger)) // the read loop skips what comes until then
}
