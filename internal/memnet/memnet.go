// Package memnet has in-memory connections with a buffer, as sockets have one,
// fit for testing/synctest: whoever waits on one waits durably.
package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// BufferSize is what a connection holds in each direction before a writer
// waits, in bytes: about what a unix socket holds.
const BufferSize = 208 << 10

// Pipe returns the two ends of a connection.
func Pipe() (a, b *Conn) {
	x, y := newHalf(), newHalf()
	return &Conn{in: x, out: y}, &Conn{in: y, out: x}
}

// A Conn is one end of a connection. Like a socket it may be used by several
// goroutines at once.
type Conn struct{ in, out *half }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions; what was written is still read by the other end.
// Who reads here, and learns of it, can write no more: net/http would answer.
func (c *Conn) Close() error {
	c.out.close(false)
	c.in.close(true)
	return nil
}

// CloseWrite ends what the other end reads.
func (c *Conn) CloseWrite() error {
	c.out.close(false)
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

type addr struct{}

func (addr) Network() string { return "mem" }
func (addr) String() string  { return "mem" }

// A half is one direction.
type half struct {
	mu      sync.Mutex // guards the fields below
	changed sync.Cond
	buf     []byte
	ended   bool // no more is written
	lost    bool // nobody reads
	readBy  limit
	writeBy limit
}

// A limit is a deadline.
type limit struct {
	at    time.Time
	timer *time.Timer
}

func (l *limit) passed() bool { return !l.at.IsZero() && !time.Now().Before(l.at) }

func newHalf() *half {
	h := new(half)
	h.changed.L = &h.mu
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.lost:
			return 0, &net.OpError{Op: "read", Net: "mem", Err: net.ErrClosed}
		case h.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			h.changed.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		switch room := BufferSize - len(h.buf); {
		case h.ended:
			return n, &net.OpError{Op: "write", Net: "mem", Err: net.ErrClosed}
		case h.lost:
			return n, &net.OpError{Op: "write", Net: "mem", Err: syscall.EPIPE}
		case h.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case room > 0:
			k := min(room, len(p))
			h.buf = append(h.buf, p[:k]...)
			n, p = n+k, p[k:]
			h.changed.Broadcast()
		default:
			h.changed.Wait()
		}
	}
	return n, nil
}

func (h *half) close(reader bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reader {
		h.lost = true
	} else {
		h.ended = true
	}
	h.readBy.stop()
	h.writeBy.stop()
	h.changed.Broadcast()
}

func (h *half) setDeadline(l *limit, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.stop()
	l.at = t
	if d := time.Until(t); !t.IsZero() && d > 0 {
		l.timer = time.AfterFunc(d, h.wake)
	}
	h.changed.Broadcast()
}

func (l *limit) stop() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

func (h *half) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed.Broadcast()
}
