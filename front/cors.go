package front

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which pages of other sites may use a route, by the Fetch
// standard's CORS protocol. The front answers the preflight; the application
// never sees it. Its own Access-Control fields are replaced.
type CORS struct {
	Origins     []string      // "https://app.example.com", or "*" alone; empty: not used
	Methods     []string      // beyond GET, HEAD and POST
	Headers     []string      // of the request, beyond the safelisted; "*" is any
	Expose      []string      // of the answer, for the page to read
	Credentials bool          // cookies and passwords are sent; not with "*"
	MaxAge      time.Duration // how long a browser may keep what a preflight said; 0: its default

	methods, headers, expose, maxAge string // made once
}

// Reasons for refusing a CORS.
var (
	errCORSCredentials = errors.New(`origins = ["*"] with credentials would let every site act as the user: name the origins`)
	errCORSStar        = errors.New(`"*" stands for every origin: no other beside it`)
)

// NewCORS checks c and makes its fields ready.
func NewCORS(c CORS) (*CORS, error) {
	if slices.Contains(c.Origins, "*") {
		if c.Credentials {
			return nil, errCORSCredentials
		}
		if len(c.Origins) > 1 {
			return nil, errCORSStar
		}
	}
	c.Origins = slices.Clone(c.Origins)
	for i, o := range c.Origins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != o) {
			return nil, errors.New("origin " + strconv.Quote(o) + `: want "https://host" or "https://host:port", without a path`)
		}
		c.Origins[i] = strings.ToLower(o) // browsers send it so (RFC 6454 §6)
	}
	c.methods = strings.Join(append([]string{"GET", "HEAD", "POST"}, c.Methods...), ", ")
	c.headers, c.expose = strings.Join(c.Headers, ", "), strings.Join(c.Expose, ", ")
	if c.MaxAge > 0 {
		c.maxAge = strconv.FormatInt(int64(c.MaxAge/time.Second), 10)
	}
	return &c, nil
}

func (c *CORS) used() bool { return c != nil && len(c.Origins) > 0 }

func (c *CORS) stage(next http.Handler) http.Handler {
	if !c.used() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := ExchangeOf(r)
		if origins := r.Header["Origin"]; len(origins) == 1 {
			x.origin = origins[0]
		}
		// Fetch, CORS-preflight fetch: OPTIONS with both fields, no credentials.
		if r.Method != http.MethodOptions || x.origin == "" || len(r.Header["Access-Control-Request-Method"]) != 1 {
			next.ServeHTTP(w, r)
			return
		}
		if h := w.Header(); c.admits(x.origin) {
			c.preflight(h, r)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (c *CORS) admits(origin string) bool {
	return origin != "" && (c.Origins[0] == "*" || slices.Contains(c.Origins, origin))
}

func (c *CORS) preflight(h http.Header, r *http.Request) {
	h["Access-Control-Allow-Methods"] = []string{c.methods}
	switch asked := strings.Join(r.Header["Access-Control-Request-Headers"], ", "); {
	case c.headers == "*" && asked != "":
		// With credentials "*" is no wildcard to a browser: say what was asked for.
		h["Access-Control-Allow-Headers"] = []string{asked}
		addVary(h, "Access-Control-Request-Headers")
	case c.headers != "" && c.headers != "*":
		h["Access-Control-Allow-Headers"] = []string{c.headers}
	}
	if c.maxAge != "" {
		h["Access-Control-Max-Age"] = []string{c.maxAge}
	}
}

// head says on every answer who may read it, so that a page can tell an error
// from a refusal.
func (c *CORS) head(x *Exchange, h http.Header, _ int) {
	delete(h, "Access-Control-Allow-Origin")
	delete(h, "Access-Control-Allow-Credentials")
	delete(h, "Access-Control-Expose-Headers")
	any := c.Origins[0] == "*"
	if !any {
		addVary(h, "Origin") // also where there was none: a cache must not give that answer to a page
	}
	if !c.admits(x.origin) {
		return
	}
	allow := x.origin
	if any {
		allow = "*"
	}
	h["Access-Control-Allow-Origin"] = []string{allow}
	if c.Credentials {
		h["Access-Control-Allow-Credentials"] = []string{"true"}
	}
	if c.expose != "" {
		h["Access-Control-Expose-Headers"] = []string{c.expose}
	}
}

// addVary names a request's field that an answer depends on (RFC 9110 §12.5.5).
func addVary(h http.Header, name string) {
	for _, item := range listItems(h["Vary"]) {
		if item == "*" || strings.EqualFold(item, name) {
			return
		}
	}
	h["Vary"] = append(slices.Clip(h["Vary"]), name)
}
