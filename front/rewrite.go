package front

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// A Rewrite has the route's handler see another path than the client asked
// for. It is applied once, after the route was found, and leads to no other
// route: there is nothing that could go round in circles. REQUEST_URI stays as it
// was sent.
type Rewrite struct {
	from *regexp.Regexp
	to   target
	text string
}

var errRewriteForm = errors.New(`want a path that begins with "/" and has neither scheme, host nor fragment`)

// NewRewrite has paths that match an expression go to another path, with $1 to
// $9 for what its groups took. A query in it is put before the client's; a "?"
// at the end drops the client's.
func NewRewrite(from, to string) (*Rewrite, error) {
	rw := &Rewrite{text: to}
	var err error
	if rw.from, err = compileFrom(from); err != nil {
		return nil, err
	}
	if rw.to, err = parseTarget(to, rw.from.NumSubexp()); err != nil {
		return nil, fmt.Errorf("rewrite to %q: %w", to, err)
	}
	if !strings.HasPrefix(to, "/") || strings.Contains(to, "#") {
		return nil, fmt.Errorf("rewrite to %q: %w", to, errRewriteForm)
	}
	return rw, nil
}

// StaysIn says whether every path that comes out is below a mount prefix, or
// the application could not be told where it is mounted.
func (rw *Rewrite) StaysIn(prefix string) bool {
	return rw == nil || prefix == "" || strings.HasPrefix(rw.text, prefix+"/")
}

func (rw *Rewrite) stage(next http.Handler) http.Handler {
	if rw == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := rw.apply(r, ExchangeOf(r)); err != nil {
			Fail(w, r, err.Cause, err.Detail)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (rw *Rewrite) apply(r *http.Request, x *Exchange) *Error {
	match := rw.from.FindStringSubmatchIndex(x.routePath)
	if match == nil {
		return nil
	}
	target := rw.to.render(x.routePath, x.EncodedSlash, match, nil)
	own, query, hasQuery := strings.Cut(target, "?")
	switch theirs := r.URL.RawQuery; {
	case hasQuery && query == "" || theirs == "":
	case query == "":
		query = theirs
	default:
		query += "&" + theirs
	}
	if query != "" {
		own += "?" + query
	}
	// Groups may come together as "/../" or "//": the result is looked at
	// as strictly as what a client sends.
	sent := x.RequestURI
	err := setTarget(r, x, own)
	x.RequestURI = sent
	return err
}
