package http1

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An answer is what goes to the client. Its head is written down when the
// handler gives the status, but closed only with the first bytes that leave:
// by then more is known of the length. What is small leaves in one write.
type answer struct {
	header http.Header // the handler's
	keys   []string    // of header, in order

	status   int   // 0: no head yet
	length   int64 // declared; -1: not
	written  int64 // by the handler
	said           // what the handler's header said
	sealed   bool  // the head is complete
	chunked  bool
	bodyless bool // HEAD, 204, 304: what is written is counted and dropped
	duplex   bool // EnableFullDuplex
	closes   bool // the connection ends with this answer
	err      error

	out     []byte // the head, and what follows it
	pending []byte // of the body, not in out yet: a chunk, or all of it
	vec     [2][]byte
}

// said are the fields that a head is completed by.
type said struct {
	date, kind, encoding, coding, identity, close bool

	connection []string // goes out last: the handler may have changed its header by then
	trailers   []string
}

func (a *answer) reset() {
	clear(a.header)
	*a = answer{header: a.header, keys: a.keys[:0], length: -1, out: a.out[:0], pending: a.pending[:0]}
}

// sniffed is how many bytes http.DetectContentType looks at.
const sniffed = 512

// writeHeader takes the status. The header as it is now is what the client
// gets; what is changed later is not (but trailers).
func (x *exchange) writeHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status)) // as net/http: it could not be sent
	}
	switch {
	case x.c.hijacked:
		x.c.server.log().Warn("WriteHeader on a hijacked connection", "remote", x.c.remote)
	case x.status != 0:
		x.c.server.log().Warn("superfluous WriteHeader", "remote", x.c.remote, "uri", x.req.RequestURI, "status", status)
	case status < 200 && status != http.StatusSwitchingProtocols:
		x.interim(status)
	default:
		x.status = status
		x.bodyless = x.req.Method == http.MethodHead || !allowsBody(status)
		x.startHead()
	}
}

func allowsBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// interim sends a 1xx answer at once (RFC 9110 §15.2), not to HTTP/1.0 (MUST NOT).
func (x *exchange) interim(status int) {
	if x.head.minor == 0 {
		return
	}
	if status == http.StatusContinue && x.body != nil {
		x.body.noGoOn()
	}
	out := appendStatus(x.out[:0], 1, status)
	for _, key := range x.sortKeys() {
		if key != "Content-Length" && key != "Transfer-Encoding" {
			out = appendField(out, key, x.header[key])
		}
	}
	out = append(out, "\r\n"...)
	if x.body != nil { // whose reader may say 100 Continue at this moment
		x.body.goMu.Lock()
		defer x.body.goMu.Unlock()
	}
	if x.err == nil {
		_, x.err = x.c.write(out)
	}
	x.out = out[:0]
}

func (x *exchange) write(p []byte) (int, error) {
	if x.c.hijacked {
		return 0, http.ErrHijacked
	}
	if x.status == 0 {
		x.writeHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !allowsBody(x.status) {
		return 0, http.ErrBodyNotAllowed
	}
	x.written += int64(len(p))
	if x.length >= 0 && x.written > x.length {
		return 0, http.ErrContentLength
	}
	if x.bodyless {
		if n := len(x.pending); n < sniffed && !x.sealed { // HEAD says the same of the type as GET
			x.pending = append(x.pending, p[:min(len(p), sniffed-n)]...)
		}
		return len(p), nil
	}
	if len(x.pending)+len(p) <= cap(x.pending) {
		x.pending = append(x.pending, p...)
		return len(p), nil
	}
	if x.send(p, false); x.err != nil {
		return 0, x.err
	}
	return len(p), nil
}

// flush sends what there is.
func (x *exchange) flush() error {
	if x.c.hijacked {
		return http.ErrHijacked
	}
	if x.status == 0 {
		x.writeHeader(http.StatusOK)
	}
	x.send(nil, false)
	return x.err
}

// finish completes the answer after the handler.
func (x *exchange) finish() error {
	if x.status == 0 {
		x.writeHeader(http.StatusOK)
	}
	x.send(nil, true)
	if x.length >= 0 && x.written != x.length && !x.bodyless {
		x.closes = true // less than was declared: the client must see that; more: it is broken
	}
	return x.err
}

// send writes out the head if it is not out yet, what is pending, and p.
func (x *exchange) send(p []byte, last bool) {
	if x.err != nil {
		return
	}
	if !x.sealed {
		x.seal(p, last)
	}
	if x.bodyless {
		x.pending = x.pending[:0]
	}
	size := len(x.pending) + len(p)
	tail := ""
	switch {
	case x.chunked && size > 0:
		x.out = strconv.AppendInt(x.out, int64(size), 16)
		x.out = append(x.out, "\r\n"...)
		tail = "\r\n"
	case size == 0 && len(x.out) == 0 && !last:
		return
	}
	x.out = append(x.out, x.pending...)
	x.pending = x.pending[:0]
	if len(p) <= bufferSize { // a copy is cheaper than a second piece
		x.out = append(x.out, p...)
		p = nil
	}
	if p != nil {
		x.err = x.writeBoth(p)
	}
	x.out = append(x.out, tail...)
	if last && x.chunked {
		x.out = x.appendTrailers(append(x.out, "0\r\n"...))
	}
	// What ends a large chunk goes along with what comes next.
	if len(x.out) > 0 && x.err == nil && (p == nil || last) {
		_, x.err = x.c.write(x.out)
		x.out = x.out[:0]
	}
	if cap(x.out) > 4*bufferSize {
		x.out = make([]byte, len(x.out), bufferSize)
	}
}

// writeBoth writes what is in out and then p.
func (x *exchange) writeBoth(p []byte) error {
	if len(x.out) == 0 {
		_, err := x.c.write(p)
		return err
	}
	x.vec[0], x.vec[1] = x.out, p
	err := x.c.writev(&x.vec)
	x.vec = [2][]byte{}
	x.out = x.out[:0]
	return err
}

// appendTrailers writes the fields that the handler announced, or named with
// http.TrailerPrefix, and the end of the message.
func (x *exchange) appendTrailers(out []byte) []byte {
	for _, name := range x.trailers {
		out = appendField(out, name, x.header[name])
	}
	for key, values := range x.header {
		if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok && !headOnly(name) {
			out = appendField(out, name, values)
		}
	}
	return append(out, "\r\n"...)
}

// date is the Date field with its line's end, made once a second.
func (s *Server) date(now time.Time) string {
	second := now.Unix()
	if d := s.dated.Load(); d != nil && d.second == second {
		return d.line
	}
	d := &dateLine{second, "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
	s.dated.Store(d)
	return d.line
}

type dateLine struct {
	second int64
	line   string
}
