package front

import (
	"bytes"
	"net"
	"net/http"
	"time"
)

// A Refusal is a head that no handler got to see.
type Refusal struct {
	Remote net.Addr
	Cause  Cause // BadRequest, TooSlow, HeadTooLarge, …
	Detail string

	Start time.Time // when its first byte came; zero: not known
	// Method, Target and Proto are as much of the request line as was read, "" for
	// the rest. Nothing about them was checked.
	Method, Target, Proto string
	Bytes                 int64 // of the answer's body
}

// Refused writes the line of a request that did not come so far as to be one.
// A nil log writes nothing.
func (l *AccessLog) Refused(r Refusal) {
	if l == nil {
		return
	}
	x := Exchange{ID: "-", Start: r.Start, Cause: r.Cause, Detail: r.Detail, Status: r.Cause.Status(), BytesOut: r.Bytes}
	if now := time.Now(); x.Start.IsZero() {
		x.Start = now
	} else {
		x.Total = now.Sub(x.Start)
	}
	if r.Remote != nil {
		x.Client = parseAddrPort(r.Remote.String())
	}
	l.write(&x, &http.Request{Method: r.Method, RequestURI: r.Target, Proto: r.Proto})
}

// netRefusal reads what net/http's server writes to the connection by itself,
// without a handler, for a head it does not accept. No answer of the chain has
// this form: the first of its fields are a date and a request id.
func netRefusal(p []byte) (Refusal, bool) {
	if refusesExpectation(p) {
		return Refusal{Cause: ExpectationFailed, Detail: "expectation other than 100-continue"}, true
	}
	const own = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	status, body, ok := bytes.Cut(p, []byte(own))
	if !ok || len(status) < len("HTTP/1.1 400") || bytes.IndexByte(status, '\r') >= 0 {
		return Refusal{}, false
	}
	r := Refusal{Cause: BadRequest, Detail: string(body), Bytes: int64(len(body))}
	switch string(status[len("HTTP/1.1 "):][:3]) {
	case "431":
		r.Cause = HeadTooLarge
	case "505":
		r.Cause = VersionUnsupported
	}
	return r, true
}

// refusesExpectation says whether p is net/http's answer to an Expect other than
// 100-continue: an application's own 417 has a request id.
func refusesExpectation(p []byte) bool {
	const version = "HTTP/1.x"
	return len(p) > len(version) && bytes.HasPrefix(p[len(version):], []byte(" 417 ")) &&
		!bytes.Contains(p, []byte("\r\nX-Request-Id: "))
}
