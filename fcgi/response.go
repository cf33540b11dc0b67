package fcgi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// A Response is the answer of an application: a CGI response (RFC 3875 §6)
// with its head parsed and checked, and a body that arrives as the application
// sends it.
type Response struct {
	Status int
	Header http.Header
	// ContentLength is what the application declared, or -1. The body is
	// never longer: what is over is dropped (see Excess), and a body that
	// ends short of it is ErrShortBody.
	ContentLength int64
	// Session has the fields of the head whose names begin with Frontd-Session-.
	// They are in no other header: no client gets them. nil: none.
	Session http.Header
	// LocalRedirect is the path and query of a local redirect (RFC 3875
	// §6.2.2): the server answers as if they had been requested. Else "".
	LocalRedirect string

	s      *stream
	ctx    context.Context
	wait   time.Duration
	rest   []byte // of the body, behind the head
	left   int64  // bytes that may still come; -1: no bound
	noBody bool
	excess int64
	whole  time.Time // since when all that the client gets is here
	err    error     // the end; io.EOF after END_REQUEST
	closed bool
}

// ErrShortBody is a body that ended before its declared Content-Length.
var ErrShortBody = errors.New("fcgi: application sent less than its Content-Length")

// Next returns the next piece of the body, valid until the next call. At the
// end of a whole answer it is io.EOF, and never otherwise.
func (r *Response) Next() ([]byte, error) {
	for r.err == nil {
		b := r.rest
		r.rest = nil
		if len(b) == 0 {
			b, r.err = r.more()
		}
		if r.err == io.EOF && r.left > 0 {
			r.err = ErrShortBody
		}
		if b = r.clip(b); len(b) > 0 {
			return b, nil
		}
	}
	return nil, r.err
}

// Bounds on what an application may go on to send when all that the client
// gets is here: over them the request is aborted, and the answer is whole.
const (
	maxExcess  = 64 << 10
	excessTime = time.Second
)

// more waits for the next piece. Once all that the client gets is here, the
// client's leaving breaks nothing, and the application has a while to end the
// request; one that goes on writing has little.
func (r *Response) more() ([]byte, error) {
	switch {
	case r.excess > maxExcess:
		return nil, io.EOF
	case !r.noBody && r.left != 0, !r.s.idle(): // the latter: there is no wait
		return r.s.next(r.ctx, r.wait, time.Time{})
	case r.whole.IsZero():
		r.whole = time.Now()
	}
	wait := r.wait
	if r.noBody || r.excess > 0 {
		wait = excessTime
	}
	b, err := r.s.next(context.WithoutCancel(r.ctx), wait, r.whole)
	if err == ErrTimeout {
		err = io.EOF
	}
	return b, err
}

// Discard reads what is left of an answer that nobody wants, within the bounds
// that there are for bytes beyond an answer's length.
func (r *Response) Discard() {
	r.noBody = true
	for {
		if _, err := r.Next(); err != nil {
			return
		}
	}
}

// clip cuts what goes beyond the declared length, or a body that there is not
// to be. The rest is still read: the connection serves another request.
func (r *Response) clip(b []byte) []byte {
	keep := len(b)
	switch {
	case r.noBody:
		keep = 0
	case r.left >= 0:
		keep = int(min(r.left, int64(len(b))))
		r.left -= int64(keep)
	}
	r.excess += int64(len(b) - keep)
	return b[:keep]
}

// Excess returns how many bytes of body were dropped: those over the declared
// Content-Length, or any for HEAD, 204 and 304.
func (r *Response) Excess() int64 { return r.excess }

// Idle reports whether all that has come was returned by Next and the answer
// goes on: the moment to flush. One whose connection is lost does not go on.
func (r *Response) Idle() bool { return len(r.rest) == 0 && r.err == nil && r.s.idle() }

// Ended reports whether the application has ended the request. Where Next has
// returned io.EOF and it has not, all that the client gets was here before.
func (r *Response) Ended() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.ended
}

// AppStatus returns the application's exit status (§5.5), once Next has
// returned io.EOF.
func (r *Response) AppStatus() uint32 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.appStatus
}

// Close ends the request. If it was not at its end the application is told,
// and nothing of it can reach another request. It is safe to call twice.
func (r *Response) Close() {
	if r.closed {
		return
	}
	r.closed = true
	s := r.s
	s.mu.Lock()
	unfinished := !s.ended && s.err == nil
	if unfinished {
		s.err = ErrAborted
	}
	s.queue.drop()
	s.stderr, s.closed = nil, true
	s.room.Signal()
	s.more.Signal()
	s.mu.Unlock()
	if unfinished {
		s.c.abort(s)
	} else {
		s.endStdin()
	}
	s.stopPump()
	s.dropOverflow()
}

// dropOverflow closes the file, unless the read loop writes to it just now:
// then it will.
func (s *stream) dropOverflow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.overflow.writing {
		s.overflow.close()
	}
}

// endStdin closes a connection without flow control on which the answer came
// before the body was sent: what is left of the body would be the next
// request's beginning.
func (s *stream) endStdin() {
	s.mu.Lock()
	open := !s.stdinDone && s.c.window == 0
	s.mu.Unlock()
	if open {
		s.c.retire()
	}
}

// BodyBusy reports whether Request.Stdin is still being read although the
// answer is over: the client is still sending. Whoever owns the body ends its
// Read, and must not use it before Wait has returned.
func (r *Response) BodyBusy() bool { return !r.s.stopPump() }

// Lose ends a response of which nothing was used, for Next's error err, and
// returns what RoundTrip would have.
func (r *Response) Lose(err error) *RequestError {
	r.Close()
	return &RequestError{Err: err, Began: true, r: r}
}

// Settled returns a channel that is closed when the application has ended the
// request, or its connection is lost: after an abort it may still be at work.
func (r *Response) Settled() <-chan struct{} {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled == nil {
		s.settled = make(chan struct{})
		if s.ended || s.lost {
			close(s.settled)
		}
	}
	return s.settled
}

// Wait returns when Request.Stdin is used no more.
func (r *Response) Wait() {
	if r.s.pumpDone != nil {
		<-r.s.pumpDone
	}
}

// readHead reads and checks the head, and interim ones before it.
func (r *Response) readHead(ctx context.Context, req *Request, start time.Time) error {
	r.ctx = ctx
	var gathered []byte
	for {
		b, err := r.s.next(ctx, req.HeadTimeout, start)
		if err == io.EOF {
			return &ResponseError{Reason: headEnd(len(gathered))}
		}
		if err != nil {
			return err
		}
		if len(gathered) > 0 {
			gathered = append(gathered, b...)
			b = gathered
		}
		for {
			n, err := headLen(b)
			if err != nil {
				return err
			}
			if n == 0 {
				// The piece is the stream's only until the next call.
				gathered = append(gathered[:0:cap(gathered)], b...)
				break
			}
			head, err := parseHead(b[:n])
			if err != nil {
				return err
			}
			b = b[n:]
			if !head.interim() {
				r.take(head, req)
				r.rest = b
				return nil
			}
			if req.Interim != nil {
				req.Interim(head.status, head.header)
			}
			gathered = gathered[:0]
		}
	}
}

func headEnd(n int) string {
	if n == 0 {
		return "nothing: the application ended the request without a header (RFC 3875 §6.2)"
	}
	return "the application ended the request within its header (RFC 3875 §6.2)"
}

// take makes the head the response's.
func (r *Response) take(h head, req *Request) {
	r.Status, r.Header, r.ContentLength, r.LocalRedirect, r.Session = h.status, h.header, h.length, h.local, h.session
	// RFC 9110 §6.4.1: no content in these, whatever the application thinks.
	r.noBody = req.NoBody || h.local != "" || h.status == http.StatusNoContent || h.status == http.StatusNotModified
	r.left = h.length
	if r.noBody {
		r.left = -1
	}
}
