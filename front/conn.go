package front

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// refusalTimeout bounds the write of a 408 on a connection that is given up.
	refusalTimeout = time.Second
	// lingerTimeout and lingerBytes bound what is read and thrown away after
	// a refusal: a close with bytes unread resets the connection, and the
	// client may lose the answer to it (RFC 9112 §9.6).
	lingerTimeout = 500 * time.Millisecond
	lingerBytes   = 256 << 10
	// maxNetRefusal is more than any answer that net/http has of its own, in bytes.
	maxNetRefusal = 512
)

// slowHead answers a head that did not come in time: net/http would close
// without a word.
const slowHead = "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Content-Length: 43\r\nConnection: close\r\n\r\n408 Request Timeout\nThe head was too slow.\n"

// conn is an HTTP/1 connection of which each byte passes the framing check.
type conn struct {
	net.Conn
	refusal func(Refusal) // may be nil

	// active is set by the server from a head's arrival to its answer's end.
	active atomic.Bool
	state  atomic.Int32 // http.ConnState, for a graceful end
	// refused is set once something was; the first Close takes it.
	refused atomic.Bool

	mu    sync.Mutex // guards the field below, and the deadline it is about
	stale bool       // the read deadline is longAgo: a body that nobody wants is not waited for
	idle  bool       // a read has been told so

	// ended is set by the server's reader, or by a handler while net/http watches for the client's leaving.
	ended atomic.Bool

	// Owned by the server's reader, of which there is one at a time.
	framing framing
	pending []byte // to be read in the place of what was refused
	slow    bool   // 408 is sent: nothing may follow it
}

func newConn(c net.Conn, maxHead int, refusal func(Refusal)) *conn {
	return &conn{Conn: c, refusal: refusal, framing: framing{maxLine: maxHead + 16<<10}}
}

func (c *conn) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if len(c.pending) > 0 {
			n := copy(p, c.pending)
			c.pending = c.pending[n:]
			return n, nil
		}
		if c.ended.Load() {
			return 0, io.EOF
		}
		n, err := c.Conn.Read(p)
		keep, bad := c.framing.feed(p[:n])
		if bad != nil {
			c.refuse(bad)
		}
		if err != nil && n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			if len(p) == 1 && c.goOnWatching() {
				continue
			}
			if c.interrupted() {
				return 0, nil
			}
		}
		if err != nil && keep == 0 && bad == nil {
			return 0, c.failed(err)
		}
		if keep > 0 {
			return keep, nil // an error comes again at the next read
		}
	}
	return 0, nil
}

// cut is called by a handler at its end: nothing more is read. What stays of its
// request's body would be taken for a request by net/http, which keeps the
// connection in full duplex even if it cannot read that.
func (c *conn) cut() { c.ended.Store(true) }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale, c.idle = t.Equal(longAgo), false
	return c.Conn.SetReadDeadline(t)
}

// goOnWatching takes away a deadline that was set for a body at the moment that
// it came to its end. From then on net/http reads one byte to see whether
// the client leaves, and would take the deadline for that.
func (c *conn) goOnWatching() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stale {
		return false // net/http's own, which ends the watch
	}
	c.stale = false
	return c.Conn.SetReadDeadline(time.Time{}) == nil
}

// interrupted says, once for each such deadline, that a read ended because nobody
// wants the body. net/http must not be told of it: for an error of any kind it
// cancels the context of the connection, with which all later requests on
// it would begin. It passes a read of nothing on to the body's reader.
func (c *conn) interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.stale && !c.idle
	c.idle = true
	return first
}

// refuse ends what is read with a piece that net/http answers with 400.
func (c *conn) refuse(bad error) {
	state := c.framing.state
	c.pending, c.framing.state = state.poison(), refused
	c.ended.Store(true)
	c.refused.Store(true)
	if c.refusal != nil && state <= inFields {
		// Of a bad body the handler learns, and the access log by it.
		c.refusal(Refusal{Remote: c.RemoteAddr(), Cause: BadRequest, Detail: bad.Error()})
	}
}

// failed answers 408 where the deadline passed in the midst of a head and
// nothing else is being answered on the connection.
func (c *conn) failed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.active.Load() && c.framing.midHead() {
		c.ended.Store(true)
		c.slow = true
		c.refused.Store(true)
		if c.Conn.SetWriteDeadline(time.Now().Add(refusalTimeout)) == nil {
			_, _ = io.WriteString(c.Conn, slowHead) // it is closed next, whether this arrives or not
		}
		if c.refusal != nil {
			c.refusal(Refusal{Remote: c.RemoteAddr(), Cause: TooSlow, Detail: "head not complete in time"})
		}
	}
	return err
}

// Write refuses the 400 that net/http sends for a line cut short, after 408,
// and tells of those that it sends by itself.
func (c *conn) Write(p []byte) (int, error) {
	if c.slow {
		return 0, net.ErrClosed
	}
	if c.refusal != nil && len(p) < maxNetRefusal && !c.refused.Load() {
		if r, ok := netRefusal(p); ok {
			r.Remote = c.RemoteAddr()
			c.refusal(r)
		}
	}
	return c.Conn.Write(p)
}

// CloseWrite lets the server end its half first, so that an answer given
// before all was read is not lost to a reset.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close lingers where the client may be still sending what was refused.
func (c *conn) Close() error {
	if c.refused.CompareAndSwap(true, false) && c.CloseWrite() == nil {
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTimeout))
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // its end is all that matters
	}
	return c.Conn.Close()
}

// NetConn returns what the checked connection is made of, as that of *tls.Conn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// breakOff closes a connection so that its client sees no clean end: by a reset,
// and of TLS without the word that ends it. A unix socket has no such thing.
func breakOff(nc net.Conn) {
	for {
		outer, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc = outer.NetConn()
	}
	if tcp, ok := nc.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // it is closed in any case
	}
	nc.Close()
}

// A tlsConn is a conn within TLS; net/http takes Request.TLS from it.
type tlsConn struct {
	*conn
	tls *tls.Conn
}

func (c tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }
