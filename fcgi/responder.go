package fcgi

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// serverResponseBuffer is how much of a body is gathered before it is sent. A
// response that fits leaves in one write, with its Content-Length.
const serverResponseBuffer = 8 << 10

// A serverResponse is the http.ResponseWriter of a request. It sends a CGI
// response (RFC 3875 §6) on STDOUT.
type serverResponse struct {
	r      *serverRequest
	isHead bool // the request's method is HEAD

	// A handler may leave a goroutine behind that still writes: it finds ended
	// set, not the buffers of another response.
	mu       sync.Mutex // guards the fields below
	header   http.Header
	head     *serverBuffer // the header block as far as it is known
	body     *serverBuffer // what was written and not sent
	status   int           // 0: WriteHeader was not called
	headSent bool
	typed    bool  // Content-Type or Content-Encoding was set
	declared int64 // Content-Length; -1: none
	written  int64
	err      error // of sending
	ended    bool
	exit     uint32   // appStatus (§5.5)
	more     MoreHead // nil: nobody has more to say in the head
}

func (w *serverResponse) init(r *serverRequest, req *http.Request) {
	w.r, w.isHead, w.declared = r, req.Method == http.MethodHead, -1
	w.head, w.body = getServerBuffer(), getServerBuffer()
}

// Header implements http.ResponseWriter.
func (w *serverResponse) Header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter. A status of 1xx other than 101 is
// sent at once, as a header block of its own, and is not final.
func (w *serverResponse) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic("fcgi: invalid WriteHeader status " + strconv.Itoa(status))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ended:
		w.r.conn.srv.logf("fcgi: WriteHeader(%d) after the end of the request", status)
	case w.status != 0:
		w.r.conn.srv.logf("fcgi: superfluous WriteHeader(%d) after %d", status, w.status)
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.interim(status)
	default:
		w.setStatus(status)
	}
}

// interim sends an interim response (RFC 9110 §15.2).
func (w *serverResponse) interim(status int) {
	block := getServerBuffer()
	defer putServerBuffer(block)
	b := appendStatusField(block.b, status)
	b = appendHeaderFields(b, w.header, keepInInterim)
	block.b = append(b, "\r\n"...)
	w.fail(w.r.conn.send(w.r, block.b, nil))
}

// setStatus fixes the status and, as far as they were set, the header fields.
func (w *serverResponse) setStatus(status int) {
	w.status = status
	if v := w.header.Get("Content-Length"); v != "" {
		n, err := strconv.ParseUint(v, 10, 63)
		switch {
		case err != nil:
			w.r.conn.srv.logf("fcgi: invalid Content-Length %q dropped", v)
		case status != http.StatusNoContent: // RFC 9110 §8.6: not with a 204
			w.declared = int64(n)
		}
	}
	_, hasType := w.header["Content-Type"] // nil there means: send none
	w.typed = hasType || w.header.Get("Content-Encoding") != ""
	w.head.b = appendStatusField(w.head.b, status)
	w.head.b = appendHeaderFields(w.head.b, w.header, keepInFinal)
	w.appendMore()
	if w.declared >= 0 {
		w.head.b = appendLengthField(w.head.b, w.declared)
	}
}

func (w *serverResponse) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// hasContent reports whether a response of this status has content at all
// (RFC 9110 §6.4.1).
func (w *serverResponse) hasContent() bool {
	return w.status >= 200 && w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

// Write implements http.ResponseWriter. It returns http.ErrBodyNotAllowed with
// 1xx, 204 and 304, http.ErrContentLength for what goes beyond the declared
// Content-Length, which is cut there, and ErrAborted once the request was aborted.
func (w *serverResponse) Write(p []byte) (int, error) { return serverWrite(w, p) }

// WriteString implements io.StringWriter.
func (w *serverResponse) WriteString(s string) (int, error) { return serverWrite(w, s) }

func serverWrite[T []byte | string](w *serverResponse, p T) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return 0, errServerRequestEnded
	}
	if w.status == 0 {
		w.setStatus(http.StatusOK)
	}
	switch {
	case len(p) == 0:
		return 0, w.err
	case !w.hasContent():
		return 0, http.ErrBodyNotAllowed
	case w.err != nil:
		return 0, w.err
	}
	var cut error
	if w.declared >= 0 && w.written+int64(len(p)) > w.declared {
		p, cut = p[:w.declared-w.written], http.ErrContentLength
	}
	w.written += int64(len(p))
	if len(w.body.b)+len(p) <= serverResponseBuffer {
		w.body.b = append(w.body.b, p...)
		return len(p), cut
	}
	if err := w.sendBody([]byte(p)); err != nil {
		return 0, err
	}
	return len(p), cut
}

// sendBody sends what was gathered and then p.
func (w *serverResponse) sendBody(p []byte) error {
	w.completeHead(p)
	if w.isHead {
		w.body.b, p = w.body.b[:0], nil
	}
	if !w.headSent {
		w.headSent = true
		w.head.b = append(w.head.b, w.body.b...)
		w.fail(w.r.conn.send(w.r, w.head.b, p))
	} else {
		w.fail(w.r.conn.send(w.r, w.body.b, p))
	}
	w.body.b = w.body.b[:0]
	return w.err
}

// completeHead ends the header block. next is the part of the body that comes
// after what was gathered.
func (w *serverResponse) completeHead(next []byte) {
	if w.headSent {
		return
	}
	if n := len(w.body.b) + len(next); n > 0 && !w.typed {
		const sniffed = 512 // what http.DetectContentType looks at
		start := w.body.b
		if missing := sniffed - len(start); missing > 0 {
			start = append(start, next[:min(missing, len(next))]...) // its end is taken back: body keeps its length
		}
		w.head.b = append(w.head.b, "Content-Type: "...)
		w.head.b = append(w.head.b, http.DetectContentType(start)...)
		w.head.b = append(w.head.b, "\r\n"...)
	}
	w.head.b = append(w.head.b, "\r\n"...)
}

// Flush implements http.Flusher.
func (w *serverResponse) Flush() { w.FlushError() }

// FlushError sends what was written, and the header even before the first
// Write. http.ResponseController calls it.
func (w *serverResponse) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return errServerRequestEnded
	}
	if w.status == 0 {
		w.setStatus(http.StatusOK)
	}
	if w.headSent && len(w.body.b) == 0 {
		return w.err
	}
	return w.sendBody(nil)
}

// SetReadDeadline makes reads of the request's body fail from t on.
// http.ResponseController calls it, as it does the methods below.
func (w *serverResponse) SetReadDeadline(t time.Time) error {
	w.r.stdin.setDeadline(t)
	if w.r.data != nil {
		w.r.data.setDeadline(t)
	}
	return nil
}

// SetWriteDeadline makes writes of the response fail from t on. A response that
// met its deadline cannot be completed any more.
func (w *serverResponse) SetWriteDeadline(t time.Time) error {
	w.r.setWriteDeadline(t)
	return nil
}

// errHijack says why, where middleware for WebSockets only says that it failed.
var errHijack = fmt.Errorf("fcgi: the connection to the client is the web server's, which no application can take over: "+
	"WebSockets need an HTTP server of their own (%w)", http.ErrNotSupported)

// Hijack implements http.Hijacker only to return an error that says why it
// cannot be, and is http.ErrNotSupported and errors.ErrUnsupported: between the handler and the client
// stands a web server, and the connection to that serves other requests too.
func (w *serverResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errHijack }

// EnableFullDuplex does nothing: a handler may always read while it writes.
func (w *serverResponse) EnableFullDuplex() error { return nil }

// SetAppStatus sets the appStatus that a complete answer ends with (§5.5): of a CGI
// program its exit status. 0 is usual.
func (w *serverResponse) SetAppStatus(status uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.exit = status
}

var (
	errServerPanicked = errors.New("fcgi: handler did not return")
	errServerShort    = errors.New("fcgi: handler wrote less than its Content-Length")
)

// finish sends the rest of the response and ends the request.
func (w *serverResponse) finish(died bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch loc := w.localRedirect(); {
	case died:
	case loc != "":
		w.status = http.StatusOK
		w.headSent = true
		w.head.b = append(append(append(w.head.b[:0], "Location: "...), loc...), "\r\n"...)
		w.appendMore()
		w.head.b = append(w.head.b, "\r\n"...)
		w.fail(w.r.conn.send(w.r, w.head.b, nil))
	case w.status == 0:
		w.setStatus(http.StatusOK)
	}
	if died {
		w.fail(errServerPanicked)
	} else if w.declared > w.written && w.hasContent() && !w.isHead {
		w.fail(errServerShort)
		w.r.conn.srv.logf("fcgi: %s %s: Content-Length is %d, the handler wrote %d bytes",
			w.r.method(), w.r.param("REQUEST_URI"), w.declared, w.written)
	}
	if w.err != nil && !w.headSent {
		w.more = nil // it belongs to the answer that is not to be
		w.replace()
	}
	w.sendLast()
	w.ended = true
	putServerBuffer(w.head)
	putServerBuffer(w.body)
	w.head, w.body = nil, nil
}

// localRedirect returns the path of a local redirect (RFC 3875 §6.2.2), which
// is a Location that is a path, and nothing else whatever: no status, no other
// field, no body. The web server then answers as if it had been requested.
func (w *serverResponse) localRedirect() string {
	loc := w.header["Location"]
	if w.status != 0 || len(loc) != 1 ||
		!strings.HasPrefix(loc[0], "/") || strings.HasPrefix(loc[0], "//") || !validValue(loc[0]) {
		return ""
	}
	for name, values := range w.header {
		if name != "Location" && len(values) > 0 { // a nil one says: send none
			return ""
		}
	}
	return loc[0]
}

// replace makes a response of which nothing was sent a plain 500.
func (w *serverResponse) replace() {
	w.err = nil
	w.head.b, w.body.b, w.typed, w.declared = w.head.b[:0], w.body.b[:0], true, -1
	w.header = http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	w.setStatus(http.StatusInternalServerError)
	w.body.b = append(w.body.b, "Internal Server Error\n"...)
}

func (w *serverResponse) sendLast() {
	how := serverComplete
	if w.err != nil {
		how = serverBroken
	}
	var head []byte
	if !w.headSent {
		if w.declared < 0 && w.hasContent() && (!w.isHead || len(w.body.b) > 0) {
			w.head.b = appendLengthField(w.head.b, int64(len(w.body.b))) // all of it is here
		}
		w.completeHead(nil)
		head = w.head.b
	}
	if w.isHead {
		w.body.b = w.body.b[:0]
	}
	w.r.conn.end(w.r, head, w.body.b, how)
}
