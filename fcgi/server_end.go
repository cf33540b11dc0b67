package fcgi

import (
	"fmt"
	"os"
	"time"
)

// How a request ended.
type serverOutcome int

const (
	serverComplete serverOutcome = iota
	serverBroken                 // the response is incomplete, and the client must see that
	serverAborted                // the web server wanted no more
)

// end sends the last of a response, head and then body, and ends the request.
func (c *serverConn) end(r *serverRequest, head, body []byte, how serverOutcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if how == serverComplete && c.stream(r, TypeStdout, head, body) != nil {
		how = serverBroken
	}
	if how == serverBroken && r.sendErr == ErrAborted {
		how = serverAborted
	}
	c.endLocked(r, how)
	c.gather()
	c.flush()
	c.settle()
}

// endLocked frees the id and appends the records that end the request: after
// this nothing is ever appended for it. Exactly one END_REQUEST goes out, or none
// where the end of the connection has to say that the response is incomplete.
func (c *serverConn) endLocked(r *serverRequest, how serverOutcome) {
	c.forget(r)
	c.rested = time.Now()
	if c.err != nil {
		return
	}
	if !r.keep || c.draining {
		c.closing = true
	}
	switch {
	case how == serverComplete:
		b := AppendRecord(c.buffer(), TypeStdout, r.id, nil)
		if r.stderrUsed {
			b = AppendRecord(b, TypeStderr, r.id, nil)
		}
		c.appendControl(AppendEndRequest(b, r.id, r.rw.exit, StatusRequestComplete))
	case c.flow:
		c.appendControl(AppendEndRequest(c.buffer(), r.id, 1, StatusBroken))
	case how == serverAborted:
		c.appendControl(AppendEndRequest(c.buffer(), r.id, 1, StatusRequestComplete))
	default:
		// Plain FastCGI has no word for it, and web servers ignore appStatus.
		c.closing = true
	}
	if c.closing && !r.stdin.hasEnded() {
		c.unread = true
	}
}

// forget removes a request from those in hand. It needs c.mu.
func (c *serverConn) forget(r *serverRequest) {
	if r.ended {
		return
	}
	r.ended = true
	if r.writeTimer != nil {
		r.writeTimer.Stop()
	}
	delete(c.reqs, r.id)
	c.srv.releaseRequest() // before the END_REQUEST that invites the next one
}

// send sends part of a response.
func (c *serverConn) send(r *serverRequest, head, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.stream(r, TypeStdout, head, body)
	if err == nil {
		c.flush()
	}
	return err
}

// grant tells the web server that it may send n bytes more of an input stream.
func (c *serverConn) grant(r *serverRequest, t Type, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.ended || c.err != nil {
		return // the id may be another request's by now
	}
	c.appendControl(AppendWindow(c.buffer(), r.id, t, uint32(n)))
	c.flush()
}

// setWriteDeadline makes sending fail from t on; the zero time means never.
func (r *serverRequest) setWriteDeadline(t time.Time) {
	c := r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.writeTimer != nil {
		r.writeTimer.Stop()
		r.writeTimer = nil
	}
	if !t.IsZero() && !r.ended {
		r.writeTimer = time.AfterFunc(time.Until(t), r.writeExpired)
	}
}

func (r *serverRequest) writeExpired() {
	c := r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.ended || r.sendErr != nil {
		return
	}
	r.sendErr = os.ErrDeadlineExceeded
	r.wake.Broadcast()
	c.room.Broadcast()
	if !c.flow && c.writing {
		c.failLocked(os.ErrDeadlineExceeded) // alone on the connection, and stuck in a write
	}
}

func panicText(v any) string {
	if v == nil {
		return "fcgi: handler ended its goroutine (runtime.Goexit)"
	}
	return fmt.Sprintf("fcgi: panic in handler: %v", v)
}
