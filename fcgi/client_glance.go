package fcgi

import "time"

// Where flow control is on, a consumer that waits for its answer waits for nothing
// else at first: most answers are here within a millisecond, and a timer and the
// request's context, watched for each of them, would cost more than the wait. The
// connection looks every now and then who still waits; that one watches both from
// then on.

// glanceTime is between two looks. A request that lives to see the second is watched:
// so much later than at once, at most twice that, its client's leaving is heard of.
const glanceTime = 20 * time.Millisecond

// glance waits for news of s and nothing else, unless s has waited for long, or
// there is little time. It reports whether it did.
func (s *stream) glance(wait time.Duration) bool {
	if s.c.window == 0 || s.long.Load() || wait > 0 && wait <= 3*glanceTime {
		return false
	}
	s.c.lookLater()
	<-s.news
	return true
}

// lookLater has look called, once the stream of the caller is begun.
func (c *clientConn) lookLater() {
	if c.looking.Load() || !c.looking.CompareAndSwap(false, true) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looks == nil {
		c.looks = time.AfterFunc(glanceTime, c.look)
		return
	}
	c.looks.Reset(glanceTime)
}

// look ends the glances of the streams that the last one saw already.
func (c *clientConn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := false
	for _, s := range c.streams {
		switch {
		case s == nil || s.long.Load():
		case s.looked:
			s.long.Store(true)
			s.signal()
		default:
			s.looked, again = true, true
		}
	}
	if again {
		c.looks.Reset(glanceTime)
		return
	}
	// A stream that begins from here on finds that nobody looks: begin takes c.mu.
	c.looking.Store(false)
}
