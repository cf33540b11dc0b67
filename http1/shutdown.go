package http1

import (
	"context"
	"net"
	"time"
)

// Bounds of a graceful end. Within the first a kept connection may bring one
// more request, whose answer tells the client that it was the last; within the
// second a connection that was just made must bring its first.
const (
	drainIdle  = 250 * time.Millisecond
	drainFresh = time.Second
)

// Shutdown stops accepting, answers every request that comes on connections
// that are there, telling their clients to go (RFC 9112 §9.6), and returns when
// all of them have gone, or when ctx ends. What was hijacked is not waited for.
func (s *Server) Shutdown(ctx context.Context) error {
	s.begin()
	s.ending.Store(true)
	s.closeListeners()
	timer := time.NewTimer(drainIdle)
	defer timer.Stop()
	for begun := time.Now(); ; {
		age := time.Since(begun)
		if age >= drainIdle {
			s.close(idle)
		}
		if age >= drainFresh {
			s.close(fresh)
		}
		if s.Connections() == 0 {
			s.sweeping.Wait()
			return nil
		}
		select {
		case <-s.change:
		case <-timer.C:
			timer.Reset(drainFresh - drainIdle)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends all connections at once, without waiting for their handlers.
func (s *Server) Close() error {
	s.begin()
	s.ending.Store(true)
	err := s.closeListeners()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.state.Store(shut)
		c.nc.Close()
	}
	return err
}

// closeListeners returns when each connection that they accepted is known.
func (s *Server) closeListeners() (err error) {
	s.mu.Lock()
	var served []chan struct{}
	for l, done := range s.listeners {
		if e := l.Close(); e != nil && err == nil {
			err = e
		}
		served = append(served, done)
	}
	s.listeners = make(map[net.Listener]chan struct{})
	s.mu.Unlock()
	for _, done := range served {
		<-done
	}
	return err
}

// close ends the connections that are in a state in which nothing is lost.
func (s *Server) close(state int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.state.CompareAndSwap(state, shut) {
			c.nc.Close()
		}
	}
}

// Connections returns how many are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}
