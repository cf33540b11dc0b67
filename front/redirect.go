package front

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Redirect answers with another URL.
type Redirect struct {
	from   *regexp.Regexp
	to     target
	status int
}

var redirectStatuses = []int{301, 302, 303, 307, 308}

// Reasons for refusing a Redirect.
var (
	errRedirectForm = errors.New(`want a target that begins with "/", $path, $uri, "https://host/" or "$scheme://$host/"`)
	errRedirectHost = errors.New("what a client wrote would decide which site it leads to: end the host with a slash, and use no group in it")
)

// NewRedirect sends paths that match an expression, "" for every one, to a URL:
// $1 to $9 are what its groups took of the path; $host is the name that the
// client asked for, without a port, $scheme "http" or "https", $path the path,
// $uri the path and the query. The query goes along where to has none of its
// own. A status of 0 is 302.
//
// Where it leads is never the client's choice: a host cannot come of a group,
// and "//" at the beginning of a path becomes "/".
func NewRedirect(from, to string, status int) (*Redirect, error) {
	if status == 0 {
		status = http.StatusFound
	}
	if !slices.Contains(redirectStatuses, status) {
		return nil, fmt.Errorf("redirect status %d, want one of %v", status, redirectStatuses)
	}
	rd := &Redirect{status: status}
	groups := 0
	if from != "" {
		var err error
		if rd.from, err = compileFrom(from); err != nil {
			return nil, err
		}
		groups = rd.from.NumSubexp()
	}
	var err error
	if rd.to, err = parseTarget(to, groups, "host", "scheme", "path", "uri"); err != nil {
		return nil, fmt.Errorf("redirect to %q: %w", to, err)
	}
	if err := checkLeadsTo(to); err != nil {
		return nil, fmt.Errorf("redirect to %q: %w", to, err)
	}
	return rd, nil
}

// checkLeadsTo makes sure that the configuration alone decides on the site.
func checkLeadsTo(to string) error {
	for _, own := range []string{"$path", "$uri"} {
		if strings.HasPrefix(to, own) {
			return nil
		}
	}
	if strings.ContainsFunc(to, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' }) {
		return errRedirectForm
	}
	if strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
		return nil
	}
	scheme, rest, ok := strings.Cut(to, "://")
	if !ok || !slices.Contains([]string{"http", "https", "$scheme"}, scheme) {
		return errRedirectForm
	}
	end := len(rest)
	for _, border := range []string{"/", "?", "#", "$path", "$uri"} {
		if i := strings.Index(rest, border); i >= 0 {
			end = min(end, i)
		}
	}
	host := strings.ReplaceAll(rest[:end], "$host", "host")
	switch {
	case host == "":
		return errRedirectForm
	case strings.ContainsAny(host, "$@"):
		return errRedirectHost
	}
	return nil
}

func (rd *Redirect) stage(next http.Handler) http.Handler {
	if rd == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := ExchangeOf(r)
		var match []int
		if rd.from != nil {
			if match = rd.from.FindStringSubmatchIndex(x.routePath); match == nil {
				next.ServeHTTP(w, r)
				return
			}
		}
		if x.hostName == "" && rd.to.uses("host") {
			Fail(w, r, BadRequest, "a redirect to $host, and the request has no Host")
			return
		}
		h := w.Header()
		h["Location"] = []string{rd.location(r, x, match)}
		h["Content-Length"] = []string{"0"}
		w.WriteHeader(rd.status)
	})
}

func (rd *Redirect) location(r *http.Request, x *Exchange, match []int) string {
	query := ""
	if q := r.URL.RawQuery; q != "" {
		query = "?" + q
	}
	path := func() string { return "/" + strings.TrimLeft(escapePath(x.routePath, x.EncodedSlash), "/") }
	to := rd.to.render(x.routePath, x.EncodedSlash, match, func(name string) string {
		switch name {
		case "host":
			return x.hostName
		case "scheme":
			return x.Scheme
		case "uri":
			return path() + query
		}
		return path()
	})
	if strings.HasPrefix(to, "/") {
		to = "/" + strings.TrimLeft(to, "/") // "//evil" would be another site (RFC 3986 §4.2)
	}
	if !rd.to.hasQuery() && !rd.to.uses("uri") {
		before, fragment, has := strings.Cut(to, "#")
		if to = before + query; has {
			to += "#" + fragment
		}
	}
	return to
}

// A Reply is an answer that stands in the configuration.
type Reply struct {
	Status int    // 200 to 599
	Type   string // "": text/plain; charset=utf-8
	Body   string
}

func (rp *Reply) stage(next http.Handler) http.Handler {
	if rp == nil {
		return next
	}
	typ := rp.Type
	if typ == "" {
		typ = "text/plain; charset=utf-8"
	}
	bodiless := rp.Status == http.StatusNoContent || rp.Status == http.StatusNotModified
	body := rp.Body
	if rp.Status == http.StatusResetContent {
		body = "" // RFC 9110 §15.3.6: MUST NOT
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if !bodiless {
			h["Content-Type"] = []string{typ}
			h["Content-Length"] = []string{strconv.Itoa(len(body))}
			h["X-Content-Type-Options"] = []string{"nosniff"}
		}
		w.WriteHeader(rp.Status)
		if !bodiless && r.Method != http.MethodHead {
			w.Write([]byte(body)) // a client that left meanwhile is no news here
		}
	})
}
