package front

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/frontd/frontd/fcgi"
)

// clientError is a write that the client did not take.
type clientError struct{ err error }

func (e *clientError) Error() string { return "write to client: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// fail ends the request with the answer of its cause.
func (c *call) fail(err error) {
	cause, detail := c.causeOf(err)
	if (cause == ClientGone || cause == WorkerDied) && c.x.Listener.leaving() {
		cause = ShuttingDown
	}
	if cause == RequestTimeout {
		c.overdue()
	}
	c.unclean = true
	c.finish()
	c.endBody()
	if c.x.HeadSent() && !c.r.ProtoAtLeast(1, 1) {
		c.breakOld(cause, detail)
	}
	Fail(c.w, c.r, cause, detail)
}

// overdue frees the worker of a request that took too long: of that request.
// It comes before the request is given up, so that the worker can be asked
// what it is doing.
func (c *call) overdue() {
	u := c.last
	if c.late || u == nil {
		return
	}
	c.late = true
	reason := c.overdueReason()
	if c.g.Overdue != nil {
		c.evicted = c.g.Overdue(u, c.flight(time.Now()), reason)
	}
	if !c.evicted && u.Kill != nil {
		u.Kill(reason)
	}
}

// overdueReason names the bound that was passed, which every such request of
// an application has in common.
func (c *call) overdueReason() string {
	if c.x.HeadSent() {
		return fmt.Sprintf("request %s gave nothing for longer than %v", c.x.ID, c.x.Settings.RequestTimeout)
	}
	return fmt.Sprintf("request %s took longer than %v", c.x.ID, c.headTimeout())
}

// breakOld breaks the connection of an HTTP/1.0 client: to it a mere close is
// the end of a whole answer. It returns where there is none to be had.
func (c *call) breakOld(cause Cause, detail string) {
	if c.x.Cause == "" { // before the flush, which may find that the client has gone too
		c.x.Cause, c.x.Detail = cause, detail
	}
	if cause != ClientGone && cause != TooSlow {
		_ = c.rc.Flush() // as Fail does; who does not get it sees the end
	}
	nc, _, err := c.rc.Hijack()
	if err != nil {
		return
	}
	breakOff(nc)
	panic(http.ErrAbortHandler) // not by Fail, which flushes: net/http's writer does not live on without its connection
}

// causeOf names why a request failed.
func (c *call) causeOf(err error) (Cause, string) {
	detail := err.Error()
	var (
		bodyErr *fcgi.BodyError
		gone    *clientError
		refused *fcgi.StatusError
		bad     *fcgi.ResponseError
		breach  *fcgi.ProtocolError
		dial    *fcgi.DialError
		own     *Error
	)
	switch {
	case errors.As(err, &own):
		return own.Cause, detail
	case errors.As(err, &bodyErr):
		return CauseOf(bodyErr.Err), detail
	case errors.As(err, &gone):
		if cause := CauseOf(gone.err); cause == TooSlow {
			return TooSlow, detail
		}
		return ClientGone, detail
	case c.r.Context().Err() != nil:
		return ClientGone, detail
	case errors.Is(err, fcgi.ErrParamTooLarge):
		return HeadTooLarge, detail
	case errors.Is(err, fcgi.ErrQueueFull):
		return QueueFull, detail
	case errors.Is(err, fcgi.ErrQueueTimeout):
		return QueueTimeout, detail
	case errors.Is(err, fcgi.ErrPoolClosed):
		return ShuttingDown, detail
	case errors.Is(err, fcgi.ErrTimeout):
		return RequestTimeout, detail
	case errors.As(err, &refused) && refused.Status == fcgi.StatusOverloaded:
		return QueueFull, detail
	case errors.As(err, &refused), errors.As(err, &bad), errors.As(err, &breach), errors.Is(err, fcgi.ErrShortBody):
		return BadResponse, detail
	case exhausted(err):
		return Exhausted, detail
	case errors.As(err, &dial) && c.g.External:
		return UpstreamUnreachable, detail
	case errors.Is(err, fcgi.ErrTruncated) && c.x.HeadSent() && c.stderr.traced:
		// Plain FastCGI has no other word for an answer that is not whole: the
		// worker lives, and has said what the application raised.
		return BadResponse, "the application failed in the middle of its answer: " + detail
	case errors.As(err, &dial), died(err):
		return WorkerDied, detail
	case c.x.Attempts == 0:
		return StartFailed, detail
	}
	return WorkerDied, detail
}
