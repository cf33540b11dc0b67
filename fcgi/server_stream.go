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
	req   *serverRequest
	typ   Type
	limit int
	flow  bool

	mu      sync.Mutex // guards the fields below; nothing is locked under it
	changed sync.Cond
	buf     *serverBuffer
	off     int   // bytes of buf that were read
	window  int   // flow mode: bytes that the peer may still send
	taken   int   // flow mode: bytes read and not yet granted again
	left    int64 // bytes of the declared length still to come; <0: none declared
	ended   bool  // the peer sent the empty record
	err     error // what Read returns once the buffer is empty
	closed  bool  // nobody reads any more
	held    bool  // the peer waits until the input is asked for
	timer   *time.Timer
}

func (s *serverStream) init(r *serverRequest, t Type, limit int, flow bool) {
	s.req, s.typ, s.limit, s.flow, s.window, s.left = r, t, limit, flow, limit, -1
	s.changed.L = &s.mu
}

// declare says how many bytes the stream is to have. More are dropped (RFC 3875
// §4.2), fewer are an error for the reader (FastCGI §6.2).
func (s *serverStream) declare(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left = n; s.buf == nil {
		return
	}
	s.buf.b = s.buf.b[:min(int64(len(s.buf.b)), n)]
	s.left -= int64(len(s.buf.b))
}

// put takes a piece of the stream. wait is false where nobody reads yet: what
// does not fit then can only be a breach of the protocol.
func (s *serverStream) put(b []byte, wait bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flow {
		if len(b) > s.window {
			return protocolErrorf("%v beyond its window", s.typ)
		}
		s.window -= len(b)
	}
	for len(b) > 0 && !s.closed && !s.ended && s.err == nil && s.left != 0 {
		n := min(len(b), s.limit-s.buffered())
		if s.left > 0 {
			n = int(min(int64(n), s.left))
		}
		if n > 0 {
			s.append(b[:n])
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

func (s *serverStream) buffered() int {
	if s.buf == nil {
		return 0
	}
	return len(s.buf.b) - s.off
}

func (s *serverStream) append(b []byte) {
	if s.buf == nil {
		s.buf = getServerBuffer()
	}
	if s.off > 0 && len(s.buf.b)+len(b) > cap(s.buf.b) {
		s.buf.b = s.buf.b[:copy(s.buf.b, s.buf.b[s.off:])]
		s.off = 0
	}
	s.buf.b = append(s.buf.b, b...)
	if s.left > 0 {
		s.left -= int64(len(b))
	}
	s.changed.Broadcast()
}

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

// take is Read without I/O. grant is what the peer is to be granted: half a
// window at a time, so that grants are few and the peer never idle.
func (s *serverStream) take(p []byte) (n, grant int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) == 0 {
		return 0, 0, nil
	}
	for {
		switch {
		case s.closed:
			return 0, 0, errServerBodyClosed
		case s.err != nil:
			return 0, 0, s.err
		case s.buffered() > 0:
			n = copy(p, s.buf.b[s.off:])
			s.off += n
			s.taken += n
			return n, s.regrant(), nil
		case s.left == 0:
			return 0, 0, io.EOF
		case s.ended && s.left > 0:
			return 0, 0, io.ErrUnexpectedEOF
		case s.ended:
			return 0, 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *serverStream) regrant() (n int) {
	s.changed.Broadcast() // there is room
	if s.off == len(s.buf.b) {
		s.buf.b, s.off = s.buf.b[:0], 0
	}
	if !s.flow || s.ended || s.left == 0 || 2*s.taken < s.limit {
		return 0
	}
	n, s.taken = s.taken, 0
	s.window += n
	return n
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
	if s.buf != nil {
		putServerBuffer(s.buf)
		s.buf, s.off = nil, 0
	}
	s.changed.Broadcast()
	return nil
}
