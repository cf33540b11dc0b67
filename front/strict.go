package front

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Strict bounds what a request's head may be. The zero value is the default.
type Strict struct {
	MaxTarget     int  // bytes of the request target; 0: 8 KiB; over it 414
	MaxFields     int  // header fields; 0: 100; over it 431
	MaxFieldBytes int  // bytes of one field, name and value; 0: 16 KiB; over it 431
	MaxHead       int  // bytes of target and fields; 0: 64 KiB; over it 431
	RefuseInvalid bool // 400 for a field name with other than letters, digits and "-"; else it is dropped
}

func (s Strict) withDefaults() Strict {
	if s.MaxTarget == 0 {
		s.MaxTarget = 8 << 10
	}
	if s.MaxFields == 0 {
		s.MaxFields = 100
	}
	if s.MaxFieldBytes == 0 {
		s.MaxFieldBytes = 16 << 10
	}
	if s.MaxHead == 0 {
		s.MaxHead = 64 << 10
	}
	return s
}

// strict refuses what net/http lets through but no honest client sends, and
// leaves the stages after it one meaning of host, path and fields.
type strict struct {
	limits Strict
	next   http.Handler
}

func (s *strict) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := ExchangeOf(r)
	if err := s.check(r, x); err != nil {
		Fail(w, r, err.Cause, err.Detail)
		return
	}
	if r.RequestURI == "*" {
		// OPTIONS * asks about the server (RFC 9110 §9.3.7), of which there
		// is nothing to tell: no application is meant.
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.next.ServeHTTP(w, r)
}

func (s *strict) check(r *http.Request, x *Exchange) *Error {
	if x.Listener.Kind == HTTP && r.ProtoMajor == 1 && r.ProtoMinor > 1 {
		return &Error{Cause: VersionUnsupported, Detail: r.Proto}
	}
	if err := checkMethod(r.Method); err != nil {
		return err
	}
	if x.Listener.Kind == HTTP && r.ProtoMajor > 1 {
		if err := checkHTTP2(r); err != nil {
			return err
		}
	}
	if err := s.checkTarget(r, x); err != nil {
		return err
	}
	if err := checkHost(r, x); err != nil {
		return err
	}
	return s.checkFields(r, x)
}

func refuse(format string, args ...any) *Error {
	return &Error{Cause: BadRequest, Detail: fmt.Sprintf(format, args...)}
}

// checkMethod lets any method pass as it is, "get" being another than "GET"
// (RFC 9110 §9.1), if it looks like one.
func checkMethod(m string) *Error {
	switch m {
	case http.MethodConnect, http.MethodTrace:
		// CONNECT asks for a tunnel; TRACE shows cookies to scripts.
		return &Error{Cause: MethodNotAllowed, Detail: m}
	}
	for i, c := range []byte(m) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '-' && c != '_' && (c < '0' || c > '9')) {
			return refuse("method %q", m)
		}
	}
	return nil
}

// checkHTTP2 refuses what net/http takes in HTTP/2, and the parsers of HTTP/1 do
// not: RFC 9113 §8.1.1 calls it malformed.
func checkHTTP2(r *http.Request) *Error {
	switch host := r.Header["Host"]; {
	case len(host) > 1, len(host) == 1 && !sameAuthority(host[0], r.Host):
		return refuse("Host %q is not the authority", host) // §8.3.1
	case r.RequestURI != "*" && !strings.HasPrefix(r.RequestURI, "/"):
		return refuse("path %q", r.RequestURI) // §8.3.1
	case strings.IndexByte(r.RequestURI, ' ') >= 0:
		return refuse("space in the path %q", r.RequestURI)
	case len(r.Header["Content-Length"]) > 1:
		return refuse("%d Content-Length", len(r.Header["Content-Length"]))
	}
	delete(r.Header, "Host") // which HTTP/1 has in Request.Host alone
	return nil
}

// checkTarget decides on the request target's form (RFC 9112 §3.2) and sets
// the exchange's paths and the request's URL from it, not from net/http's
// reading, which takes any scheme and keeps dot segments.
func (s *strict) checkTarget(r *http.Request, x *Exchange) *Error {
	target := r.RequestURI
	if len(target) > s.limits.MaxTarget {
		return &Error{Cause: TargetTooLong, Detail: fmt.Sprintf("%d bytes, at most %d", len(target), s.limits.MaxTarget)}
	}
	if target == "*" {
		if r.Method != http.MethodOptions {
			return refuse("target * with %s", r.Method)
		}
		return nil
	}
	if !strings.HasPrefix(target, "/") {
		origin, err := cutAuthority(target)
		if err != nil {
			return refuse("target %q: %v", target, err)
		}
		target = origin
	}
	if strings.IndexByte(target, '#') >= 0 {
		return refuse("fragment in the target")
	}
	return setTarget(r, x, target)
}

// setTarget makes an origin-form target the exchange's and the request's.
func setTarget(r *http.Request, x *Exchange, target string) *Error {
	x.RequestURI = target
	raw, query, _ := strings.Cut(target, "?")
	path, err := normalizePath(raw)
	if err != nil {
		return refuse("%v: %q", err, raw)
	}
	x.Path, x.routePath, x.EncodedSlash = path.decoded, path.route, path.encodedSlash
	if r.URL.Path != x.Path || r.URL.RawQuery != query || r.URL.Host != "" {
		u := *r.URL
		u.Scheme, u.User, u.Host, u.Path, u.RawPath, u.RawQuery = "", nil, "", x.Path, "", query
		r.URL = &u
	}
	return nil
}

var (
	errTargetForm   = errors.New("neither a path nor a whole http or https URL")
	errTargetUser   = errors.New("user information in the authority")
	errTargetNoHost = errors.New("no host in the authority")
)

// cutAuthority returns the origin-form of an absolute-form target (RFC 9112
// §3.2.2). The authority has become the request's Host already, as §3.2.2 asks.
func cutAuthority(target string) (string, error) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", errTargetForm
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	switch authority := rest[:end]; {
	case strings.IndexByte(authority, '@') >= 0:
		return "", errTargetUser
	case authority == "":
		return "", errTargetNoHost // RFC 9110 §4.2.1: MUST reject
	}
	if rest = rest[end:]; !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return rest, nil
}

// checkHost accepts an empty Host, which RFC 9112 §3.2 asks of a client whose
// target has no authority.
func checkHost(r *http.Request, x *Exchange) *Error {
	if r.Host == "" {
		return nil
	}
	name, err := splitHost(r.Host)
	if err != nil {
		return refuse("%v %q", err, r.Host)
	}
	x.Host, x.hostName = r.Host, name
	return nil
}

// checkFields looks at each field once: its size, its name, whether it may
// come, and whether more than once.
func (s *strict) checkFields(r *http.Request, x *Exchange) *Error {
	fields, head, nominated := 0, len(r.RequestURI), r.Header["Connection"]
	for name, values := range r.Header {
		fields += len(values)
		for _, v := range values {
			head += len(name) + len(v) + len(": \r\n")
			if len(name)+len(v) > s.limits.MaxFieldBytes {
				return &Error{Cause: HeadTooLarge, Detail: fmt.Sprintf("field %q of %d bytes, at most %d", name, len(name)+len(v), s.limits.MaxFieldBytes)}
			}
		}
		switch {
		case !validFieldName(name):
			if s.limits.RefuseInvalid {
				return refuse("field name %q", name)
			}
			delete(r.Header, name) // as X_User it would pose as X-User in HTTP_X_USER
		case hopByHop(name):
			delete(r.Header, name)
		case len(values) > 1 && (name == "Authorization" || name == "Content-Type"):
			// Joined by ", " into one CGI variable, they would be read in one
			// way here and in another by the application.
			return refuse("%d fields %s", len(values), name)
		case name == "Expect" && (len(values) != 1 || !strings.EqualFold(values[0], "100-continue")):
			return &Error{Cause: ExpectationFailed, Detail: strings.Join(values, ", ")}
		}
	}
	if fields > s.limits.MaxFields {
		return &Error{Cause: HeadTooLarge, Detail: fmt.Sprintf("%d fields, at most %d", fields, s.limits.MaxFields)}
	}
	if head > s.limits.MaxHead && x.Listener.Kind == HTTP { // a web server before us has limits of its own
		return &Error{Cause: HeadTooLarge, Detail: fmt.Sprintf("%d bytes, at most %d", head, s.limits.MaxHead)}
	}
	removeNominated(r.Header, nominated)
	return nil
}

func validFieldName(name string) bool {
	for _, c := range []byte(name) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// hopByHop names fields that concern the connection the request came by (RFC
// 9110 §7.6.1), so that no stage and no worker may see them. Upgrade with its
// companion is thereby refused: no protocol but HTTP is spoken here. Proxy is no
// field of HTTP at all, but would become HTTP_PROXY, which programs obey.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Http2-Settings", "Keep-Alive", "Proxy", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// removeNominated removes the fields that Connection makes hop-by-hop too.
func removeNominated(h http.Header, connection []string) {
	for _, value := range connection {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
}
