package front

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
)

// A Cause says in one stable word why a request was not answered as the
// application would have: in the access log, the metrics and the incident.
type Cause string

// Causes of contract 4.
const (
	QueueTimeout   Cause = "queue-timeout"   // no worker free within the queue's timeout
	QueueFull      Cause = "queue-full"      // as many requests waiting as may wait
	WorkerDied     Cause = "worker-died"     // before or in the middle of its answer
	RequestTimeout Cause = "request-timeout" // the worker took longer than timeout.request
	BadResponse    Cause = "bad-response"    // the worker's answer is not CGI (RFC 3875 §6)
	BodyTooLarge   Cause = "body-too-large"  // over max_body
	HeadTooLarge   Cause = "head-too-large"  // too many or too big header fields
	TooSlow        Cause = "too-slow"        // a head or a body that does not arrive, an answer that is not taken
	BadRequest     Cause = "bad-request"     // malformed
	NoRoute        Cause = "no-route"        // no route matches
	StartFailed    Cause = "start-failed"    // the application has no worker that started
	ClientGone     Cause = "client-gone"     // the client left before the answer was complete
)

// Causes beyond contract 4.
const (
	NotFound            Cause = "not-found"            // the route's folder has no such file
	Forbidden           Cause = "forbidden"            // a file that is not to be served, a client that the route is not for
	Unauthorized        Cause = "unauthorized"         // no user and password, or wrong ones
	RateLimited         Cause = "rate-limited"         // more requests of a client than its rate allows
	MethodNotAllowed    Cause = "method-not-allowed"   // CONNECT, TRACE, or not for a file
	TargetTooLong       Cause = "target-too-long"      // request target over its limit
	ExpectationFailed   Cause = "expectation-failed"   // Expect other than 100-continue
	VersionUnsupported  Cause = "version-unsupported"  // neither HTTP/1.0, 1.1 nor 2
	LengthRequired      Cause = "length-required"      // the application cannot do without CONTENT_LENGTH
	RedirectLoop        Cause = "redirect-loop"        // the application led from path to path within the site too often
	UpstreamUnreachable Cause = "upstream-unreachable" // no connection to the FastCGI server
	Exhausted           Cause = "exhausted"            // frontd has no descriptor or port left to reach a worker with
	FileBroken          Cause = "file-broken"          // a file could not be read to the end that it had when it was opened
	SpoolFailed         Cause = "spool-failed"         // no room to spool the body
	SessionFailed       Cause = "session-failed"       // the store of sessions cannot be read or written
	ShuttingDown        Cause = "shutting-down"        // the daemon stops
	Internal            Cause = "internal"             // a defect of ours
)

// Causes are all of them.
var Causes = []Cause{
	QueueTimeout, QueueFull, WorkerDied, RequestTimeout, BadResponse, BodyTooLarge, HeadTooLarge, TooSlow, BadRequest,
	NoRoute, StartFailed, ClientGone, NotFound, Forbidden, Unauthorized, RateLimited, MethodNotAllowed, TargetTooLong, ExpectationFailed,
	VersionUnsupported, LengthRequired, RedirectLoop, UpstreamUnreachable, Exhausted, FileBroken, SpoolFailed, SessionFailed, ShuttingDown, Internal,
}

// StatusClientGone is what the log shows when the client went away: nginx's
// 499. It is never sent.
const StatusClientGone = 499

// Status returns the HTTP status a cause is answered with: the one place
// where that is decided.
func (c Cause) Status() int {
	switch c {
	case BadRequest:
		return http.StatusBadRequest
	case Unauthorized:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case RateLimited:
		return http.StatusTooManyRequests
	case NoRoute, NotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case TooSlow:
		return http.StatusRequestTimeout
	case LengthRequired:
		return http.StatusLengthRequired
	case BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case TargetTooLong:
		return http.StatusRequestURITooLong
	case ExpectationFailed:
		return http.StatusExpectationFailed
	case HeadTooLarge:
		return http.StatusRequestHeaderFieldsTooLarge
	case ClientGone:
		return StatusClientGone
	case WorkerDied, BadResponse, UpstreamUnreachable:
		return http.StatusBadGateway
	case QueueTimeout, QueueFull, StartFailed, SessionFailed, ShuttingDown, Exhausted:
		return http.StatusServiceUnavailable
	case RequestTimeout:
		return http.StatusGatewayTimeout
	case VersionUnsupported:
		return http.StatusHTTPVersionNotSupported
	case SpoolFailed:
		return http.StatusInsufficientStorage
	case Internal, RedirectLoop, FileBroken:
	}
	return http.StatusInternalServerError
}

// closes says whether the connection ends with the answer: what follows on it
// cannot be trusted, or would have to be read only to be thrown away.
func (c Cause) closes() bool {
	switch c {
	case BadRequest, HeadTooLarge, TooSlow, BodyTooLarge, TargetTooLong, LengthRequired,
		ExpectationFailed, VersionUnsupported, ShuttingDown, SpoolFailed:
		return true
	}
	return false
}

// retryAfter is the Retry-After of a 503 in seconds, "" for every other
// status: a queue drains within moments, a start is tried again with back-off.
func (c Cause) retryAfter() string {
	switch c {
	case QueueTimeout, QueueFull, ShuttingDown, Exhausted:
		return "1"
	case StartFailed, SessionFailed:
		return "5"
	}
	return ""
}

// An Error is a failure that knows its cause.
type Error struct {
	Cause  Cause
	Detail string // for the operator
	Err    error  // may be nil
}

func (e *Error) Error() string {
	s := string(e.Cause)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// CauseOf returns why reading a request's body or serving it failed: the
// cause that an *Error in the chain names; TooSlow for a deadline on the
// connection; ClientGone for an end before the declared length or a cancelled
// request; BadRequest for a body that is not what its framing says. The
// errors are those of http.Request.Body.Read and of the request's context; an
// application's own failures have causes of their own. nil is "".
func CauseOf(err error) Cause {
	var own *Error
	var tooBig *http.MaxBytesError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &own):
		return own.Cause
	case errors.As(err, &tooBig):
		return BodyTooLarge
	case errors.Is(err, context.DeadlineExceeded):
		return RequestTimeout // the request's own clock; the next is the connection's
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TooSlow
	case errors.Is(err, context.Canceled), errors.Is(err, io.ErrUnexpectedEOF), isConnError(err):
		return ClientGone
	}
	return BadRequest
}

// usualMethods are those of RFC 9110 §9.3 and RFC 5789 that no server as a whole refuses.
const usualMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// Fail ends the request with the answer that cause has, records why, and
// returns. Where no answer can be given any more, because the head was sent or the
// client went away, it panics with http.ErrAbortHandler so that what the
// client has is visibly broken: a caller must not hold anything that its
// deferred calls do not release.
//
// detail is the operator's reason; the client sees it only where
// Settings.ShowErrors is set.
func Fail(w http.ResponseWriter, r *http.Request, cause Cause, detail string) {
	failWith(w, r, cause, detail, nil)
}

// failWith is Fail with fields that the answer has besides.
func failWith(w http.ResponseWriter, r *http.Request, cause Cause, detail string, fields http.Header) {
	x := ExchangeOf(r)
	begun := x.HeadSent()
	if x.Cause == "" || !begun {
		x.Cause, x.Detail = cause, detail
	}
	if begun && cause != ClientGone && cause != TooSlow {
		// What there is of the answer goes out before it breaks off: a connection
		// that ends without a byte looks like one that was closed as idle, after
		// which clients repeat their request.
		http.NewResponseController(w).Flush()
	}
	if begun || cause == ClientGone {
		panic(http.ErrAbortHandler)
	}
	if cause == ShuttingDown && r.Context().Err() != nil {
		x.Status = cause.Status() // it would be, but the connection is closed
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	clear(h) // whatever the failed handler said is about another answer
	if x.ID != "" {
		h.Set("X-Request-Id", x.ID)
	}
	if s := cause.retryAfter(); s != "" {
		h.Set("Retry-After", s)
	}
	// After a refused CONNECT the client may send what is not HTTP.
	if (cause.closes() || r.Method == http.MethodConnect) && r.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
	if cause == MethodNotAllowed {
		h.Set("Allow", "GET, HEAD") // RFC 9110 §15.5.6: MUST; an application's own 405 does not come here
		if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
			h.Set("Allow", usualMethods) // what else there is, the resource would have to say
		}
	}
	maps.Copy(h, fields)
	if status := cause.Status(); status >= http.StatusInternalServerError {
		tellID(h, x.report(Failure{Request: r, Status: status}))
	}
	writePage(w, r, x, cause, detail)
}
