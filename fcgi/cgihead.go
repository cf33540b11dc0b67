package fcgi

import (
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// maxHead bounds the header of a CGI response in bytes: twice what common
// servers accept of a single line, so that large cookies and policies pass.
const maxHead = 64 << 10

// A head is the checked header of a CGI response (RFC 3875 §6.3).
type head struct {
	status int
	header http.Header
	length int64  // Content-Length, or -1
	local  string // local redirect, or ""

	// session has the fields that change a session: for the front, never for a client.
	session http.Header // nil: none

	values []string // memory of header's
}

// sessionPrefix begins the names of fields by which an application and the front
// speak of a session, in an answer. In a request there is no such field.
const sessionPrefix = "Frontd-Session-"

func (h head) interim() bool { return h.status < 200 }

// headLen returns the length of the header with its empty line at the start
// of b, or 0 if it is not all there. RFC 3875 §6.3: NL is LF or CRLF.
func headLen(b []byte) (int, error) {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 || at+i >= maxHead {
			if len(b) > maxHead {
				return 0, badHead("header over %d bytes", maxHead)
			}
			return 0, nil
		}
		line := b[at : at+i]
		at += i + 1
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return at, nil
		}
	}
}

func badHead(format string, args ...any) error {
	return &ResponseError{Reason: fmt.Sprintf(format, args...)}
}

// parseHead checks a whole header. Nothing it has not understood reaches a
// client: a field that could become another one there is refused. Names and
// values are parts of one copy of it.
func parseHead(b []byte) (head, error) {
	h := head{length: -1, header: make(http.Header, 8)}
	text := string(b)
	if strings.HasPrefix(text, "HTTP/") {
		return h, badHead("begins with an HTTP status line: non-parsed headers are not FastCGI's (§6.1)")
	}
	h.values = make([]string, 0, 8)
	for len(text) > 0 {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			break
		}
		if err := h.field(line); err != nil {
			return h, err
		}
	}
	return h, h.finish()
}

func (h *head) field(line string) error {
	colon := strings.IndexByte(line, ':')
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return badHead("folded header line %.40q", line)
	case colon <= 0:
		return badHead("header line without a name: %.40q", line)
	case !validName(line[:colon]):
		return badHead("header name %.40q", line[:colon])
	}
	value := strings.Trim(line[colon+1:], " \t")
	if !validValue(value) {
		return badHead("control character in header %s", line[:colon])
	}
	name := textproto.CanonicalMIMEHeaderKey(line[:colon])
	switch name {
	case "Status":
		return h.setStatus(value)
	case "Transfer-Encoding":
		return badHead("Transfer-Encoding %.40q: the connection's coding is the server's (RFC 3875 §6.3.4)", value)
	case "Content-Length":
		return h.setLength(value)
	case "Location", "Content-Type":
		if old, ok := h.header[name]; ok && old[0] != value {
			return badHead("two different %s fields (RFC 3875 §6.3)", name)
		}
		h.header[name] = h.one(value)
		return nil
	}
	if name == "X-Cgi-Error" {
		return badHead("%s", value) // our CGI host found the program's answer broken
	}
	if strings.HasPrefix(name, "X-Cgi-") {
		return nil // RFC 3875 §6.3.5: for the server, not for the client
	}
	if strings.HasPrefix(name, sessionPrefix) {
		if h.session == nil {
			h.session = make(http.Header)
		}
		h.session[name] = append(h.session[name], value)
		return nil
	}
	if before, ok := h.header[name]; ok {
		h.header[name] = append(before, value)
	} else {
		h.header[name] = h.one(value)
	}
	return nil
}

// one returns a slice of one value, which an append moves elsewhere.
func (h *head) one(value string) []string {
	h.values = append(h.values, value)
	n := len(h.values)
	return h.values[n-1 : n : n]
}

// setStatus reads `Status: 3DIGIT reason` (RFC 3875 §6.3.3).
func (h *head) setStatus(v string) error {
	if h.status != 0 {
		return badHead("two Status fields (RFC 3875 §6.3)")
	}
	code, _, _ := strings.Cut(v, " ")
	n, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || n < 100 || n > 999 {
		return badHead("Status %.40q, want three digits from 100 to 999 (RFC 3875 §6.3.3)", v)
	}
	if n < 200 && n != 100 && n != 102 && n != 103 {
		return badHead("Status %d: no such interim response passes a gateway", n)
	}
	h.status = n
	return nil
}

func (h *head) setLength(v string) error {
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return badHead("Content-Length %.40q", v)
	}
	if h.length >= 0 && h.length != int64(n) {
		return badHead("two different Content-Length fields")
	}
	h.length = int64(n)
	return nil
}

// finish settles what the fields mean together (RFC 3875 §6.2).
func (h *head) finish() error {
	if h.status == 0 && len(h.header) == 0 && h.length < 0 {
		return badHead("an empty header (RFC 3875 §6.2)")
	}
	if loc := h.header["Location"]; loc != nil && h.status == 0 {
		if strings.HasPrefix(loc[0], "/") && !strings.HasPrefix(loc[0], "//") {
			h.local = loc[0] // §6.2.2
			h.status = http.StatusOK
			return nil
		}
		h.status = http.StatusFound // §6.2.3
	}
	if h.status == 0 {
		h.status = http.StatusOK // §6.3.3
	}
	dropHopByHop(h.header)
	return nil
}

// hopByHop are the fields that speak of one connection only (RFC 9110 §7.6.1).
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Upgrade",
}

// dropHopByHop removes what RFC 3875 §6.3.4 forbids an application to send,
// and what its Connection field nominates.
func dropHopByHop(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// validName reports whether s is a token (RFC 9110 §5.6.2).
func validName(s string) bool {
	for i := range len(s) {
		if !tokenTable[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenTable = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// validValue reports whether s has no control character but HTAB (RFC 9110 §5.5).
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
