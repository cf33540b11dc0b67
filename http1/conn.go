package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
)

// What a connection is doing, for a graceful end.
const (
	fresh  int32 = iota // it brought no request yet
	active              // from a head's first byte to its answer's end
	idle
	shut // the server closed it
)

// What a handler is doing, for whoever looks whether its client is still there.
const (
	away    int32 = iota // no handler runs
	reading              // its request's body is not at its end
	quiet                // nothing is read from the connection
	watched              // a watch is on it
)

// A conn is a connection. Its goroutine reads a head, runs the handler, and
// writes the answer; there is a second one only where a handler runs long.
type conn struct {
	// Immutable.
	server  *Server
	nc      net.Conn
	raw     syscall.RawConn       // nil: not a socket
	try     func(fd uintptr) bool // reads
	tryOut  func(fd uintptr) bool // writes
	tryBoth func(fd uintptr) bool // writes two pieces
	remote  string
	ctx     context.Context // whose values requests' contexts have; may be nil

	in, out deadline
	state   atomic.Int32
	phase   atomic.Int32
	serial  atomic.Uint32 // of the request

	// Owned by the connection's goroutine; x also by who reads the body.
	x        *exchange // nil between requests
	firstBy  time.Time // when the connection's first head must be complete
	hijacked bool
	waitErr  error // of try
	one      [1]byte
	hasOne   bool // one was read by a watch

	// Owned by whoever writes.
	outgoing []byte // of it sent is gone
	sent     int
	sendErr  error
	both     *[2][]byte // what is to be written of two pieces

	// Owned by the sweeper.
	seen  uint32        // serial when it last looked
	watch chan struct{} // closed by the watch at its end; set before phase is watched

	index int // in Server.conns, guarded by its mu
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc}
	if a := nc.RemoteAddr(); a != nil {
		c.remote = a.String()
	}
	if s.ConnContext != nil {
		c.ctx = s.ConnContext(nc)
	}
	c.in.set, c.out.set = nc.SetReadDeadline, nc.SetWriteDeadline
	c.useSocket()
	return c
}

func (c *conn) serve() {
	defer c.end()
	for c.await() && c.next() {
	}
}

func (c *conn) end() {
	if c.x != nil {
		c.server.put(c.x)
		c.x = nil
	}
	if !c.hijacked {
		c.nc.Close()
	}
	c.server.remove(c)
}

// await waits for the first byte of a head. It holds no buffer meanwhile.
func (c *conn) await() bool {
	if c.x != nil {
		if c.x.buffered() > 0 {
			return true
		}
		c.server.put(c.x)
		c.x = nil
	}
	by := time.Now()
	if c.state.Load() == fresh {
		by = by.Add(c.server.headTimeout())
		c.firstBy = by
	} else {
		by = by.Add(c.server.idleTimeout())
		if c.firstBy = (time.Time{}); !c.becomes(active, idle) {
			return false
		}
	}
	_ = c.in.by(by) // fails on a closed connection, as the read does
	if err := c.first(); err != nil {
		return false
	}
	return c.becomes(idle, active) || c.becomes(fresh, active)
}

func (c *conn) becomes(from, to int32) bool {
	ok := c.state.CompareAndSwap(from, to)
	if c.server.ending.Load() {
		c.server.changed()
	}
	return ok
}

// first reads the first bytes of a head into a new exchange.
func (c *conn) first() error {
	for {
		var err error
		if c.raw != nil && !c.hasOne {
			if err = c.raw.Read(c.try); err == nil {
				err = c.waitErr
			}
		} else if err = c.readOne(); err == nil {
			c.hasOne = false
			c.take()
			c.x.in[0], c.x.to = c.one[0], 1
		}
		if err == nil || !c.in.early(err) {
			return err
		}
	}
}

func (c *conn) take() {
	c.x = c.server.take()
	c.x.c = c
}

func (c *conn) readOne() error {
	if c.hasOne {
		return nil
	}
	_, err := io.ReadFull(c.nc, c.one[:])
	return err
}

// read reads from the connection, by the deadline that is wanted.
func (c *conn) read(p []byte) (int, error) {
	if c.hasOne {
		c.hasOne = false
		return copy(p, c.one[:]), nil
	}
	for {
		n, err := c.nc.Read(p)
		if n > 0 || err == nil || !c.in.early(err) {
			return n, err
		}
	}
}

// write writes all of p, by the deadline that is wanted. An error is the end
// of the request's context, as with net/http.
func (c *conn) write(p []byte) (written int, err error) {
	for {
		n, err := c.send(p[written:])
		if written += n; err == nil || !c.out.early(err) {
			if err != nil {
				c.lost()
			}
			return written, err
		}
	}
}

// writev writes both pieces, in one system call where the connection can.
func (c *conn) writev(pieces *[2][]byte) error {
	for {
		err := c.sendBoth(pieces)
		if err == nil || !c.out.early(err) {
			if err != nil {
				c.lost()
			}
			return err
		}
	}
}

// plainBoth does what sendBoth does on what is no socket.
func plainBoth(nc net.Conn, pieces *[2][]byte) error {
	buffers := net.Buffers(pieces[:]) // which cuts the same
	_, err := buffers.WriteTo(nc)
	return err
}

// lost ends the request's context: the client is gone.
func (c *conn) lost() {
	if c.x != nil && c.x.turn != nil {
		c.x.turn.ctx.cancel()
	}
}

// next serves one request and reports whether the connection may bring another.
func (c *conn) next() bool {
	x := c.x
	x.head.reset()
	bounded := false
	var begun time.Time
	for {
		end, bad := x.head.feed(x.in[x.from:x.to])
		if bad == nil && end > 0 {
			text := string(x.in[x.from : x.from+end])
			x.from += end
			_ = c.in.by(time.Time{})
			if bad = x.build(text); bad == nil {
				return c.serveRequest()
			}
			x.from -= end // the refusal tells what was there
		}
		if bad != nil {
			c.refuse(bad, begun)
			return false
		}
		if !bounded { // the time is the whole head's, not each byte's
			bounded, begun = true, time.Now()
			by := c.firstBy
			if by.IsZero() {
				by = begun.Add(c.server.headTimeout())
			}
			_ = c.in.by(by)
		}
		if err := x.more(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && x.head.mid(x.in[x.from:x.to]) {
				c.refuse(RuleSlowHead, begun)
			}
			return false
		}
	}
}

// serveRequest runs the handler and completes its answer.
func (c *conn) serveRequest() bool {
	x := c.x
	c.serial.Add(1)
	if x.body != nil {
		c.phase.Store(reading)
	} else {
		c.phase.Store(quiet)
	}
	c.server.wake()
	returned := c.run()
	if c.phase.Swap(away) == watched {
		c.endWatch()
	}
	x.turn.response.x = nil
	x.turn.ctx.cancel()
	if c.hijacked {
		return false // all of it is another's
	}
	var err error
	if returned {
		err = x.finish()
	}
	if !returned || err != nil { // what the client has of an answer is broken, and looks so
		if x.body != nil {
			x.body.drop()
		}
		return false
	}
	whole := x.body == nil || x.body.finish()
	if x.closes || !whole {
		if !whole || x.buffered() > 0 {
			c.linger()
		}
		return false
	}
	c.firstBy = time.Time{}
	_ = c.out.by(time.Time{}) // the handler's was for this request
	x.forget()
	return true
}

func (c *conn) run() (returned bool) {
	defer func() {
		v := recover()
		if v == nil || v == http.ErrAbortHandler {
			return
		}
		c.server.log().Error("panic serving a request", "remote", c.remote, "panic", v, "stack", string(debug.Stack()))
	}()
	c.server.Handler.ServeHTTP(&c.x.turn.response, c.x.req)
	return true
}

// bodyEnded lets a watch begin: nobody else reads from the connection.
func (c *conn) bodyEnded() { c.phase.CompareAndSwap(reading, quiet) }
