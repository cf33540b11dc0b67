package fcgi

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// This file writes the header block of a CGI response (RFC 3875 §6.3).

// appendStatusField appends the Status field (§6.3.3), which starts a block.
func appendStatusField(dst []byte, status int) []byte {
	dst = append(dst, "Status: "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	if text := http.StatusText(status); text != "" {
		dst = append(append(dst, ' '), text...)
	}
	return append(dst, "\r\n"...)
}

func appendLengthField(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// keepInFinal reports whether a handler's field goes into its response. What
// frames the client's connection is not for an application to say (§6.3.4), Status
// is said by WriteHeader, and Content-Length once it was checked.
func keepInFinal(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Status", "Content-Length":
		return false
	}
	return !strings.HasPrefix(name, http.TrailerPrefix)
}

// keepInInterim is keepInFinal for an interim response, which has no content.
func keepInInterim(name string) bool {
	return name != "Content-Type" && name != "Content-Encoding" && keepInFinal(name)
}

var serverNameLists = sync.Pool{New: func() any { return new([]string) }}

// appendHeaderFields appends the fields of h that keep allows, in the order of
// their names. Fields whose name is no token are dropped; line ends and NUL in values
// become spaces, so that no value can pose as another field or as a body.
func appendHeaderFields(dst []byte, h http.Header, keep func(string) bool) []byte {
	if len(h) == 0 {
		return dst
	}
	pooled := serverNameLists.Get().(*[]string)
	names := (*pooled)[:0]
	for name := range h {
		if serverIsToken(name) && keep(textproto.CanonicalMIMEHeaderKey(name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			dst = append(append(dst, name...), ": "...)
			dst = appendFieldValue(dst, value)
			dst = append(dst, "\r\n"...)
		}
	}
	clear(names) // keep no string of this response alive
	*pooled = names
	serverNameLists.Put(pooled)
	return dst
}

func appendFieldValue(dst []byte, v string) []byte {
	start := len(dst)
	dst = append(dst, textproto.TrimString(v)...)
	for i, b := range dst[start:] {
		if b == '\r' || b == '\n' || b == 0 {
			dst[start+i] = ' '
		}
	}
	return dst
}

// serverIsToken reports whether s is a token (RFC 9110 §5.6.2).
func serverIsToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
