package front

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// An Explanation says what becomes of a request, as far as the configuration
// alone decides it.
type Explanation struct {
	Why   []string // for each route up to the one taken: why it is, or is not
	Taken int      // its index; -1: none
	// Where the route itself answers: its method, redirect or reply. 0: its
	// handler does, and gets Path and Query.
	Status      int
	Location    string
	Path, Query string
}

// Explain asks the routes as a request would, but for the client's address,
// rates, passwords and the handler.
func Explain(routes []Route, method string, u *url.URL) (Explanation, error) {
	e := Explanation{Taken: -1}
	r := &http.Request{Method: method, URL: &url.URL{Path: u.Path, RawQuery: u.RawQuery}, Host: u.Host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	x := &Exchange{Settings: &defaultSettings, Host: u.Host, Scheme: u.Scheme}
	flight := newFlight(nil, r, &defaultSettings)
	defer flight.land()
	flight.Exchange = *x
	x, r = &flight.Exchange, flight.request
	if u.Host != "" {
		name, err := splitHost(u.Host)
		if err != nil {
			return e, fmt.Errorf("%w: %q", err, u.Host)
		}
		x.hostName = name
	}
	target := u.EscapedPath()
	if target == "" {
		target = "/"
	}
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	if err := setTarget(r, x, target); err != nil {
		return e, err
	}
	for i := range routes {
		why, err := routes[i].whyNot(x)
		if err != nil {
			return e, err
		}
		if why == "" {
			if err := routes[i].goneAround(routes, x); err != nil {
				return e, err
			}
			e.Why, e.Taken = append(e.Why, "taken"), i
			e.run(&routes[i], r, x)
			return e, nil
		}
		e.Why = append(e.Why, why)
	}
	return e, nil
}

// goneAround is the error where the router refuses what it would take: see there.
func (rt *Route) goneAround(routes []Route, x *Exchange) error {
	if !x.EncodedSlash {
		return nil
	}
	decoded := *x
	decoded.routePath = mergeSlashes(x.Path)
	for i := range routes {
		if why, err := routes[i].whyNot(&decoded); why != "" || err != nil {
			continue // an error was told, or is when its turn comes
		}
		if &routes[i] == rt {
			return nil
		}
		return fmt.Errorf("refused with %d: an encoded slash that leads around the route for %s", BadRequest.Status(), pathText(routes[i].Path))
	}
	return fmt.Errorf("refused with %d: an encoded slash that leads around the routes", BadRequest.Status())
}

// whyNot says why a route does not take a request; "" is that it does.
func (rt *Route) whyNot(x *Exchange) (string, error) {
	bare := Route{Host: rt.Host, Path: rt.Path, Handler: http.HandlerFunc(nothing)}
	ru, err := compileRoute(&bare)
	switch {
	case err != nil:
		return "", err
	case rt.Internal:
		return "internal: only an application leads there", nil
	case !ru.takes(x.hostName, x.routePath) && ru.path(x.routePath):
		return fmt.Sprintf("host %q is not %s", x.hostName, rt.Host), nil
	case !ru.takes(x.hostName, x.routePath):
		return fmt.Sprintf("path %q is not %s", x.routePath, pathText(rt.Path)), nil
	}
	return "", nil
}

func pathText(pattern string) string {
	switch {
	case strings.HasPrefix(pattern, "= "):
		return pattern[2:]
	case strings.HasPrefix(pattern, "~ "):
		return "matched by " + pattern[2:]
	}
	return "below " + pattern
}

// run passes the request through those stages that need no client.
func (e *Explanation) run(rt *Route, r *http.Request, x *Exchange) {
	x.Route = rt
	w := &explaining{h: http.Header{}}
	var h http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		e.Path, e.Query = x.Path, r.URL.RawQuery
	})
	if rt.Handler == nil && (rt.Redirect != nil || rt.Reply != nil) {
		h = http.HandlerFunc(nothing)
	}
	h = rt.Rewrite.stage(h)
	h = rt.Reply.stage(h)
	h = rt.Redirect.stage(h)
	h = rt.Methods.stage(h)
	h.ServeHTTP(w, r)
	e.Status, e.Location = w.status, w.h.Get("Location")
}

// An explaining writer keeps the head alone.
type explaining struct {
	h      http.Header
	status int
}

func (w *explaining) Header() http.Header         { return w.h }
func (w *explaining) WriteHeader(status int)      { w.status = status }
func (w *explaining) Write(p []byte) (int, error) { return len(p), nil }
