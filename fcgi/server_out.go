package fcgi

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// Bounds of a connection's output, in bytes.
const (
	// serverMaxPiece is the content of one STDOUT or STDERR record: the largest
	// that needs no padding.
	serverMaxPiece = MaxContent &^ 7

	// serverMaxData is what pending may hold before senders of data wait: two
	// records, so that one write of a large response does not wake the reader twice.
	serverMaxData = 128 << 10

	// serverMaxControl is what control records may add to that. They answer the
	// peer's records: one that asks for more and reads nothing loses its connection.
	serverMaxControl = 64 << 10

	// serverKeepBuffer is the largest buffer worth keeping for later.
	serverKeepBuffer = 256 << 10
)

// A serverBuffer is memory that passes from one use to the next.
type serverBuffer struct{ b []byte }

var serverBuffers = sync.Pool{New: func() any { return &serverBuffer{b: make([]byte, 0, 4<<10)} }}

func getServerBuffer() *serverBuffer { return serverBuffers.Get().(*serverBuffer) }

func putServerBuffer(b *serverBuffer) {
	if cap(b.b) <= serverKeepBuffer {
		b.b = b.b[:0]
		serverBuffers.Put(b)
	}
}

// The methods below need c.mu. Whoever finds the connection idle writes at once;
// what comes meanwhile gathers in pending and goes with the next write.

// buffer returns what is pending, to append to.
func (c *serverConn) buffer() []byte {
	if c.pending == nil {
		c.pending = getServerBuffer()
	}
	return c.pending.b
}

// appendControl keeps what was appended to buffer. It never waits.
func (c *serverConn) appendControl(b []byte) {
	c.pending.b = b
	if len(b) > serverMaxData+serverMaxPiece+serverMaxControl {
		c.failLocked(protocolErrorf("peer asks for more than it reads"))
	}
}

// stream appends a and then b to an output stream of r, waiting for window and
// for room. The last piece is left pending for the caller to flush.
func (c *serverConn) stream(r *serverRequest, t Type, a, b []byte) error {
	for len(a)+len(b) > 0 {
		want := len(a) + len(b)
		if len(b) >= directPiece {
			if len(a) == 0 {
				if n := c.direct(r, t, b); n > 0 {
					b = b[n:]
					continue
				}
			} else {
				want = len(a) // a record of its own, so that b need not be copied
			}
		}
		n, err := c.reserve(r, t, want)
		if err != nil {
			return err
		}
		fromA := min(n, len(a))
		fromB := n - fromA
		dst := AppendHeader(c.buffer(), t, r.id, n)
		dst = append(dst, a[:fromA]...)
		dst = append(dst, b[:fromB]...)
		c.pending.b = append(dst, zeros[:padding(n)]...)
		a, b = a[fromA:], b[fromB:]
	}
	return nil
}

// direct writes as much of b as may be sent, behind what is pending and straight
// out of b, and returns how much that was: 0 where somebody else writes, or the
// window is nearly used up.
func (c *serverConn) direct(r *serverRequest, t Type, b []byte) int {
	n := min(len(b), maxBatched)
	if window := r.sendWindow(t); c.flow {
		n = int(min(int64(n), *window))
	}
	if n < directPiece || c.writing || c.err != nil || r.sendErr != nil || r.ended {
		return 0
	}
	if c.flow {
		*r.sendWindow(t) -= int64(n)
	}
	before := c.pending
	c.pending = nil
	c.writing = true
	c.mu.Unlock()
	var head []byte
	if before != nil {
		head = before.b
	}
	c.batch.begin(head)
	c.batch.stream(t, r.id, b[:n])
	err := c.persist(nil)
	c.mu.Lock()
	if before != nil {
		putServerBuffer(before)
	}
	c.writing = false
	c.room.Broadcast()
	if err != nil {
		c.failLocked(err)
	}
	c.flushLater()
	return n
}

// reserve waits until some of want bytes may be appended, and returns how many.
func (c *serverConn) reserve(r *serverRequest, t Type, want int) (int, error) {
	window := r.sendWindow(t)
	for {
		full := c.pending != nil && len(c.pending.b) >= serverMaxData
		switch {
		case c.err != nil:
			return 0, ErrAborted
		case r.sendErr != nil:
			return 0, r.sendErr
		case r.ended:
			return 0, errServerRequestEnded
		case !full && !c.flow:
			return min(want, serverMaxPiece), nil
		case !full && *window > 0:
			n := int(min(int64(min(want, serverMaxPiece)), *window))
			*window -= int64(n)
			return n, nil
		case !c.writing && c.pending != nil:
			c.flush()
		case full:
			c.room.Wait()
		default:
			r.wake.Wait()
		}
	}
}

// flush writes what is pending, unless somebody writes already. It writes once:
// what came meanwhile is left to a flusher, so that no handler is kept busy with
// the responses of others.
func (c *serverConn) flush() {
	if c.writing || c.pending == nil || c.err != nil {
		return
	}
	c.writing = true
	c.writeOnce()
	c.writing = false
	c.flushLater()
	c.settle()
}

// gather lets other handlers go first that are about to answer: one write takes
// all of it. It is for a response's end only, and costs that a place at the end of
// the run queue, which its handler has waited in before.
func (c *serverConn) gather() {
	if c.writing || c.err != nil || !c.flow || len(c.reqs) == 0 {
		return
	}
	c.writing = true
	c.mu.Unlock()
	runtime.Gosched()
	c.mu.Lock()
	c.writing = false
}

// flushLater has what is pending written without waiting for it.
func (c *serverConn) flushLater() {
	if c.writing || c.pending == nil || c.err != nil {
		return
	}
	c.writing = true
	c.loops.Go(c.flushAll)
	// Its end goes to c.loops, which serve waits for.
}

func (c *serverConn) flushAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending != nil && c.err == nil {
		c.writeOnce()
	}
	c.writing = false
	c.settle()
}

// writeOnce takes what is pending and writes it, without c.mu meanwhile.
func (c *serverConn) writeOnce() {
	buf := c.pending
	c.pending = nil
	c.room.Broadcast()
	c.mu.Unlock()
	err := c.persist(buf.b)
	c.mu.Lock()
	putServerBuffer(buf)
	if err != nil {
		c.failLocked(err)
	}
}

// persist writes all of b, or where that is nil all of the batch. The peer has WriteTimeout to take something, not all:
// a slow one is not a stuck one. The deadline that is set is mostly one of an
// earlier write, and moved when it passes: a timer is dearer than a small write.
func (c *serverConn) persist(b []byte) error {
	timeout := orDefault(c.srv.WriteTimeout, DefaultWriteTimeout)
	now := time.Now()
	want := now.Add(timeout)
	for {
		if !c.writeBy.After(now) {
			c.writeBy = want
			if err := c.nc.SetWriteDeadline(want); err != nil {
				return err
			}
		}
		var n int64
		var err error
		if b == nil {
			n, err = c.batch.write(c.nc)
		} else {
			var m int
			m, err = c.nc.Write(b)
			b, n = b[m:], int64(m)
		}
		if err == nil || !isServerTimeout(err) {
			return err
		}
		if now = time.Now(); n > 0 {
			want = now.Add(timeout)
		} else if !now.Before(want) {
			return err
		}
	}
}

func isServerTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}
