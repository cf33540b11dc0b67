package front

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/session"
)

// A Route says which requests it takes and what becomes of them.
type Route struct {
	// Host is "example.com", "*.example.com" (any depth of subdomain), or ""
	// for every host. Ports and case do not count.
	Host string
	// Path is "/static/" or "/static" (that segment and below), "= /exact",
	// "~ regexp" (RE2, unanchored), or "" and "/" for every path.
	Path string
	// MountPrefix is what the application is mounted at: SCRIPT_NAME of a
	// request, the rest being PATH_INFO. "" or "/name", no slash at the end.
	MountPrefix string

	// Internal routes take no request of a client, only what an application
	// sends on with X-Accel-Redirect.
	Internal bool
	// Sendfile are the folders whose files the application may name with
	// X-Sendfile.
	Sendfile []FileRoot
	// Sessions, if not nil, are those that the application's workers share.
	Sessions *session.Sessions
	// Authorizer, if not nil, is asked before the handler.
	Authorizer Authorizer

	// Stages that the route's requests pass on their way, in this order. The
	// zero value of each is not there at all. See stages.go.
	Sources     Sources
	Rate        *Rate
	CORS        *CORS
	Methods     Methods
	Auth        *BasicAuth
	Redirect    *Redirect
	Reply       *Reply
	Request     RequestFields
	Rewrite     *Rewrite
	Compression *Compression
	// Those that see to each answer's head.
	Cache    *Cache
	Response ResponseFields

	// Variables are what the application gets with each request besides the
	// request's own meta-variables.
	Variables []Variable

	App      string // for the record and the log, "" for files
	Settings Settings
	// Errors says which failures are incidents, and how they are kept; nil: by default.
	Errors  *incident.Policy
	Handler http.Handler // nil where Redirect or Reply answers
}

// router is the list of routes, compiled. The first that matches takes the
// request.
type router struct {
	rules    []rule
	internal bool // some rule is
}

type rule struct {
	route     *Route
	host      string // lower case; "" for every host
	subdomain bool   // host is a suffix that starts with a dot
	path      func(path string) bool

	chain http.Handler // the stages that the route uses
	heads []headStage
}

func newRouter(routes []Route) (*router, error) {
	rt := &router{rules: make([]rule, 0, len(routes))}
	var errs []error
	for i := range routes {
		ru, err := compileRoute(&routes[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("route %d: %w", i+1, err))
		}
		rt.rules = append(rt.rules, ru)
		rt.internal = rt.internal || routes[i].Internal
	}
	return rt, errors.Join(errs...)
}

func compileRoute(route *Route) (rule, error) {
	ru := rule{route: route, chain: route.compile(), heads: route.headStages()}
	if route.Handler == nil && route.Redirect == nil && route.Reply == nil {
		return ru, errors.New("no handler")
	}
	if !route.Rewrite.StaysIn(route.MountPrefix) {
		return ru, fmt.Errorf("rewrite to %q: must stay below the mount prefix %q", route.Rewrite.text, route.MountPrefix)
	}
	if p := route.MountPrefix; p != "" && (p[0] != '/' || strings.HasSuffix(p, "/")) {
		return ru, fmt.Errorf("mount prefix %q: must start with a slash and end without one", p)
	}
	if route.Host != "" {
		host, wild := strings.CutPrefix(route.Host, "*.")
		name, err := splitHost(host)
		if err != nil || !strings.EqualFold(name, strings.TrimSuffix(host, ".")) { // the rest was a port
			return ru, fmt.Errorf("host %q: must be a name, or *. and a name, without a port", route.Host)
		}
		ru.host, ru.subdomain = name, wild
		if wild {
			ru.host = "." + name
		}
	}
	var err error
	ru.path, err = compilePath(route.Path)
	return ru, err
}

func compilePath(pattern string) (func(string) bool, error) {
	switch {
	case pattern == "" || pattern == "/":
		return func(string) bool { return true }, nil
	case strings.HasPrefix(pattern, "= "):
		exact := strings.TrimSpace(pattern[2:])
		if clean, err := normalizePath(exact); err != nil || clean.decoded != exact {
			return nil, fmt.Errorf("path %q: no request has this path", pattern)
		}
		return func(path string) bool { return path == exact }, nil
	case strings.HasPrefix(pattern, "~ "):
		re, err := regexp.Compile(strings.TrimSpace(pattern[2:]))
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", pattern, err)
		}
		return re.MatchString, nil
	}
	if clean, err := normalizePath(pattern); err != nil || clean.decoded != pattern {
		return nil, fmt.Errorf("path %q: must be a path, \"= /path\" or \"~ regexp\"", pattern)
	}
	return func(path string) bool { return hasPathPrefix(path, pattern) }, nil
}

// hasPathPrefix says whether prefix ends at a segment's border in path:
// "/static" takes itself and all below it but not "/statics"; "/static/"
// takes only what is below.
func hasPathPrefix(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}

// ServeHTTP is the route stage: from here on the route's settings hold.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := ExchangeOf(r)
	ru := rt.match(x)
	if ru == nil {
		x.Route = nil
		Fail(w, r, NoRoute, "no route for host "+strconv.Quote(x.Host)+" and path "+strconv.Quote(x.routePath))
		return
	}
	// To routing an encoded slash is data; but the application gets it decoded, and
	// some merge slashes. What guards the route that has that path is not to be
	// gone around.
	if x.EncodedSlash && rt.first(x, mergeSlashes(x.Path)) != ru {
		x.Route = nil
		Fail(w, r, BadRequest, "an encoded slash that leads around a route: "+strconv.Quote(x.routePath))
		return
	}
	x.Route = ru.route
	x.App, x.Settings, x.router = x.Route.App, &x.Route.Settings, rt
	if x.accelerated {
		x.innerHeads = ru.heads
	} else {
		x.heads = ru.heads
	}
	ru.chain.ServeHTTP(w, r)
}

// match returns the rule that takes the request.
func (rt *router) match(x *Exchange) *rule { return rt.first(x, x.routePath) }

func (rt *router) first(x *Exchange, path string) *rule {
	for i := range rt.rules {
		ru := &rt.rules[i]
		if ru.route.Internal && !x.accelerated {
			continue
		}
		if ru.takes(x.hostName, path) {
			return ru
		}
	}
	return nil
}

// mergeSlashes makes one of several in a row.
func mergeSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

func (ru *rule) takes(host, path string) bool {
	switch {
	case ru.subdomain && !strings.HasSuffix(host, ru.host):
		return false
	case ru.host != "" && !ru.subdomain && host != ru.host:
		return false
	}
	return ru.path(path)
}
