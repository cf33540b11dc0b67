package fcgi

import (
	"errors"
	"time"
)

// On a connection without flow control the consumer of the one request reads by
// itself: most answers are short and here soon, and a goroutine for each of them
// would cost two more wake-ups than the socket's own. It does so for a while only,
// and until the first piece of the answer: whatever is long in coming, or is to be
// taken off the application ahead of a client, is the read loop's, which can be
// waited for together with a timeout and the client's leaving.

// driveTime is how long a consumer reads by itself, at least; at most twice that.
// So much later than at once it learns of its client's leaving.
const driveTime = 10 * time.Millisecond

// roomToDrive reports whether the whole of driveTime lies within wait; 0: no bound.
func roomToDrive(wait time.Duration) bool { return wait <= 0 || wait > 3*driveTime }

// drive reads what comes for s. It reports false where a read loop has taken over,
// or the connection is lost: s.news tells of more.
func (c *clientConn) drive(s *stream) bool {
	c.driver = s
	// As with connWriter.write: a timer is dearer than a small read.
	if now := time.Now(); c.readBy.Before(now.Add(driveTime)) {
		if err := c.driveUntil(now.Add(2 * driveTime)); err != nil {
			s.looped, s.unsent = true, c.flight != nil
			c.lost(err)
			return false
		}
	}
	err := c.readRecords()
	switch {
	case err == errEnded:
		return true
	case err != errPause:
		s.looped = true
		c.lost(err)
		return false
	case len(c.dirty) > 0:
		c.dirty, s.dirty = c.dirty[:0], false
		return true
	}
	s.handOver()
	return false
}

func (c *clientConn) driveUntil(t time.Time) error {
	c.readBy = t
	return c.nc.SetReadDeadline(t)
}

// handOver leaves the rest of the answer to a read loop.
func (s *stream) handOver() {
	s.looped = true
	s.c.startLoop()
}

// full reports whether more of the answer is to wait for its consumer.
func (s *stream) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.size >= s.buffering.Memory
}

// sendDrivingLocked writes a first flight and reads for s in one go. It gives
// the writer's lock up; there is no other writer.
func (c *clientConn) sendDrivingLocked(s *stream) error {
	w := &c.out
	buf := w.pending
	// Taken, not shared: the next request on c may begin before this one has
	// given its own memory back.
	w.pending, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	c.flight = buf
	c.drive(s) // c may be another request's then
	w.mu.Lock()
	w.spare = buf[:0]
	if s.unsent {
		return errNotSent
	}
	return nil
}

// errStale is a kept connection that has an end to be read, or bytes of nobody.
var errStale = errors.New("fcgi: connection is not fit for another request")

// readDriven reads for the consumer of s, and writes its first flight before.
func (c *clientConn) readDriven(p []byte) (int, error) {
	flight := c.flight
	if flight == nil {
		return c.nc.Read(p)
	}
	c.flight = nil
	fresh := !c.used
	c.used = true
	sent, n, err := c.sock.exchange(flight, p, fresh)
	for sent == 0 && err != nil && isTimeout(err) {
		// Nothing was tried: this process did not run from the deadline's setting
		// to its end. The connection is as good as it was.
		if err = c.driveUntil(time.Now().Add(2 * driveTime)); err == nil {
			sent, n, err = c.sock.exchange(flight, p, fresh)
		}
	}
	if sent == 0 {
		c.driver.unsent = true
		if err == nil {
			err = errStale
		}
		return 0, err
	}
	if sent < len(flight) && n == 0 && err == nil {
		// What the application answered before it left is still to be read.
		_, _ = c.nc.Write(flight[sent:])
		return c.nc.Read(p)
	}
	return n, err
}
