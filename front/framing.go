package front

import (
	"bytes"
	"errors"
	"math"
	"strings"
)

// framing reads along with net/http's parser, before it, and refuses heads
// and chunks that two parsers may take for different requests (RFC 9112
// §11.2). net/http forgives many of them, and has forgotten them when a handler
// runs: Content-Length beside Transfer-Encoding, Transfer-Encoding in
// HTTP/1.0, folded lines, lines that end in a bare LF, spaces after a chunk's size.
//
// It holds nothing back and changes nothing but the empty lines before a
// request, which it takes out (§2.2). What follows a refusal is never passed
// on: in its place stands a piece that net/http refuses for certain, so that
// the answer comes in its turn behind the answers to requests before it.
type framing struct {
	maxLine int // bytes; more than net/http reads of a head before it answers 431

	state frameState
	line  []byte // of a line that is not complete: what came of it
	held  bool   // a CR that may begin an empty line before a request
	empty int    // such lines seen
	left  int64  // bytes of a body or a chunk to come
	head  headFacts
}

type frameState uint8

const (
	atRequestLine frameState = iota
	inFields
	inBody
	atChunkSize
	inChunk
	afterChunkCR
	afterChunkLF
	inTrailers
	refused
)

// headFacts are what decides on a message's length (RFC 9112 §6.3).
type headFacts struct {
	old       bool   // HTTP/1.0
	authority string // of an absolute-form target
	host      string
	length    int64 // -1: no Content-Length
	chunked   bool
}

const (
	maxEmptyLines = 4    // before a request; RFC 9112 §2.2 asks for one
	maxChunkLine  = 4096 // bytes of a chunk's size and extensions, net/http's own limit
)

// Pieces that net/http refuses wherever in a line they stand: NUL is allowed
// nowhere, and a chunk's line must not end in a bare LF.
var (
	poisonHead  = []byte("\x00\r\n\r\n")
	poisonChunk = []byte("\x00\n")
)

// midHead says whether a part of a head has come.
func (f *framing) midHead() bool {
	return f.state == inFields || f.state == atRequestLine && len(f.line) > 0
}

// poison is what to pass on in the place of what feed refused in state s.
func (s frameState) poison() []byte {
	switch s {
	case atRequestLine, inFields, inTrailers:
		return poisonHead
	}
	return poisonChunk
}

// feed takes what was read and returns how much of it, from its start, is to
// be passed on: all of it, less empty lines, without an error; with one, what
// comes before the offence.
func (f *framing) feed(p []byte) (keep int, err error) {
	for len(p) > keep {
		rest := p[keep:]
		switch f.state {
		case inBody, inChunk:
			n := min(f.left, int64(len(rest)))
			keep += int(n)
			if f.left -= n; f.left == 0 {
				f.endOfData()
			}
		case afterChunkCR, afterChunkLF:
			if err := f.chunkEnd(rest[0]); err != nil {
				return keep, err
			}
			keep++
		case atRequestLine:
			if n, err := f.emptyLines(rest); err != nil {
				return keep, err
			} else if n > 0 {
				p = append(p[:keep], p[keep+n:]...)
				continue
			}
			fallthrough
		default:
			n, err := f.feedLine(rest)
			if err != nil {
				return keep, err
			}
			keep += n
		}
	}
	return keep, nil
}

func (f *framing) endOfData() {
	if f.state == inChunk {
		f.state = afterChunkCR
	} else {
		f.nextHead()
	}
}

func (f *framing) nextHead() { f.state, f.empty = atRequestLine, 0 }

func (f *framing) chunkEnd(c byte) error {
	switch {
	case f.state == afterChunkCR && c == '\r':
		f.state = afterChunkLF
	case f.state == afterChunkLF && c == '\n':
		f.state = atChunkSize
	default:
		return errors.New("chunk longer than its size")
	}
	return nil
}

// emptyLines returns how many bytes at the start of p are of empty lines
// before a request, to be taken out.
func (f *framing) emptyLines(p []byte) (n int, err error) {
	if len(f.line) > 0 {
		return 0, nil
	}
	if !f.held {
		if p[0] != '\r' {
			return 0, nil
		}
		f.held = true
		return 1, nil
	}
	f.held = false
	if f.empty++; p[0] != '\n' || f.empty > maxEmptyLines {
		return 0, errors.New("no request line")
	}
	return 1, nil
}

// feedLine takes bytes of a line, up to its end or p's.
func (f *framing) feedLine(p []byte) (n int, err error) {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		if len(f.line)+len(p) > f.lineLimit() {
			return 0, errors.New("line too long")
		}
		f.line = append(f.line, p...)
		return len(p), nil
	}
	line := p[:end+1]
	if len(f.line) > 0 {
		f.line = append(f.line, line...)
		line = f.line
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.IndexByte(text, '\r') >= 0 {
		return 0, errors.New("line that does not end in CRLF") // RFC 9112 §2.2: may be taken for one
	}
	if err := f.takeLine(text); err != nil {
		return 0, err
	}
	f.line = f.line[:0]
	return end + 1, nil
}

func (f *framing) lineLimit() int {
	if f.state == atChunkSize {
		return maxChunkLine
	}
	return f.maxLine
}

func (f *framing) takeLine(line []byte) error {
	switch f.state {
	case atRequestLine:
		f.state = inFields
		return f.head.requestLine(string(line))
	case inFields:
		if len(line) == 0 {
			return f.endOfHead()
		}
		return f.head.field(line)
	case atChunkSize:
		return f.chunkSize(line)
	default: // inTrailers
		if len(line) == 0 {
			f.nextHead()
			return nil
		}
		return trailer(line)
	}
}

// requestLine takes version and authority off "METHOD TARGET HTTP/1.x"; the
// rest is for net/http to judge.
func (h *headFacts) requestLine(line string) error {
	*h = headFacts{length: -1}
	method, rest, _ := strings.Cut(line, " ")
	target, version, ok := strings.Cut(rest, " ")
	if !ok || method == "" || len(version) != len("HTTP/1.1") || !strings.HasPrefix(version, "HTTP/1.") {
		return errors.New("request line that is not METHOD TARGET HTTP/1.x")
	}
	h.old = version == "HTTP/1.0"
	if _, after, ok := strings.Cut(target, "://"); ok && target[0] != '/' {
		h.authority = after
		if i := strings.IndexAny(after, "/?#"); i >= 0 {
			h.authority = after[:i]
		}
	}
	return nil
}

// field takes note of the fields that decide on length and host.
func (h *headFacts) field(line []byte) error {
	if line[0] == ' ' || line[0] == '\t' {
		return errors.New("folded line") // RFC 9112 §5.2: MUST reject or replace
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.Trim(value, " \t")
	switch {
	case asciiEqualFold(name, "content-length"):
		return h.contentLength(value)
	case asciiEqualFold(name, "transfer-encoding"):
		if h.chunked || !asciiEqualFold(value, "chunked") {
			return errors.New("Transfer-Encoding other than chunked, once")
		}
		h.chunked = true
	case asciiEqualFold(name, "host"):
		h.host = string(value)
	}
	return nil
}

func (h *headFacts) contentLength(value []byte) error {
	if h.length >= 0 {
		return errors.New("two Content-Length")
	}
	n, ok := parseDigits(value, 10)
	if !ok {
		return errors.New("malformed Content-Length")
	}
	h.length = n
	return nil
}

func (f *framing) endOfHead() error {
	h := &f.head
	switch {
	case h.chunked && h.length >= 0:
		return errors.New("Content-Length beside Transfer-Encoding") // RFC 9112 §6.3: ought to be handled as an error
	case h.chunked && h.old:
		return errors.New("Transfer-Encoding in HTTP/1.0") // §6.1: MUST treat as if the framing is faulty
	case h.authority != "" && h.host != "" && !sameAuthority(h.authority, h.host):
		return errors.New("Host is not the target's") // §3.2: a client MUST send the same
	case h.chunked:
		f.state = atChunkSize
	case h.length > 0:
		f.state, f.left = inBody, h.length
	default:
		f.nextHead()
	}
	return nil
}

func sameAuthority(a, b string) bool {
	return strings.EqualFold(withoutDefaultPort(a), withoutDefaultPort(b))
}

func withoutDefaultPort(a string) string {
	return strings.TrimSuffix(strings.TrimSuffix(a, ":80"), ":443")
}

// chunkSize takes chunk-size [ chunk-ext ] (RFC 9112 §7.1) without the white
// space that §7.1.1 allows around an extension but calls bad.
func (f *framing) chunkSize(line []byte) error {
	digits, ext, _ := bytes.Cut(line, []byte(";"))
	n, ok := parseDigits(digits, 16)
	if !ok || bytes.ContainsFunc(ext, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return errors.New("malformed chunk size")
	}
	if f.state, f.left = inChunk, n; n == 0 {
		f.state = inTrailers
	}
	return nil
}

// parseDigits reads digits and nothing else: no sign, no "0x", no "_".
func parseDigits(b []byte, base int64) (n int64, ok bool) {
	for _, c := range b {
		d := int64(unhex(c))
		if d < 0 || d >= base || n > (math.MaxInt64-d)/base {
			return 0, false
		}
		n = n*base + d
	}
	return n, len(b) > 0
}

// trailer refuses fields that must not come as one (RFC 9110 §6.5.1).
func trailer(line []byte) error {
	name, _, ok := bytes.Cut(line, []byte(":"))
	if !ok || line[0] == ' ' || line[0] == '\t' {
		return errors.New("malformed trailer")
	}
	for _, forbidden := range [...]string{"content-length", "transfer-encoding", "host", "trailer",
		"content-type", "content-encoding", "authorization", "cookie"} {
		if asciiEqualFold(name, forbidden) {
			return errors.New(forbidden + " in a trailer")
		}
	}
	return nil
}

// asciiEqualFold compares with a lower-case ASCII string. bytes.EqualFold would
// take U+212A for a k.
func asciiEqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
