package http1

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// startHead writes status line and fields, all but those that depend on what
// is not known yet: length, coding, connection, date, a guessed type.
func (x *exchange) startHead() {
	out := appendStatus(x.out[:0], x.head.minor, x.status)
	for _, key := range x.sortKeys() {
		values := x.header[key]
		switch key {
		case "Content-Length":
			x.declare(values)
			continue
		case "Transfer-Encoding":
			x.coding = len(values) > 0
			x.identity = x.coding && values[0] == "identity"
			continue
		case "Connection":
			x.connects(values)
			continue
		case "Trailer":
			x.announce(values)
		case "Date":
			x.date = true
		case "Content-Type":
			x.kind = true
			if x.status == http.StatusNotModified {
				continue
			}
		case "Content-Encoding":
			x.encoding = len(values) > 0 && values[0] != ""
		}
		if !strings.HasPrefix(key, http.TrailerPrefix) && !slices.Contains(x.trailers, key) {
			out = appendField(out, key, values)
		}
	}
	x.out = out
}

func (x *exchange) sortKeys() []string {
	x.keys = x.keys[:0]
	for key := range x.header {
		i := len(x.keys)
		x.keys = append(x.keys, key)
		for ; i > 0 && x.keys[i-1] > key; i-- {
			x.keys[i] = x.keys[i-1]
		}
		x.keys[i] = key
	}
	return x.keys
}

func (x *exchange) declare(values []string) {
	if len(values) == 0 {
		return
	}
	n, ok := number(trimOWS([]byte(values[0])), 10)
	if !ok {
		x.c.server.log().Warn("invalid Content-Length of an answer", "value", values[0], "uri", x.req.RequestURI)
		return
	}
	x.length = n
}

func (x *exchange) connects(values []string) {
	x.connection = slices.Clone(values)
	for _, v := range values {
		x.close = x.close || hasToken(v, "close")
	}
}

func (x *exchange) announce(values []string) {
	for _, list := range values {
		for item := range strings.SplitSeq(list, ",") {
			if name := http.CanonicalHeaderKey(strings.Trim(item, " \t")); name != "" && !headOnly(name) {
				x.trailers = append(x.trailers, name)
			}
		}
	}
}

// seal completes the head. p is what follows what is pending; last says that
// nothing does.
func (x *exchange) seal(p []byte, last bool) {
	x.sealed = true
	out := x.out
	if last && x.length < 0 && !x.coding && len(x.trailers) == 0 && !x.prefixed() && allowsBody(x.status) &&
		(x.req.Method != http.MethodHead || x.written > 0) {
		x.length = x.written
	}
	if allowsBody(x.status) {
		if first := x.first(p); !x.kind && !x.encoding && !x.coding && len(first) > 0 {
			out = appendField1(out, "Content-Type", http.DetectContentType(first))
		}
		out = x.sealLength(out)
	}
	x.decideClose()
	switch {
	case x.closes && (x.head.minor > 0 || x.said.close) && x.status != http.StatusSwitchingProtocols:
		out = append(out, "Connection: close\r\n"...)
	case x.closes && x.status != http.StatusSwitchingProtocols:
	case len(x.connection) > 0:
		out = appendField(out, "Connection", x.connection)
	case x.head.minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	if !x.date {
		out = append(out, x.c.server.date(time.Now())...)
	}
	x.out = append(out, "\r\n"...)
}

// first is where a type is guessed from.
func (x *exchange) first(p []byte) []byte {
	if len(x.pending) > 0 {
		return x.pending
	}
	return p
}

// prefixed says whether there are trailers that were not announced.
func (x *exchange) prefixed() bool {
	for key := range x.header {
		if strings.HasPrefix(key, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// sealLength says where the body ends (RFC 9112 §6.3).
func (x *exchange) sealLength(out []byte) []byte {
	switch {
	case x.length >= 0 && (!x.coding || x.identity): // beside a coding a length is not told
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, x.length, 10)
		return append(out, "\r\n"...)
	case x.bodyless:
		return out
	case x.head.minor == 0 || x.identity:
		x.closes = true // its end is the body's
		return out
	}
	x.chunked = true
	return append(out, "Transfer-Encoding: chunked\r\n"...)
}

// decideClose says whether the connection ends with this answer.
func (x *exchange) decideClose() {
	keeps := x.head.minor > 0 && !x.head.close || x.head.minor == 0 && x.head.keep && !x.head.close
	// Also where it closes for another reason: no 100 Continue comes behind this.
	if x.body != nil {
		x.body.unasked = x.body.noGoOn()
	}
	switch {
	case !keeps, x.said.close, x.c.server.ending.Load():
		x.closes = true
	case x.body != nil && x.body.unasked:
		// The client may send the body or not: what comes next is not known.
		x.closes = true
	case x.body != nil && !x.duplex && !x.body.short():
		x.closes = true
	}
}

// appendStatus writes a status line.
func appendStatus(out []byte, minor byte, status int) []byte {
	if minor > 0 && status == http.StatusOK {
		return append(out, "HTTP/1.1 200 OK\r\n"...)
	}
	out = append(out, "HTTP/1."...)
	out = append(out, '0'+minor, ' ')
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(out, ' ')
	if text := http.StatusText(status); text != "" {
		out = append(out, text...)
	} else {
		out = append(out, "status code "...)
		out = strconv.AppendInt(out, int64(status), 10)
	}
	return append(out, "\r\n"...)
}

// appendField writes a field once for each value; a name that is no token is
// left out, as net/http does.
func appendField(out []byte, name string, values []string) []byte {
	for i := range len(name) {
		if octets[name[i]]&inToken == 0 {
			return out
		}
	}
	if name == "" {
		return out
	}
	for _, v := range values {
		out = appendField1(out, name, v)
	}
	return out
}

// appendField1 writes one field. A line's end in its value would be the start
// of another field: it becomes a space.
func appendField1(out []byte, name, value string) []byte {
	out = append(out, name...)
	out = append(out, ": "...)
	value = strings.Trim(value, " \t\r\n")
	at := len(out)
	out = append(out, value...)
	for i := at; i < len(out); i++ {
		if out[i] == '\r' || out[i] == '\n' {
			out[i] = ' '
		}
	}
	return append(out, "\r\n"...)
}
