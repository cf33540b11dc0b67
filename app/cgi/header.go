package cgi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// maxHeader bounds a program's header block, in bytes. What servers in front
// accept is less (nginx: 4 or 8 KiB by default).
const maxHeader = 64 << 10

// A head is the header block of a CGI response (§6.3).
type head struct {
	status int
	length int64 // Content-Length, or -1
	local  bool  // a local redirect (§6.2.2)
	header http.Header
}

// A formatError is program output that is not a CGI response.
type formatError struct {
	reason string
	ended  bool // the output has ended: the program's exit tells more
}

func (e *formatError) Error() string { return e.reason }

func badf(format string, args ...any) error {
	return &formatError{reason: fmt.Sprintf(format, args...)}
}

// readHead reads a header block. Lines end with LF or CRLF (§6.3); a line
// that is no field, a value with control characters, or a block over
// maxHeader is a formatError. Nothing of such a block may reach a client.
func readHead(r *bufio.Reader) (head, error) {
	header := make(http.Header)
	left := maxHeader
	for n := 1; ; n++ {
		line, err := readLine(r, &left)
		switch {
		case errors.Is(err, io.EOF) && n == 1 && len(line) == 0:
			return head{}, &formatError{reason: "no output", ended: true}
		case errors.Is(err, io.EOF):
			return head{}, &formatError{ended: true, reason: fmt.Sprintf("output ended within the header, at line %d: %q", n, clip(line))}
		case err != nil:
			return head{}, err
		case len(line) == 0 && n == 1:
			return head{}, badf("empty header: Content-Type, Location or Status must be there (RFC 3875, 6.2)")
		case len(line) == 0:
			return newHead(header)
		}
		name, value, err := parseField(line)
		if err != nil {
			return head{}, badf("header line %d: %v: %q", n, err, clip(line))
		}
		header[name] = append(header[name], value)
	}
}

// readLine returns the next line without its end. A line that the output's
// end cuts comes with io.EOF.
func readLine(r *bufio.Reader, left *int) ([]byte, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		if *left -= len(piece); *left < 0 {
			return nil, badf("header over %d bytes", maxHeader)
		}
		line = append(line, piece...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return line, err
		}
		line = line[:len(line)-1]
		return bytes.TrimSuffix(line, []byte("\r")), nil
	}
}

func parseField(line []byte) (name, value string, err error) {
	before, after, ok := bytes.Cut(line, []byte(":"))
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return "", "", errors.New("a continuation line")
	case !ok:
		return "", "", errors.New("no colon")
	}
	name, value = string(before), strings.Trim(string(after), " \t")
	if err := checkField(name, value); err != nil {
		return "", "", err
	}
	return textproto.CanonicalMIMEHeaderKey(name), value, nil
}

// checkField holds a field to RFC 9110 §5.1 and §5.5.
func checkField(name, value string) error {
	if name == "" {
		return errors.New("no name before the colon")
	}
	for i := range len(name) {
		if c := name[i]; !isTokenByte(c) {
			return fmt.Errorf("%q in a header's name", c)
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("%q in a header's value", c)
		}
	}
	return nil
}

// isTokenByte is tchar of RFC 9110 §5.6.2.
func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// newHead makes sense of the fields that CGI gives a meaning.
func newHead(header http.Header) (head, error) {
	h := head{length: -1, header: header}
	for _, name := range []string{"Status", "Location", "Content-Type", "Content-Length"} {
		if err := single(header, name); err != nil {
			return head{}, err
		}
	}
	if v, ok := header["Content-Length"]; ok {
		n, err := strconv.ParseUint(v[0], 10, 63)
		if err != nil || v[0][0] == '+' {
			return head{}, badf("Content-Length: %q is not a number of bytes", clip([]byte(v[0])))
		}
		h.length = int64(n)
	}
	if v, ok := header["Status"]; ok {
		status, err := parseStatus(v[0])
		if err != nil {
			return head{}, err
		}
		h.status = status
		delete(header, "Status")
	}
	dropForeign(header)
	if l := header.Get("Location"); l != "" && h.status == 0 {
		// With a field beside it (§6.2.2 forbids that, programs do it: Content-Type,
		// Set-Cookie) the client is redirected: we would lose the field.
		h.local = isLocalPath(l) && len(header) == 1
		if !h.local {
			h.status = http.StatusFound // §6.2.3
		}
	}
	if h.status == 0 {
		h.status = http.StatusOK
	}
	return h, nil
}

// isLocalPath reports whether a Location names no other host (§6.2.2).
func isLocalPath(location string) bool {
	return strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//")
}

// single holds a field to one occurrence (§6.3.1 to §6.3.3); the same again
// is forgiven.
func single(header http.Header, name string) error {
	values := header[name]
	for _, v := range values {
		if v != values[0] {
			return badf("%s twice: %q and %q", name, clip([]byte(values[0])), clip([]byte(v)))
		}
	}
	if len(values) > 1 {
		header[name] = values[:1]
	}
	return nil
}

// parseStatus reads "404 Not Found" (§6.3.3). An interim status cannot stand
// in a response that is the only one.
func parseStatus(s string) (int, error) {
	code, _, _ := strings.Cut(s, " ")
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || len(code) != 3 || n < 200 {
		return 0, badf("Status: %q does not begin with a number from 200 to 999", clip([]byte(s)))
	}
	return int(n), nil
}

// dropForeign removes what is between the program and us (X-CGI-*, §6.3.5)
// and what is between two ends of a connection (RFC 9110 §7.6.1).
func dropForeign(header http.Header) {
	for name := range header {
		switch {
		case strings.HasPrefix(name, "X-Cgi-"):
			delete(header, name)
		case name == "Connection" || name == "Keep-Alive" || name == "Proxy-Connection" ||
			name == "Te" || name == "Trailer" || name == "Transfer-Encoding" || name == "Upgrade":
			delete(header, name)
		}
	}
}

// clip keeps a complaint short.
func clip(b []byte) []byte {
	const most = 80
	if len(b) > most {
		return b[:most]
	}
	return b
}
