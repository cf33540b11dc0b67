package http1

import (
	"bytes"
	"strings"
)

// Limits bound a request's head. The zero value of each field is its default.
type Limits struct {
	Target int // bytes of the target; 0: 8 KiB; over it 414
	Field  int // bytes of a field, name and value; 0: 16 KiB; over it 431
	Fields int // fields, Host not counted; 0: 100; over it 431
	Head   int // bytes of the whole head; 0: 64 KiB; over it 431
}

func (l Limits) withDefaults() Limits {
	if l.Target == 0 {
		l.Target = 8 << 10
	}
	if l.Field == 0 {
		l.Field = 16 << 10
	}
	if l.Fields == 0 {
		l.Fields = 100
	}
	if l.Head == 0 {
		l.Head = 64 << 10
	}
	return l
}

const (
	maxEmptyLines = 4 // before a request; RFC 9112 §2.2 asks for one
	// lineRest is what a request line has beside its target: a method, which
	// may be long, and the version.
	lineRest = 64
	// fieldRest is what a field's line has beside name and value: colon,
	// white space, CRLF.
	fieldRest = 16
)

// A span is a part of the read buffer.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }
func (s span) in(t string) string { return t[s.from:s.to] }

type field struct{ name, value span }

// A head is the parser of a request's head, and what it found. It looks at each
// byte once, however they come: feed gets the whole of what was read so far.
type head struct {
	limits *Limits

	start   int // of the request line, behind empty lines
	at      int // of the line that is not complete
	scanned int // bytes of that line, none of them LF
	empty   int // lines before the request line
	begun   bool

	method, target, proto span
	minor                 byte // of HTTP/1.x
	fields                []field

	facts
}

// facts are what decides on a message's length and its way (RFC 9112 §6.3).
type facts struct {
	length     int64 // -1: no Content-Length
	chunked    bool
	hosts      int
	host       span
	expect     int
	goOn       bool // Expect: 100-continue
	close      bool // Connection: close
	keep       bool // Connection: keep-alive
	hasTrailer bool
}

func (h *head) reset() {
	*h = head{limits: h.limits, fields: h.fields[:0], facts: facts{length: -1}}
}

// mid says whether a part of a head is here.
func (h *head) mid(b []byte) bool { return h.begun || len(b) > h.at }

// feed returns where the head in b ends, 0 if it is not complete, or the rule
// that it breaks.
func (h *head) feed(b []byte) (end int, bad *Rule) {
	for {
		lf := bytes.IndexByte(b[h.at+h.scanned:], '\n')
		if lf < 0 {
			h.scanned = len(b) - h.at
			return 0, h.overlong(b)
		}
		lf += h.at + h.scanned
		line := b[h.at:lf]
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return 0, RuleLineEnd
		}
		at := h.at
		h.at, h.scanned = lf+1, 0
		line = line[:len(line)-1]
		switch {
		case h.begun && h.at-h.start > h.limits.Head:
			return 0, RuleHeadSize
		case h.begun && len(line) == 0:
			return h.at, h.check(b)
		case h.begun:
			bad = h.field(line, at)
		case len(line) == 0:
			bad = h.emptyLine()
		default:
			h.start, h.begun = at, true
			bad = h.requestLine(line, at)
		}
		if bad != nil {
			return 0, bad
		}
	}
}

func (h *head) emptyLine() *Rule {
	if h.empty++; h.empty > maxEmptyLines {
		return RuleEmptyLines
	}
	return nil
}

// overlong judges a line whose end is not here yet.
func (h *head) overlong(b []byte) *Rule {
	n := len(b) - h.at
	switch {
	case !h.begun && n > 1 && b[h.at] == '\r':
		return RuleLineEnd // an empty line that goes on
	case !h.begun && n > h.limits.Target+lineRest:
		return RuleTargetSize
	case !h.begun:
		return nil
	case n > h.limits.Field+fieldRest:
		return RuleFieldSize
	case len(b)-h.start > h.limits.Head:
		return RuleHeadSize
	}
	return nil
}

// requestLine takes "METHOD TARGET HTTP/1.x", with single spaces (RFC 9112 §3).
func (h *head) requestLine(line []byte, at int) *Rule {
	first := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if bytes.IndexByte(line, '\r') >= 0 {
		return RuleLineEnd
	}
	if first <= 0 || last == first {
		return RuleRequestLine
	}
	method, target, proto := line[:first], line[first+1:last], line[last+1:]
	if len(proto) != len("HTTP/1.1") || string(proto[:7]) != "HTTP/1." || digit(proto[7]) > 9 {
		return RuleRequestLine
	}
	h.method, h.target, h.proto = span{at, at + first}, span{at + first + 1, at + last}, span{at + last + 1, at + len(line)}
	h.minor = proto[7] - '0'
	switch {
	case !allIn(method, inToken):
		return RuleMethod
	case len(target) > h.limits.Target:
		return RuleTargetSize
	case len(target) == 0 || !allIn(target, inTarget):
		return RuleTarget
	case h.minor > 1:
		return RuleVersion
	}
	return nil
}

// field takes "Name: value" (RFC 9112 §5).
func (h *head) field(line []byte, at int) *Rule {
	if line[0] == ' ' || line[0] == '\t' {
		return RuleFold
	}
	n := 0
	for n < len(line) && octets[line[n]]&inToken != 0 {
		n++
	}
	if n == 0 || n == len(line) || line[n] != ':' {
		return RuleFieldName
	}
	from, to := n+1, len(line)
	for from < to && (line[from] == ' ' || line[from] == '\t') {
		from++
	}
	for from < to && (line[to-1] == ' ' || line[to-1] == '\t') {
		to--
	}
	value := line[from:to]
	if !allIn(value, inValue) {
		if bytes.IndexByte(value, '\r') >= 0 {
			return RuleLineEnd
		}
		return RuleFieldValue
	}
	if n+len(value) > h.limits.Field {
		return RuleFieldSize
	}
	h.fields = append(h.fields, field{span{at, at + n}, span{at + from, at + to}})
	if len(h.fields)-h.hosts > h.limits.Fields {
		if !equalFold(line[:n], "host") {
			return RuleFieldCount
		}
	}
	return h.special(line[:n], value, span{at + from, at + to})
}

// special takes note of the fields that the connection itself goes by.
func (h *head) special(name, value []byte, where span) *Rule {
	switch len(name) {
	case len("host"):
		if equalFold(name, "host") {
			h.hosts, h.host = h.hosts+1, where
		}
	case len("expect"):
		if equalFold(name, "expect") {
			h.expect, h.goOn = h.expect+1, equalFold(value, "100-continue")
		}
	case len("trailer"):
		h.hasTrailer = h.hasTrailer || equalFold(name, "trailer")
	case len("connection"):
		if equalFold(name, "connection") {
			h.connection(value)
		}
	case len("content-length"):
		if equalFold(name, "content-length") {
			return h.contentLength(value)
		}
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			if h.chunked || !equalFold(value, "chunked") {
				return RuleCoding
			}
			h.chunked = true
		}
	}
	return nil
}

func (h *head) connection(list []byte) {
	for len(list) > 0 {
		item, rest, _ := bytes.Cut(list, []byte{','})
		item = trimOWS(item)
		h.close = h.close || equalFold(item, "close")
		h.keep = h.keep || equalFold(item, "keep-alive")
		list = rest
	}
}

func (h *head) contentLength(value []byte) *Rule {
	if h.length >= 0 {
		return RuleLengths
	}
	n, ok := number(value, 10)
	if !ok {
		return RuleLength
	}
	h.length = n
	return nil
}

// check judges the head as a whole.
func (h *head) check(b []byte) *Rule {
	switch {
	case h.chunked && h.length >= 0:
		return RuleTwoLengths
	case h.chunked && h.minor == 0:
		return RuleCodingOld
	case h.hosts > 1:
		return RuleHosts
	case h.hosts == 0 && h.minor > 0:
		return RuleNoHost
	case !allIn(h.host.of(b), inHost):
		return RuleHost
	case !h.sameHost(b):
		return RuleOtherHost
	case h.expect > 1, h.expect == 1 && !h.goOn:
		return RuleExpect
	}
	return nil
}

// sameHost says whether an absolute-form target names the host that Host does.
// A server goes by the target, a proxy before it may have gone by the other.
func (h *head) sameHost(b []byte) bool {
	target := h.target.of(b)
	if target[0] == '/' || h.hosts == 0 || h.host.from == h.host.to {
		return true
	}
	scheme, authority, ok := strings.Cut(string(target), "://")
	if !ok {
		return true
	}
	if i := strings.IndexAny(authority, "/?#"); i >= 0 {
		authority = authority[:i]
	}
	port := ":80"
	if strings.EqualFold(scheme, "https") {
		port = ":443"
	}
	host := string(h.host.of(b))
	return authority == "" || strings.EqualFold(strings.TrimSuffix(authority, port), strings.TrimSuffix(host, port))
}
