package fcgi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Defaults and bounds of a Server.
const (
	// DefaultMaxConns and DefaultMaxRequests stand in for a zero in Server.
	DefaultMaxConns    = 1024
	DefaultMaxRequests = 1024

	// DefaultMaxParams bounds the parameters of one request, in bytes.
	DefaultMaxParams = 1 << 20

	// DefaultWriteTimeout is how long a peer may take nothing of what it is sent.
	DefaultWriteTimeout = 30 * time.Second

	// serverLinger is for how long a connection that closes goes on taking what
	// its peer still sends. Closed with unread bytes it would be reset, and the
	// reset may overtake the end of the response.
	serverLinger = time.Second

	// serverGrace is how long a connection without a first request, or one that
	// just had a request, lasts once Shutdown began: its peer is about to send one.
	serverGrace = time.Second

	serverMaxBackoff = time.Second // between two failing accepts
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("fcgi: server closed")

// A Server is the application's side of FastCGI: it takes requests from web
// servers and has an http.Handler answer them. It serves one request at a time on
// each connection, or many with flow control where the web server asks for that
// (see [ValueFlow]). The fields must not change once Serve was called.
//
// A handler that panics never ends the process. If none of its response was sent
// the client gets a 500, else the response is visibly broken: the connection
// closes without FCGI_END_REQUEST, or, where other requests share it, the request
// ends with [StatusBroken]. A handler that writes less than the Content-Length it
// declared breaks its response too. The stack of a panic goes to the request's
// FCGI_STDERR, except for [http.ErrAbortHandler].
//
// The context of a request is cancelled, with [ErrAborted] as its cause, when the
// web server aborts the request (§5.4) or its connection is lost.
type Server struct {
	// Handler answers in the Responder role (§6.2), Authorizer and Filter in
	// theirs (§6.3, §6.4). A role without a handler is refused with
	// FCGI_UNKNOWN_ROLE.
	Handler, Authorizer, Filter http.Handler

	// MaxConns is how many connections are open at once; more wait in the
	// listener's queue. MaxRequests is how many requests are in hand at once;
	// more are refused with FCGI_OVERLOADED. Zero means 1024 for either.
	// Web servers that ask are told both (§4.1).
	MaxConns, MaxRequests int

	// MaxParams bounds the parameters of a request, in bytes as encoded; a request
	// with more is answered 431. Zero means 1 MiB.
	MaxParams int

	// Window is what each stream of a request's input may have under way, in bytes:
	// the size of its buffer. Zero means DefaultWindow, 256 KiB, and up to 1 MiB for a
	// handler that waits for more.
	Window int

	// WriteTimeout is how long a peer may take nothing of what it is sent. It loses
	// its connection between one and two WriteTimeouts after the last byte it took.
	// Zero means 30 seconds.
	WriteTimeout time.Duration

	// AllowedPeers are the only addresses that TCP connections are taken from,
	// as with FCGI_WEB_SERVER_ADDRS (§3.2). Nil means any.
	AllowedPeers []netip.Addr

	// ErrorLog is told about failing accepts, breaches of the protocol and misuse of
	// a ResponseWriter. It is called from several goroutines. Nil means silence.
	ErrorLog func(format string, args ...any)

	// Panicked, if not nil, is told of a handler's panic once its stack is on the
	// request's FCGI_STDERR, and may add to that. It runs in the handler's goroutine,
	// upon the frames of the panic.
	Panicked func(ctx context.Context, value any)

	mu        sync.Mutex // guards the fields below
	conns     map[*serverConn]struct{}
	listeners map[net.Listener]struct{}
	inFlight  int
	closed    chan struct{} // closed by Shutdown and Close; made by init
	stopping  bool
	cut       bool          // by Close: nothing is finished
	changed   chan struct{} // closed when a connection or a listener has gone; nil if nobody waits for that
}

func orDefault[T ~int | ~int64](v, instead T) T {
	if v <= 0 {
		return instead
	}
	return v
}

func (s *Server) maxConns() int    { return orDefault(s.MaxConns, DefaultMaxConns) }
func (s *Server) maxRequests() int { return orDefault(s.MaxRequests, DefaultMaxRequests) }
func (s *Server) window() int      { return min(orDefault(s.Window, DefaultWindow), MaxWindow) }

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog(format, args...)
	}
}

// handlerFor returns the handler of a role, or nil.
func (s *Server) handlerFor(role Role) http.Handler {
	switch role {
	case RoleResponder:
		return s.Handler
	case RoleAuthorizer:
		return s.Authorizer
	case RoleFilter:
		return s.Filter
	}
	return nil
}

func (s *Server) initLocked() {
	if s.closed == nil {
		s.closed = make(chan struct{})
		s.conns = make(map[*serverConn]struct{})
		s.listeners = make(map[net.Listener]struct{})
	}
}

// Serve takes connections from l, and closes l, until Shutdown or Close; then
// it returns ErrServerClosed without waiting for the requests in hand. It waits
// and tries again where accepting fails for want of some resource. It may be
// called for several listeners at once.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.removeListener(l)
	var delay time.Duration
	for {
		if err := s.waitForSlot(); err != nil {
			return err
		}
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.admit(nc)
		case s.isClosed():
			return ErrServerClosed
		case !acceptMayRecover(err):
			return err
		default:
			delay = min(max(2*delay, 5*time.Millisecond), serverMaxBackoff)
			s.logf("fcgi: accept: %v; trying again in %v", err, delay)
			if !s.sleep(delay) {
				return ErrServerClosed
			}
		}
	}
}

// acceptMayRecover reports whether it is worth accepting again: the worker
// would otherwise exit because others used up the file descriptors.
func acceptMayRecover(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPERM, // EPERM: Linux, by a firewall
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return isTimeout(err)
}

func (s *Server) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closed:
		return false
	}
}

// waitForSlot waits until fewer than MaxConns connections are open: the others
// stay in the listener's queue, which another worker may share.
func (s *Server) waitForSlot() error {
	for {
		s.mu.Lock()
		if s.stopping {
			s.mu.Unlock()
			return ErrServerClosed
		}
		if len(s.conns) < s.maxConns() {
			s.mu.Unlock()
			return nil
		}
		changed := s.changedLocked()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-s.closed:
		}
	}
}

// changedLocked returns a channel that is closed when a connection or a listener has gone.
func (s *Server) changedLocked() chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// admit starts serving a connection, unless its peer is not to be served.
func (s *Server) admit(nc net.Conn) {
	if !s.allowed(nc.RemoteAddr()) {
		s.logf("fcgi: connection from %v closed: not in FCGI_WEB_SERVER_ADDRS (§3.2)", nc.RemoteAddr())
		nc.Close()
		return
	}
	c := newServerConn(s, nc)
	s.mu.Lock()
	if s.cut {
		s.mu.Unlock()
		nc.Close()
		return
	}
	late := s.stopping
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if late { // accepted as Shutdown began: its request may be on its way as on any other
		c.drain()
	}
	go c.serve()
	// Its end goes to removeConn, which Shutdown waits for.
}

func (s *Server) allowed(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return !ok || s.AllowedPeers == nil || slices.Contains(s.AllowedPeers, t.AddrPort().Addr().Unmap())
}

// Connections returns how many are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) removeConn(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.tellChangedLocked()
}

func (s *Server) tellChangedLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.initLocked()
	if s.stopping {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	s.tellChangedLocked()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// takeRequest counts a request as in hand, if one more may be.
func (s *Server) takeRequest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight >= s.maxRequests() {
		return false
	}
	s.inFlight++
	return true
}

func (s *Server) releaseRequest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

// stop closes the listeners and returns the connections that are open.
func (s *Server) stop() []*serverConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.initLocked()
	if !s.stopping {
		s.stopping = true
		close(s.closed)
	}
	for l := range s.listeners {
		l.Close()
	}
	conns := make([]*serverConn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// Shutdown stops accepting, closes the idle connections, lets the requests in
// hand finish, and returns when all of it is done. A connection on which no request
// came yet, or one ended within the last second, is given a second to send another. When ctx ends first Shutdown returns its
// error and leaves the rest to Close.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.stop() {
		c.drain()
	}
	return s.waitGone(ctx)
}

// Close closes the listeners and the connections, whatever is in hand, and
// cancels the contexts of the requests. It does not wait for their handlers to
// return: Shutdown does, also after Close.
func (s *Server) Close() error {
	s.mu.Lock()
	s.cut = true
	s.mu.Unlock()
	for _, c := range s.stop() {
		c.fail(ErrServerClosed)
	}
	return nil
}

// waitGone waits for the listeners' loops too, which may have a connection in hand.
func (s *Server) waitGone(ctx context.Context) error {
	for {
		s.mu.Lock()
		if len(s.conns) == 0 && len(s.listeners) == 0 {
			s.mu.Unlock()
			return nil
		}
		changed := s.changedLocked()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
