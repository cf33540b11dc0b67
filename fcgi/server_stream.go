package fcgi

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

var (
	errServerRequestEnded = errors.New("fcgi: the request has ended")
	errServerBodyClosed   = errors.New("fcgi: read of a closed body")
)

// A serverStream is an input stream of a request, STDIN or DATA, between the read
// loop and the handler. It holds at most limit bytes. In flow mode the peer sends
// no more than was granted; else put waits.
type serverStream struct {
	// Immutable.
	req  *serverRequest
	typ  Type
	flow bool

	mu      sync.Mutex // guards the fields below; nothing is locked under it
	changed sync.Cond
	limit   int
	grows   bool // flow mode: limit does, for a reader that keeps up
	queue   pieces
	off     int   // bytes of the first piece that were read
	window  int   // flow mode: bytes that the peer may still send
	taken   int   // flow mode: bytes read and not yet granted again
	waited  bool  // the reader did, since the last grant
	left    int64 // bytes of the declared length still to come; <0: none declared
	ended   bool  // the peer sent the empty record
	err     error // what Read returns once the buffer is empty
	closed  bool  // nobody reads any more
	held    bool  // the peer waits until the input is asked for
	timer   *time.Timer
}

func (s *serverStream) init(r *serverRequest, t Type, limit int, flow bool) {
	s.req, s.typ, s.limit, s.flow, s.window, s.left = r, t, limit, flow, limit, -1
	s.grows = flow && r.conn.srv.Window <= 0
	s.changed.L = &s.mu
}

// declare says how many bytes the stream is to have. More are dropped (RFC 3875
// §4.2), fewer are an error for the reader (FastCGI §6.2).
func (s *serverStream) declare(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.truncate(n)
	s.left = n - int64(s.queue.size)
}

// put takes a piece of the stream. wait is false where nobody reads yet: what
// does not fit then can only be a breach of the protocol.
func (s *serverStream) put(b []byte, wait bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.useWindow(len(b)); err != nil {
		return err
	}
	for len(b) > 0 && s.wanted() {
		n := min(len(b), s.limit-s.buffered())
		if s.left > 0 {
			n = int(min(int64(n), s.left))
		}
		if n > 0 {
			s.queue.append(b[:n])
			s.came(n)
			s.changed.Broadcast()
			b = b[n:]
			continue
		}
		if !wait {
			return protocolErrorf("%d bytes of %v before the end of PARAMS", s.limit+len(b), s.typ)
		}
		s.changed.Wait()
	}
	return nil
}

// push takes a whole piece, of which the reader is yet to be told. It returns how
// much is buffered now.
func (s *serverStream) push(p piece) (buffered int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.useWindow(len(p.b)); err != nil {
		p.free()
		return 0, err
	}
	for s.wanted() && s.buffered() > 0 && s.buffered()+len(p.b) > s.limit { // not in flow mode
		s.changed.Broadcast()
		s.changed.Wait()
	}
	if s.left >= 0 {
		p.b = p.b[:min(int64(len(p.b)), s.left)]
	}
	if !s.wanted() || len(p.b) == 0 {
		p.free()
		return s.buffered(), nil
	}
	s.queue.push(p)
	s.came(len(p.b))
	return s.buffered(), nil
}

// tell wakes the reader.
func (s *serverStream) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// useWindow takes n bytes off what the peer may send.
func (s *serverStream) useWindow(n int) error {
	if !s.flow {
		return nil
	}
	if n > s.window {
		return protocolErrorf("%v beyond its window", s.typ)
	}
	s.window -= n
	return nil
}

// wanted reports whether there is, or may be, a reader for more.
func (s *serverStream) wanted() bool {
	return !s.closed && !s.ended && s.err == nil && s.left != 0
}

// came counts n bytes of the declared length as here.
func (s *serverStream) came(n int) {
	if s.left > 0 {
		s.left -= int64(n)
	}
}

func (s *serverStream) buffered() int { return s.queue.size - s.off }

// end takes the empty record that ends the stream.
func (s *serverStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.changed.Broadcast()
}

func (s *serverStream) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// fail makes reads return err, at once: what is buffered is of no use to a
// request that was aborted.
func (s *serverStream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.changed.Broadcast()
}

// setDeadline makes reads fail from t on; the zero time means never.
func (s *serverStream) setDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !t.IsZero() && !s.closed {
		s.timer = time.AfterFunc(time.Until(t), func() { s.fail(os.ErrDeadlineExceeded) })
	}
}

// Read implements io.Reader. It returns io.ErrUnexpectedEOF where the peer ended
// the stream before its declared length, and ErrAborted where it went away.
func (s *serverStream) Read(p []byte) (int, error) {
	if n := s.ask(); n > 0 {
		s.req.conn.grant(s.req, s.typ, n)
	}
	n, grant, err := s.take(p)
	if grant > 0 {
		s.req.conn.grant(s.req, s.typ, grant)
	}
	return n, err
}

// hold leaves the stream without a window until it is read.
func (s *serverStream) hold() { s.held, s.window = true, 0 }

// ask returns what the peer is to be granted because the stream is read for
// the first time.
func (s *serverStream) ask() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		return 0
	}
	s.held, s.window = false, s.limit
	return s.limit
}

// WriteTo implements io.WriterTo, for io.Copy: what came goes to w as it is.
func (s *serverStream) WriteTo(w io.Writer) (written int64, err error) {
	if n := s.ask(); n > 0 {
		s.req.conn.grant(s.req, s.typ, n)
	}
	for {
		p, off, err := s.takePiece()
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(p.b[off:])
		written += int64(n)
		size := len(p.b) - off
		p.free()
		if err == nil && n < size {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, err
		}
		if grant := s.used(size); grant > 0 {
			s.req.conn.grant(s.req, s.typ, grant)
		}
	}
}

// take is Read without I/O. grant is what the peer is to be granted.
func (s *serverStream) take(p []byte) (n, grant int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) == 0 {
		return 0, 0, nil
	}
	if err := s.waitLocked(); err != nil {
		return 0, 0, err
	}
	first := s.queue.list[0].b
	n = copy(p, first[s.off:])
	if s.off += n; s.off == len(first) {
		done := s.queue.pop()
		done.free()
		s.off = 0
	}
	return n, s.usedLocked(n), nil
}

// takePiece takes the first piece, of which off bytes were read before.
func (s *serverStream) takePiece() (p piece, off int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.waitLocked(); err != nil {
		return piece{}, 0, err
	}
	off, s.off = s.off, 0
	return s.queue.pop(), off, nil
}

// waitLocked returns when something is buffered, or with why nothing will be.
func (s *serverStream) waitLocked() error {
	for {
		switch {
		case s.closed:
			return errServerBodyClosed
		case s.err != nil:
			return s.err
		case s.buffered() > 0:
			return nil
		case s.left == 0:
			return io.EOF
		case s.ended && s.left > 0:
			return io.ErrUnexpectedEOF
		case s.ended:
			return io.EOF
		}
		s.waited = true
		s.changed.Wait()
	}
}

func (s *serverStream) used(n int) (grant int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usedLocked(n)
}

// usedLocked counts n bytes as read and returns what the peer is to be granted for
// them: half a window at a time, so that grants are few and the peer never idle.
func (s *serverStream) usedLocked(n int) (grant int) {
	s.changed.Broadcast() // there is room
	s.taken += n
	if !s.flow || s.ended || s.closed || s.left == 0 || 2*s.taken < s.limit {
		return 0
	}
	grant, s.taken = s.taken, 0
	if s.grows && s.waited {
		more := int(s.req.conn.growth.lend(int64(s.limit), int64(s.limit)))
		s.limit += more
		grant += more
	}
	s.waited = false
	s.window += grant
	return grant
}

// Close implements io.Closer. What still comes is dropped.
func (s *serverStream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.queue.drop()
	s.off = 0
	if s.grows {
		s.req.conn.growth.giveBack(int64(s.limit) - DefaultWindow)
		s.grows = false
	}
	s.changed.Broadcast()
	return nil
}
