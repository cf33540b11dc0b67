package front

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a graceful end. Within the first a kept connection may bring one
// more request, whose answer tells the client that it was the last; within the
// second a connection that was just made must bring its first.
const (
	drainIdle  = 250 * time.Millisecond
	drainFresh = time.Second
)

// A connSet holds the HTTP/1 connections of a server. Those of HTTP/2 are
// told to go by net/http, in its protocol's own way.
type connSet struct {
	open atomic.Int64 // connections of every protocol

	mu       sync.Mutex // guards the fields below
	conns    map[*conn]struct{}
	draining bool
	changed  chan struct{} // capacity 1: something changed, while draining
}

func httpConn(nc net.Conn) *conn {
	switch c := nc.(type) {
	case *conn:
		return c
	case tlsConn:
		return c.conn
	}
	return nil
}

// track is for http.Server.ConnState.
func (s *connSet) track(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
	c := httpConn(nc)
	if c == nil {
		return
	}
	c.state.Store(int32(state))
	c.active.Store(state == http.StateActive)
	switch state {
	case http.StateNew:
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
	case http.StateClosed, http.StateHijacked:
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}
	if s.isDraining() {
		select {
		case s.changed <- struct{}{}:
		default: // told already
		}
	}
}

func (s *connSet) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// count returns how many connections there are in each state that matters,
// and closes those that never brought a request if they are to go.
func (s *connSet) count(closeFresh bool) (fresh, busy, idle int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		switch http.ConnState(c.state.Load()) {
		case http.StateNew:
			fresh++
			if closeFresh {
				c.Conn.Close()
			}
		case http.StateActive:
			busy++
		case http.StateIdle:
			idle++
		}
	}
	return fresh, busy, idle
}

// lastAnswer tells HTTP/1 clients of a draining server that no request on this
// connection will be answered any more (RFC 9112 §9.6).
func (s *Server) lastAnswer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.ending.Load() && r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Shutdown stops accepting, answers every request that comes on connections
// that are there, telling their clients to go, and returns when all of them
// have gone, or when ctx ends. It is not http.Server's, which closes a
// connection whose first request arrives during it without an answer.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.own != nil {
		return s.own.Shutdown(ctx)
	}
	s.ending.Store(true)
	s.set.mu.Lock()
	s.set.draining = true
	l := s.listener
	s.set.mu.Unlock()
	if l != nil {
		l.Close()
		<-s.served // every connection it accepted is known
	}
	if err := s.drain(ctx); err != nil {
		return err
	}
	return s.net.Shutdown(ctx)
}

// Close ends all connections at once.
func (s *Server) Close() error {
	if s.own != nil {
		return s.own.Close()
	}
	return s.net.Close()
}

func (s *Server) drain(ctx context.Context) error {
	begun := time.Now()
	timer := time.NewTimer(drainIdle)
	defer timer.Stop()
	quiet := false // idle connections were closed
	for {
		age := time.Since(begun)
		if age >= drainIdle && !quiet {
			quiet = true
			s.net.SetKeepAlivesEnabled(false) // and closes those that are idle
			timer.Reset(drainFresh - age)
		}
		fresh, busy, idle := s.set.count(age >= drainFresh)
		if fresh+busy+idle == 0 || quiet && age >= drainFresh {
			return nil // those that are busy have been told, and http.Server waits for them
		}
		select {
		case <-s.set.changed:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Serve answers on l until Shutdown or Close, after which it returns nil. l is
// closed in any case. It is called once.
func (s *Server) Serve(l net.Listener) error {
	if s.own != nil {
		return serveOwn(s.own, l)
	}
	if s.config.TLS != nil {
		l = newTLSListener(l, &s.config)
	} else {
		l = checkedListener{l, &s.config}
	}
	defer close(s.served)
	s.set.mu.Lock()
	s.listener = l
	ended := s.set.draining
	s.set.mu.Unlock()
	if ended {
		return l.Close()
	}
	err := s.net.Serve(l)
	if errors.Is(err, http.ErrServerClosed) || s.ending.Load() {
		return nil
	}
	return err
}
