// Package http1 is an HTTP/1.1 server for http.Handler on the standard
// library: strict where net/http is lenient, and lean. It speaks no TLS and no
// HTTP/2; net/http does that, behind the same handlers, which cannot tell the
// two apart.
//
// References of the form § are to RFC 9112 unless another is named.
//
// One goroutine serves a connection: it reads a head, runs the handler itself,
// and writes the answer. The http.Request's header, the ResponseWriter and the
// body are the handler's until it returns, not longer: their memory is used
// again. Strings taken from them may be kept.
package http1

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Server serves HTTP/1. Its exported fields are not to be changed after
// Serve; the zero value of each but Handler is its default.
type Server struct {
	Handler http.Handler
	Limits  Limits
	// HeadTimeout bounds a head from its first byte to its last, and the wait for a
	// connection's first; over it 408. 0: 10 s.
	HeadTimeout time.Duration
	IdleTimeout time.Duration // between requests; 0: 75 s
	// ConnContext, if not nil, makes the context whose values the requests of
	// a connection have.
	ConnContext func(net.Conn) context.Context
	// Refused, if not nil, is told of each head that no handler gets to see,
	// on the connection's goroutine, after the answer.
	Refused func(Refusal)
	Log     *slog.Logger // nil: slog.Default

	limits    Limits
	exchanges sync.Pool
	dated     atomic.Pointer[dateLine]
	ending    atomic.Bool
	awake     atomic.Bool // a sweeper runs
	sweeping  sync.WaitGroup
	begun     sync.Once
	change    chan struct{} // capacity 1: a connection changed its state, while ending

	mu        sync.Mutex // guards the fields below
	conns     []*conn
	listeners map[net.Listener]chan struct{} // closed when its Serve has ended
}

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = http.ErrServerClosed

func (s *Server) begin() {
	s.begun.Do(func() {
		s.limits = s.Limits.withDefaults()
		s.change = make(chan struct{}, 1)
		s.listeners = make(map[net.Listener]chan struct{})
	})
}

func (s *Server) headTimeout() time.Duration { return orDefault(s.HeadTimeout, 10*time.Second) }
func (s *Server) idleTimeout() time.Duration { return orDefault(s.IdleTimeout, 75*time.Second) }

func orDefault(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

// Serve answers on l until Shutdown or Close, and returns ErrServerClosed then;
// the listener's error otherwise. l is closed in any case.
func (s *Server) Serve(l net.Listener) error {
	s.begin()
	defer l.Close()
	done := make(chan struct{})
	defer close(done)
	s.mu.Lock()
	s.listeners[l] = done
	s.mu.Unlock()
	for delay := time.Duration(0); ; {
		if s.ending.Load() {
			return ErrServerClosed
		}
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.start(nc)
			continue
		case s.ending.Load():
			return ErrServerClosed
		}
		var ne net.Error
		if !errors.As(err, &ne) || errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of descriptors, or a client gone again: wait and go on.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.log().Error("accept failed, trying again", "error", err, "delay", delay)
		t := time.NewTimer(delay)
		<-t.C
	}
}

func (s *Server) start(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	c.index = len(s.conns)
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	go c.serve()
	// remove receives its end; Shutdown waits for all.
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	last := s.conns[len(s.conns)-1]
	s.conns[c.index], last.index = last, c.index
	s.conns[len(s.conns)-1] = nil
	s.conns = s.conns[:len(s.conns)-1]
	s.mu.Unlock()
	if s.ending.Load() {
		s.changed()
	}
}

func (s *Server) changed() {
	select {
	case s.change <- struct{}{}:
	default: // told already
	}
}

func (s *Server) take() *exchange {
	if x, ok := s.exchanges.Get().(*exchange); ok {
		return x
	}
	x := newExchange(&s.limits)
	x.answer.reset()
	return x
}

func (s *Server) put(x *exchange) {
	x.free()
	s.exchanges.Put(x)
}
