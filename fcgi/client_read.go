package fcgi

import (
	"errors"
	"io"
	"time"
)

// A wakingReader tells the streams what came for them before it waits for
// more: a whole batch of records costs each of them one wake-up. A consumer
// that reads for itself does not wait at all when there is something for it.
type wakingReader struct{ c *clientConn }

func (r wakingReader) Read(p []byte) (int, error) {
	c := r.c
	if c.driver != nil {
		if len(c.dirty) > 0 {
			return 0, errPause
		}
		n, err := c.readDriven(p)
		if err != nil && isTimeout(err) {
			err = errPause
		}
		return n, err
	}
	c.wakeDirty() // also where the read does not wait: it may go on and on
	n, err := c.nc.Read(p)
	if err != nil && n == 0 && !c.readBy.IsZero() && isTimeout(err) {
		// The deadline was the consumer's, for its own reading.
		c.readBy = time.Time{}
		if err = c.nc.SetReadDeadline(c.readBy); err == nil {
			n, err = c.nc.Read(p)
		}
	}
	return n, err
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

// startLoop has a goroutine read on.
func (c *clientConn) startLoop() {
	c.mu.Lock()
	shut := c.shut
	if !shut {
		c.loops.Add(1)
	}
	c.mu.Unlock()
	if shut {
		return // by whoever tells the streams
	}
	c.driver = nil
	go c.readLoop()
	// Its end is received by Transport.Wait.
}

func (c *clientConn) readLoop() {
	defer c.loops.Done()
	err := c.readRecords()
	if err == errEnded {
		return
	}
	c.lost(err)
	c.wakeDirty()
}

// lost ends the connection with what ended its reading.
func (c *clientConn) lost(err error) {
	if err == io.EOF {
		err = ErrTruncated // for whoever still has a request here
	}
	c.fail(err)
}

var (
	// errPause ends the reading where it stands: it is gone on with later.
	errPause = errors.New("fcgi: reading is paused")
	// errEnded ends it with a request on a connection without flow control,
	// which may be another request's already: it is not to be touched.
	errEnded = errors.New("fcgi: request has ended")
)

func (c *clientConn) readRecords() error {
	for {
		if !c.paused {
			h, err := c.rr.Next()
			if err != nil {
				return err
			}
			c.at = h
		}
		c.paused = false
		if err := c.record(c.at); err != nil {
			if err == errPause {
				c.paused = true
			}
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

// stream returns the stream of an id. The records of an answer mostly come one
// after another, and only who reads them ends it.
func (c *clientConn) stream(id uint16) *stream {
	if c.last != nil && c.last.id == id {
		return c.last
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == ManagementID || int(id) > len(c.streams) {
		return nil
	}
	c.last = c.streams[id-1]
	return c.last
}

func (c *clientConn) stdout(s *stream, h Header) error {
	if h.ContentLength == 0 {
		s.mu.Lock()
		s.stdoutEnded = true
		s.mu.Unlock()
		return nil
	}
	for {
		if c.driver != nil && s.full() {
			return errPause // its consumer would wait for itself
		}
		if n := c.rr.large(); n > 0 {
			return c.stdoutDirect(s, n)
		}
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
		if err != nil {
			return err
		}
		if len(b) == 0 {
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
	return s.openWindow(t, n)
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
	clean := s.clean() && (!s.hasInput || c.hold) && !c.rr.Buffered()
	flow := c.window > 0
	c.last = nil
	if flow {
		c.touch(s)
	} else {
		c.dirty, s.dirty = c.dirty[:0], false
	}
	c.release(s, flow || clean)
	if s.onEnd != nil {
		s.onEnd()
	}
	s.finish(appStatus, status)
	if flow {
		return nil
	}
	s.signal()
	return errEnded
}
