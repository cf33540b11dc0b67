package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 10 * time.Second // for a request and its answer; over it an error
	maxFailures   = 20               // a connection with so many in a row gives up
	uploadPiece   = 1 << 20
)

var uploadBytes = make([]byte, uploadPiece)

// A load is one cell's traffic: connections that each send a request, take its
// answer, and send the next.
type load struct {
	network, address string
	work             *workload
	head             []byte
	closes           bool // the side closes after each answer and does not say so
	conns            []*loadConn
}

// A loadConn is one client connection. One goroutine at a time uses it.
type loadConn struct {
	l     *load
	nc    net.Conn
	rd    *responseReader
	hist  histogram
	dials int64
	again int64 // requests that were sent twice, see run
	bytes net.Buffers
	fails map[string]int64
}

func newLoad(address string, w *workload, suffix string, conns int, closes bool) *load {
	l := &load{network: "tcp", address: address, work: w, head: w.head(suffix), closes: closes}
	for range conns {
		l.conns = append(l.conns, &loadConn{l: l, rd: newResponseReader(nil), fails: map[string]int64{}})
	}
	return l
}

func (l *load) Close() {
	for _, c := range l.conns {
		c.hangUp()
	}
}

// reset forgets what was measured.
func (l *load) reset() {
	for _, c := range l.conns {
		c.hist, c.dials, c.again = histogram{}, 0, 0
		clear(c.fails)
	}
}

// A budget says when a phase has had enough requests.
type budget struct {
	ctx   context.Context
	until time.Time    // zero: no limit
	left  atomic.Int64 // requests that may still begin
}

func newBudget(ctx context.Context, d time.Duration, requests int64) *budget {
	b := &budget{ctx: ctx}
	if d > 0 {
		b.until = time.Now().Add(d)
	}
	if requests <= 0 {
		requests = 1 << 62
	}
	b.left.Store(requests)
	return b
}

func (b *budget) take(now time.Time) bool {
	return (b.until.IsZero() || now.Before(b.until)) && b.ctx.Err() == nil && b.left.Add(-1) >= 0
}

// run sends requests on all connections until the budget is spent and the last
// answer is there.
func (l *load) run(b *budget) {
	var all sync.WaitGroup
	for _, c := range l.conns {
		all.Add(1)
		go c.run(b, &all)
		// Its end is received by all.Wait below.
	}
	all.Wait()
}

func (c *loadConn) run(b *budget, all *sync.WaitGroup) {
	defer all.Done()
	failed := 0
	for now := time.Now(); b.take(now) && failed < maxFailures; {
		reused := c.nc != nil
		err := c.request(now)
		if err != nil && reused && !c.l.work.post && c.rd.untouched() && !errors.Is(err, os.ErrDeadlineExceeded) {
			// Closed between two requests, which a server may do at any time
			// (RFC 9112 §9.3.1): a client sends such a request again.
			c.hangUp()
			c.again++
			err = c.request(now)
		}
		end := time.Now()
		if err != nil {
			failed++
			c.fails[failure(err)]++
			c.hangUp()
		} else {
			failed = 0
			c.hist.add(end.Sub(now))
			if c.rd.closes || c.l.closes {
				c.hangUp()
			}
		}
		now = end
	}
}

func (c *loadConn) request(now time.Time) error {
	if c.nc == nil {
		nc, err := net.DialTimeout(c.l.network, c.l.address, dialTimeout)
		if err != nil {
			return err
		}
		c.nc = nc
		c.dials++
		c.rd.reset(nc)
	}
	if err := c.nc.SetDeadline(now.Add(answerTimeout)); err != nil {
		return err
	}
	c.rd.begin()
	if err := c.send(); err != nil {
		return err
	}
	return c.rd.read(c.l.work.answer)
}

func (c *loadConn) send() error {
	if c.l.work.upload == 0 {
		_, err := c.nc.Write(c.l.head)
		return err
	}
	first := min(c.l.work.upload, uploadPiece)
	c.bytes = append(c.bytes[:0], c.l.head, uploadBytes[:first])
	pieces := c.bytes // WriteTo consumes the slice it is called on
	if _, err := pieces.WriteTo(c.nc); err != nil {
		return err
	}
	for left := c.l.work.upload - first; left > 0; {
		n, err := c.nc.Write(uploadBytes[:min(left, uploadPiece)])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

func (c *loadConn) hangUp() {
	if c.nc != nil {
		c.nc.Close() // nothing is buffered here, so nothing can be lost
		c.nc = nil
	}
}

// failure names what went wrong in words that can be counted.
func failure(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no answer in %v", answerTimeout)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "closed before the answer's end"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.As(err, &op) && op.Op == "dial":
		return "cannot connect: " + op.Err.Error()
	}
	return err.Error()
}

// A loadResult is what a phase gave.
type loadResult struct {
	requests int64
	dials    int64
	again    int64
	p50, p99 time.Duration
	max      time.Duration
	failures map[string]int64
}

func (l *load) result() loadResult {
	var all histogram
	r := loadResult{failures: map[string]int64{}}
	for _, c := range l.conns {
		all.merge(&c.hist)
		r.dials += c.dials
		r.again += c.again
		for what, n := range c.fails {
			r.failures[what] += n
		}
	}
	r.requests = int64(all.n)
	r.p50, r.p99, r.max = all.quantile(0.50), all.quantile(0.99), all.max
	return r
}
