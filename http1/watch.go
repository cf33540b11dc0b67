package http1

import (
	"errors"
	"io"
	"os"
	"time"
)

const (
	// sweepEvery is how often it is looked for handlers that run long: a
	// client that leaves is noticed after twice that at most. Most requests
	// are over before, and cost nothing.
	sweepEvery = 50 * time.Millisecond
	// sweepsIdle is how many times nothing is found before it ends.
	sweepsIdle = 20
)

// wake sees to it that a sweeper runs while a handler does.
func (s *Server) wake() {
	if !s.awake.Load() && s.awake.CompareAndSwap(false, true) {
		s.sweeping.Go(s.sweep) // Shutdown waits for it
	}
}

// sweep looks through the connections again and again, until there was
// nothing to do for a while.
func (s *Server) sweep() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for quietFor := 0; ; {
		<-t.C
		if s.look() {
			quietFor = 0
			continue
		}
		if quietFor++; quietFor < sweepsIdle && !s.ending.Load() {
			continue
		}
		s.awake.Store(false)
		// A handler that began just before that found a sweeper awake.
		if !s.look() || !s.awake.CompareAndSwap(false, true) {
			return
		}
		quietFor = 0
	}
}

// look puts a watch on each connection whose handler has been running since the last
// look, and says whether any handler runs that has none.
func (s *Server) look() (busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		phase := c.phase.Load()
		if phase != reading && phase != quiet {
			if n := c.serial.Load(); n != c.seen {
				c.seen, busy = n, true
			}
			continue
		}
		busy = true
		if n := c.serial.Load(); n != c.seen {
			c.seen = n
			continue
		}
		if phase == quiet {
			c.watch = make(chan struct{})
			if c.phase.CompareAndSwap(quiet, watched) {
				go c.watchClient(c.watch)
				// endWatch receives its end.
			}
		}
	}
	return busy
}

// watchClient waits for the client to leave while nobody else reads from the
// connection, and ends the request's context then. Bytes of a next request end
// the watch: whether the client is still there behind them is not known.
func (c *conn) watchClient(done chan<- struct{}) {
	defer close(done)
	for {
		err := c.peek()
		switch {
		case err == nil:
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !c.in.none() {
				return
			}
		default:
			c.lost()
			return
		}
	}
}

// endWatch returns when the watch has ended: the connection can be read again.
func (c *conn) endWatch() {
	c.in.interrupt()
	<-c.watch
	c.in.resume()
}

// peekOne is peek for what is no socket: it takes a byte, for the next read.
func (c *conn) peekOne() error {
	n, err := c.nc.Read(c.one[:])
	if c.hasOne = n > 0; c.hasOne {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
