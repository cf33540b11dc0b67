package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// drainTimeout is how long net/http may wait for the rest of a body that the
// handler left unread, before it gives the connection up.
const drainTimeout = 5 * time.Second

// leaveTimeout and maxLeft, in bytes, bound what is taken of a body that was
// given up, for the sake of the connection.
const (
	leaveTimeout = time.Second
	maxLeft      = 256 << 10
)

// stage refuses a body that says that it is too large, before any of it is
// read. What it does not say shows while it is read: see body.
func (s *Settings) stage(next http.Handler) http.Handler {
	if s.MaxBody < 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if limit := s.MaxBody; r.ContentLength > limit {
			Fail(w, r, BodyTooLarge, fmt.Sprintf("Content-Length %d, at most %d", r.ContentLength, limit))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// body is a request body within the limits of Exchange.Settings. Read returns *Error for all that
// ends it but io.EOF: BodyTooLarge, TooSlow, ClientGone or BadRequest.
//
// The client's time is what Read waits for it: a handler that reads slowly
// does not make the client slow. A deadline is set for each Read and taken away
// at the end, for net/http watches the connection with a read of its own
// from then on.
type body struct {
	rc  io.ReadCloser
	ctx context.Context
	x   *Exchange
	ctl *http.ResponseController

	// Owned by the reader.
	waited time.Duration
	err    error // that ended it, io.EOF included

	mu      sync.Mutex // guards the fields below, and the deadline against limitDrain
	set     time.Time  // the deadline in force for reads; zero: none, or not ours
	reading bool
	stopped bool // no further Read is to wait
	whole   bool // net/http has no more of it: it watches the connection by itself
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	s, before := b.x.Settings, b.x.BytesIn
	if room := max(0, s.MaxBody-before); s.MaxBody >= 0 && int64(len(p)) > room+1 {
		p = p[:room+1] // one byte more tells an end from an excess
	}
	start := time.Now()
	limited := b.begin(start)
	n, err := b.rc.Read(p)
	if n == 0 && err == nil && len(p) > 0 && b.isStopped() {
		err = os.ErrDeadlineExceeded // see conn.interrupted
	}
	b.waited += time.Since(start)
	whole := err == io.EOF
	if room := b.x.keep.Body - len(b.x.BodyHead); room > 0 {
		b.x.BodyHead = append(b.x.BodyHead, p[:min(n, room)]...)
	}
	b.x.BytesIn += int64(n)
	if over := b.x.BytesIn - s.MaxBody; s.MaxBody >= 0 && over > 0 {
		n = max(0, n-int(over))
		b.x.BytesIn = max(s.MaxBody, before)
		err = &Error{Cause: BodyTooLarge, Detail: fmt.Sprintf("more than %d bytes", s.MaxBody)}
	}
	if err != nil {
		b.err = b.cause(err)
	}
	b.end(limited, whole)
	return n, b.err
}

func (b *body) begin(now time.Time) (limited bool) {
	wait, limited := b.limit()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = true
	if b.stopped {
		_ = b.ctl.SetReadDeadline(longAgo)
	} else if limited {
		b.arm(now, wait)
	}
	return limited
}

// arm gives a Read its time, and up to a sixteenth more: many small pieces in a
// row share a deadline, which costs more than a piece.
func (b *body) arm(now time.Time, wait time.Duration) {
	slack := wait / 16
	if left := b.set.Sub(now); !b.set.IsZero() && left >= wait && left <= wait+slack {
		return
	}
	b.set = now.Add(wait + slack)
	_ = b.ctl.SetReadDeadline(b.set) // unsupported: a web server before us has limits of its own
}

func (b *body) end(limited, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading, b.whole = false, whole
	if whole && limited {
		b.set = time.Time{}
		_ = b.ctl.SetReadDeadline(b.set)
	}
}

// limit returns how long the next bytes may take: BodyIdle at most, and not
// so long that the whole so far comes slower than BodyMinRate after BodyGrace.
func (b *body) limit() (wait time.Duration, limited bool) {
	s := b.x.Settings
	wait = s.BodyIdle
	if s.BodyMinRate > 0 {
		earned := time.Duration(float64(b.x.BytesIn) / float64(s.BodyMinRate) * float64(time.Second))
		left := max(0, s.BodyGrace+earned-b.waited)
		if wait <= 0 || left < wait {
			wait = left
		}
	} else if wait <= 0 {
		return 0, false
	}
	return wait, true
}

// cause gives the end of a body its cause.
func (b *body) cause(err error) error {
	var own *Error
	switch {
	case err == io.EOF, errors.As(err, &own):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{TooSlow, fmt.Sprintf("%d bytes of body in %v", b.x.BytesIn, b.waited.Round(time.Millisecond)), err}
	case errors.Is(err, http.ErrBodyReadAfterClose):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), isConnError(err), b.ctx.Err() != nil:
		return &Error{b.x.gone(), fmt.Sprintf("after %d bytes of body", b.x.BytesIn), err}
	}
	return &Error{BadRequest, "body", err}
}

// Stop ends a Read that waits for the client, and every later one: nobody
// wants the rest. It may be called while another goroutine reads.
func (b *body) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	if b.set = (time.Time{}); !b.whole {
		_ = b.ctl.SetReadDeadline(longAgo) // unsupported: its reader ends with the connection
	}
}

func (b *body) isStopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped
}

// longAgo is a deadline that has passed, and none that net/http sets: see conn.
var longAgo = time.Unix(1, 4711)

func (b *body) Close() error { return b.rc.Close() }

// leave takes what is left of a body that was stopped, within bounds, and is
// false if that is not all: the connection must not go on then. By itself
// net/http would take it too late, after the watch on the connection has
// ended, and begin another. An answer that has begun is not kept waiting for it.
func (b *body) leave(answered bool) bool {
	b.mu.Lock()
	left := b.stopped && !b.whole
	b.mu.Unlock()
	if !left {
		b.limitDrain()
		return true
	}
	if b.take(longAgo) { // it is here
		return true
	}
	if answered {
		_ = b.ctl.Flush() // who does not get it is gone
	}
	return b.take(time.Now().Add(leaveTimeout))
}

func (b *body) take(until time.Time) bool {
	_ = b.ctl.SetReadDeadline(until) // unsupported: a web server before us has limits of its own
	_, err := io.CopyN(io.Discard, untilNothing{b.rc}, maxLeft)
	b.end(true, err == io.EOF)
	return err == io.EOF
}

// untilNothing ends with an error where there is nothing to be read: see
// conn.interrupted.
type untilNothing struct{ io.Reader }

func (u untilNothing) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}

// limitDrain bounds the wait for what nobody read: net/http reads it before
// the head goes out and after the handler, even where the connection is to
// close, without a limit of time. A Read, in full duplex, keeps its own deadline.
func (b *body) limitDrain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.whole && !b.reading && !b.stopped {
		b.set = time.Time{}
		_ = b.ctl.SetReadDeadline(time.Now().Add(drainTimeout))
	}
}
