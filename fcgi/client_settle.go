package fcgi

import (
	"errors"
	"time"
)

// A request that was given up without flow control ends by the end of its
// connection: not all runtimes hear FCGI_ABORT_REQUEST. But a connection that is
// closed tells nothing any more, and the thread that has the request may be at work
// for long: its place is not free. Where Transport.Settle says so the connection is
// closed by halves. The application learns of the end by that of its input, and
// what it does last, FCGI_END_REQUEST or the end of its own half, says that it is
// done.

// errUnheard ends a connection whose application writes on: to one that looks at
// its output only, a write that fails is all that tells.
var errUnheard = errors.New("fcgi: application goes on with an answer that was given up")

// leave closes our half of the connection and has the other read to its end. It
// reports whether it did.
func (c *clientConn) leave(s *stream) bool {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || !c.settle {
		return false
	}
	c.mu.Lock()
	if c.err != nil || c.shut {
		c.mu.Unlock()
		return false
	}
	c.retired = true
	c.left = true
	c.mu.Unlock()
	c.out.fail(ErrAborted)
	c.nc.SetWriteDeadline(time.Unix(1, 0)) // for a piece of the body that the application does not take
	if half.CloseWrite() != nil {
		return false
	}
	s.mu.Lock()
	s.leftAt = time.Now()
	s.mu.Unlock()
	if s.settleTime > 0 {
		c.mu.Lock()
		if !c.shut {
			// hangUp stops it. Whoever waits for Settled is to lose patience first.
			c.bound = time.AfterFunc(s.settleTime+lastWords, func() { c.fail(ErrAborted) })
		}
		c.mu.Unlock()
	}
	if !s.looped {
		s.handOver()
	}
	return true
}

// unheardLocked reports whether a piece of an answer that nobody wants came so
// late that it was written after the end of the input could be seen. s.mu is held.
func (s *stream) unheardLocked() bool {
	return !s.leftAt.IsZero() && time.Since(s.leftAt) > lastWords
}
