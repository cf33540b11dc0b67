package fcgi

// Where windows bound what is under way, the content of large records is read
// straight into the pieces that the consumers get: it is copied nowhere, and a
// consumer is told when the connection has no more for now, or when there is
// enough for it to be worth its while.

// tellAt is how much may be queued, in bytes, before a consumer is told of it
// although more is here to be read.
const tellAt = 2 * largePiece

// stdoutDirect takes what is left of a large record.
func (c *clientConn) stdoutDirect(s *stream, n int) error {
	if len(c.dirty) > 1 || len(c.dirty) == 1 && c.dirty[0] != s {
		c.wakeDirty() // the others are not to wait for this one's
	}
	p := newPiece(n)
	m, err := c.rr.into(p.b[:n])
	p.b = p.b[:m]
	queued, broken := s.push(p)
	if broken != nil {
		return broken
	}
	c.touch(s)
	if queued >= tellAt {
		c.wakeDirty()
	}
	return err
}

// push takes a piece of STDOUT on a connection with flow control, and returns how
// much is queued now.
func (s *stream) push(p piece) (queued int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admitLocked(len(p.b)); err != nil || s.err != nil || len(p.b) == 0 {
		s.cut = s.cut || s.err != nil && len(p.b) > 0
		p.free()
		return s.queue.size, err
	}
	s.began = true
	s.queue.push(p)
	return s.queue.size, nil
}

// admitLocked refuses content of STDOUT that the peer may not send.
func (s *stream) admitLocked(n int) error {
	switch {
	case s.stdoutEnded:
		return protocolErrorf("STDOUT after its end (§3.3)")
	case s.err == nil && s.c.window > 0 && int64(s.queue.size+n)+s.held+s.granted > s.limit:
		return protocolErrorf("STDOUT of %d bytes beyond its window", s.queue.size+n)
	}
	return nil
}

// fixWindow returns what the window of a stream that ends has grown by, and whether
// the next one may need the same. It does not grow any more.
func (s *stream) fixWindow() (grown int64, bulk bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fixed = true
	grown = s.limit - DefaultWindow
	return grown, grown > 0 && s.total+s.granted+s.held+int64(s.queue.size) > DefaultWindow
}
