package front

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/frontd/frontd/http1"
)

// A ServerConfig says how connections are treated. The zero value of each
// field is its default.
type ServerConfig struct {
	Listener Listener // what the chain is told about requests that come in here

	ReadHeaderTimeout time.Duration // a head's whole time, and a TLS handshake's; 0: 10 s; over it 408
	IdleTimeout       time.Duration // between requests; 0: 75 s
	MaxHeaderBytes    int           // of a head; 0: 64 KiB; over it (by 4 KiB) 431; over TLS see netHead
	MaxStreams        int           // requests at once on an HTTP/2 connection; 0: 128

	TLS     *tls.Config   // nil: plain HTTP/1
	Engine  Engine        // of plain HTTP/1; "": OwnEngine
	Refusal func(Refusal) // is called for each head that no handler sees; may be nil
	Log     *slog.Logger  // nil: slog.Default
}

// A Server is one of two: this house's own, or, for TLS and by choice, an
// http.Server behind checked connections.
type Server struct {
	own    *http1.Server // nil: net
	net    *http.Server
	config ServerConfig

	set      connSet
	ending   atomic.Bool
	listener net.Listener  // guarded by set.mu; nil before Serve
	served   chan struct{} // closed by the end of Serve
}

// NewServer returns a server for one listener's kind. Serve it with Serve,
// stop it with Shutdown or Close.
func NewServer(handler http.Handler, config ServerConfig) *Server {
	c := config.withDefaults()
	if c.TLS == nil && c.Engine != NetEngine {
		return &Server{own: own(handler, &c), config: c}
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(c.TLS != nil)
	s := &Server{config: c, served: make(chan struct{})}
	s.set.conns = make(map[*conn]struct{})
	s.set.changed = make(chan struct{}, 1)
	s.net = &http.Server{
		Handler:           s.lastAnswer(handler),
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    c.netHead(),
		TLSConfig:         c.TLS.Clone(), // net/http adds to it while the listener reads it
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: c.MaxStreams},
		ConnState:         s.set.track,
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, listenerKey{}, &connection{Listener: c.Listener, conn: httpConn(nc), ending: &s.ending})
		},
		// OPTIONS * comes to the chain as every other request.
		DisableGeneralOptionsHandler: true,
	}
	return s
}

// Connections returns how many are open.
func (s *Server) Connections() int {
	if s.own != nil {
		return s.own.Connections()
	}
	return int(s.set.open.Load())
}

// netHead is how much net/http reads of a head, in bytes. In HTTP/2 it answers by itself
// what is over that, or ends the connection, and nobody is told. So over TLS it
// is twice the limit: what is just too large comes to the chain, which refuses it.
func (c *ServerConfig) netHead() int {
	if c.TLS != nil {
		return 2 * c.MaxHeaderBytes
	}
	return c.MaxHeaderBytes
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.ReadHeaderTimeout == 0 {
		c.ReadHeaderTimeout = 10 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 75 * time.Second
	}
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = 64 << 10
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 128
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}
