package http1

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// A turn is what of a request may still be in somebody's hands after the
// handler returned: it is made anew for each, and says so when it is over.
type turn struct {
	ctx      reqContext
	response response
	url      url.URL
}

// build makes the http.Request of a head that the parser accepted: exactly
// what http.ReadRequest would, and what net/http's server does to that. All
// strings are parts of one copy of the head; the header's map and slices are
// the exchange's, and the handler's until it returns.
func (x *exchange) build(text string) *Rule {
	h := &x.head
	t := &turn{}
	t.ctx.c, t.response.x = x.c, x
	r := template.WithContext(&t.ctx)
	r.Method = method(h.method.in(text))
	r.RequestURI = h.target.in(text)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	if h.minor == 0 {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
	if !parseTarget(&t.url, r.Method, r.RequestURI) {
		return RuleTarget
	}
	r.URL = &t.url
	x.fillHeader(text)
	r.Header = x.fields
	if r.Host = r.URL.Host; r.Host == "" {
		r.Host = h.host.in(text)
	}
	r.RemoteAddr = x.c.remote
	r.Close = h.close || h.minor == 0 && !h.keep
	if bad := x.setBody(r); bad != nil {
		return bad
	}
	x.turn, x.req = t, r
	return nil
}

// template is a Request of which only the context is left to set.
var template = new(http.Request)

// method spares the common ones their part of the head's copy: most logs keep them.
func method(m string) string {
	switch m {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	case http.MethodHead:
		return http.MethodHead
	}
	return m
}

// parseTarget does what http.ReadRequest does to the target.
func parseTarget(u *url.URL, method, target string) bool {
	if target[0] == '/' {
		path, query, _ := strings.Cut(target, "?")
		plain := query != "" || len(path) == len(target)
		for i := 0; plain && i < len(path); i++ {
			plain = octets[path[i]]&inPath != 0
		}
		if plain {
			u.Path, u.RawQuery = path, query
			return true
		}
	}
	authority := method == http.MethodConnect && target[0] != '/'
	if authority {
		target = "http://" + target
	}
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		return false
	}
	if *u = *parsed; authority {
		u.Scheme = ""
	}
	return true
}

// fillHeader makes the header, without Host, which has a field of its own.
func (x *exchange) fillHeader(text string) {
	h := &x.head
	if x.fields == nil {
		x.fields = make(http.Header, 16)
	}
	if need := len(h.fields) + 1; cap(x.values) < need {
		x.values = make([]string, 0, max(need, 24))
	}
	values := x.values[:0]
	for _, f := range h.fields {
		name := canonical(f.name.in(text))
		if name == "Host" || name == "Transfer-Encoding" {
			continue
		}
		value := f.value.in(text)
		if before := x.fields[name]; before != nil {
			x.fields[name] = append(before, value)
			continue
		}
		values = append(values, value)
		n := len(values)
		x.fields[name] = values[n-1 : n : n]
	}
	x.values = values
	// As net/http does: HTTP/1.0's word for the same.
	if p := x.fields["Pragma"]; len(p) > 0 && p[0] == "no-cache" && x.fields["Cache-Control"] == nil {
		x.fields["Cache-Control"] = []string{"no-cache"}
	}
}

// setBody gives the request its body, of the length that the head says.
func (x *exchange) setBody(r *http.Request) *Rule {
	h := &x.head
	switch {
	case h.chunked:
		r.ContentLength, r.TransferEncoding = -1, chunkedCoding
		if h.hasTrailer {
			trailer, ok := announced(r.Header)
			if !ok {
				return RuleTrailerName
			}
			r.Trailer = trailer
		}
		x.body = &body{c: x.c, req: r, chunked: true, state: atSize, goOn: h.goOn}
	case h.length > 0:
		r.ContentLength = h.length
		x.body = &body{c: x.c, req: r, left: h.length, state: inData, goOn: h.goOn && h.minor > 0}
	default:
		r.Body = http.NoBody
		return nil
	}
	r.Body = x.body
	return nil
}

// chunkedCoding is shared by all requests: a handler that writes to it writes
// to theirs.
var chunkedCoding = []string{"chunked"}

// announced takes the Trailer field out of a header; its names are the keys
// of the result, nil if there are none.
func announced(h http.Header) (http.Header, bool) {
	lists := h["Trailer"]
	delete(h, "Trailer")
	var trailer http.Header
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			name := strings.Trim(item, " \t")
			if name == "" {
				continue
			}
			if name = canonical(name); headOnly(name) {
				return nil, false
			}
			if trailer == nil {
				trailer = make(http.Header)
			}
			trailer[name] = nil
		}
	}
	return trailer, true
}

// headOnly says whether a field must not come in a trailer: what routes,
// frames, or authenticates (RFC 9110 §6.5.1).
func headOnly(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Host", "Trailer",
		"Content-Type", "Content-Encoding", "Authorization", "Cookie":
		return true
	}
	return false
}

// Value finds the connection's address, and what ConnContext gave it.
func (c *reqContext) Value(key any) any {
	if key == http.LocalAddrContextKey {
		return c.c.nc.LocalAddr()
	}
	if c.c.ctx == nil {
		return nil
	}
	return c.c.ctx.Value(key)
}

var _ context.Context = (*reqContext)(nil)
