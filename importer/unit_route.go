package importer

import (
	"regexp"
	"slices"
	"strings"
)

// unitMatch is what a route asks of a request: lists are alternatives.
type unitMatch struct {
	hosts, uris []string
	// rewrite is the path that an action has put in the place of the request's:
	// what comes later goes by it. "": none.
	rewrite string
	// fields are "headers" of the routes that are written.
	fields []entry
	guard  unitGuard
}

// maxRouteDepth bounds routes that pass to routes.
const maxRouteDepth = 8

// pass writes the routes that "pass" leads to.
func (u *unit) pass(m unitMatch, to string) {
	u.depth++
	defer func() { u.depth-- }()
	kind, rest, _ := strings.Cut(to, "/")
	switch {
	case u.depth > maxRouteDepth:
		u.remark("routes pass to each other too deep: %s", shorten(to))
	case kind == "applications":
		a, ok := u.apps[rest]
		if !ok {
			u.remark("pass = %s: there is no such application", shorten(to))
			return
		}
		u.write(m, a.route)
	case kind == "routes":
		u.steps(m, rest, to)
	default:
		u.close(m, 501, "pass = "+shorten(to)+": an HTTP upstream is a proxy's work")
	}
}

func (u *unit) steps(m unitMatch, routeName, to string) {
	routes, ok := u.root.get("routes")
	if ok && routeName != "" {
		routes, ok = memberOf(routes, routeName)
	}
	if !ok || !routes.array {
		u.remark("pass = %s: there are no such routes", shorten(to))
		return
	}
	for i, step := range routes.items {
		match, _ := step.get("match")
		action, has := step.get("action")
		denies := unitDenies(action)
		if denies && u.guard(&m, match, step) {
			continue
		}
		asked, match := m, u.unguarded(match, action)
		if !denies && i == len(routes.items)-1 {
			asked, match = u.last(m, match)
		}
		narrowed, fits := u.narrow(asked, match, denies)
		switch {
		case fits == fitsNever:
		case fits == fitsUnknown && denies:
			u.remark("A DENIAL IS LEFT OUT, and what it kept away can be reached: %s", shorten(step.source()))
		case fits == fitsUnknown || !has:
			u.remark("a route is left out: %s", shorten(step.source()))
		default:
			u.action(narrowed, action)
		}
		if fits == fitsAll {
			return // no request comes to what follows
		}
	}
}

// memberOf finds a name that may have a "/" in it.
func memberOf(n node, name string) (node, bool) {
	for _, m := range n.members {
		if m.name == name {
			return m.value, true
		}
	}
	return node{}, false
}

// unguarded drops "not the script itself" from what a step asks for that shares a
// PHP application's own folder: it kept its source from being sent.
func (u *unit) unguarded(match, action node) node {
	share, _ := action.get("share")
	fallback, _ := action.get("fallback")
	uri, _ := match.get("uri")
	list := share.texts()
	negative := func(p string) bool { return strings.HasPrefix(p, "!") && strings.HasSuffix(p, ".php") }
	if len(match.members) != 1 || len(list) != 1 || len(uri.texts()) == 0 || !all(uri.texts(), negative) {
		return match
	}
	if folder, ok := strings.CutSuffix(list[0], "$uri"); !ok || u.shared(folder, fallback) == nil {
		return match
	}
	u.remark("match.uri = %s: not needed: PHP's sources are never sent", shorten(uri.source()))
	return node{}
}

func all(list []string, f func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !f(s) })
}

// fit says which of the requests that have come so far a step takes.
type fit uint8

const (
	fitsUnknown fit = iota // its conditions have no counterpart
	fitsNever              // none: a path that was rewritten is another
	fitsSome
	fitsAll
)

// narrow adds what a step asks for; what cannot be asked here leaves it out. A
// denial is not left out for that: it rather denies more.
func (u *unit) narrow(m unitMatch, match node, denies bool) (unitMatch, fit) {
	if match.array { // alternatives of whole conditions
		if len(match.items) != 1 {
			return m, map[bool]fit{true: fitsAll, false: fitsUnknown}[len(match.items) == 0]
		}
		match = match.items[0]
	}
	fits, wider := fitsAll, false
	for _, c := range match.members {
		list := slices.DeleteFunc(c.value.texts(), func(p string) bool { return strings.HasPrefix(p, "!") })
		if len(list) < len(c.value.texts()) {
			if !denies {
				return m, fitsUnknown
			}
			wider = true
		}
		switch {
		case len(list) == 0:
			wider = true
		case c.name == "uri" && m.rewrite != "":
			taken, known := unitTakes(list, m.rewrite)
			if !known {
				return m, fitsUnknown
			}
			if !taken {
				return m, fitsNever
			}
		case c.name == "uri" && len(m.uris) == 0:
			m.uris, fits = list, fitsSome
		case c.name == "host" && len(m.hosts) == 0:
			m.hosts, fits = list, fitsSome
		case denies:
			wider = true
		default:
			return m, fitsUnknown
		}
	}
	if wider {
		if fits == fitsAll {
			return m, fitsUnknown // it would deny everything
		}
		u.remark("a denial has lost a condition, and denies more: %s", shorten(match.source()))
	}
	return m, fits
}

// unitTakes says whether one of these patterns takes a path, and whether that
// can be known: Unit's expressions are PCRE.
func unitTakes(patterns []string, path string) (taken, known bool) {
	for _, p := range patterns {
		expression, ok := strings.CutPrefix(unitPath(p), "~ ")
		if !ok {
			expression = "^" + regexp.QuoteMeta(strings.TrimPrefix(unitPath(p), "= "))
			if !strings.HasSuffix(p, "*") {
				expression += "$"
			}
		}
		re, err := regexp.Compile(expression)
		if err != nil {
			return false, false
		}
		if re.MatchString(path) {
			return true, true
		}
	}
	return false, true
}

// write makes a [[route]] for each pair of alternatives.
func (u *unit) write(m unitMatch, what func(*section)) {
	hosts, uris := m.hosts, m.uris
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	if len(uris) == 0 {
		uris = []string{"/*"}
	}
	for _, h := range hosts {
		for _, uri := range uris {
			if u.taken["/*"] || u.taken[uri] || u.taken[h+" "+uri] {
				u.remark("a route for %s%s is left out: an earlier one takes its requests", h, uri)
				continue
			}
			if h == "" {
				u.taken[uri] = true
			}
			u.taken[h+" "+uri] = true
			r := u.route()
			if h != "" {
				if !unitHost.MatchString(h) {
					r.none("match.host", h, "write a host, or *.DOMAIN")
				} else {
					r.set("host", quote(strings.ToLower(h)))
				}
			}
			path := unitPath(uri)
			if m.rewrite != "" && strings.HasPrefix(path, "/") && path != "/" {
				path = "~ ^" + regexp.QuoteMeta(path) // a prefix would be cut off the other path
			}
			r.set("path", quote(path))
			what(r)
			if m.rewrite != "" && !r.has("rewrite") {
				r.set("rewrite", `{ from = "^", to = `+quote(m.rewrite)+` }`)
			}
			for _, f := range m.fields {
				r.set(f.key, f.value)
			}
			m.guard.write(r)
		}
	}
}

var unitHost = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// unitPath is a pattern of Unit as a route's: a prefix, a whole path or a regexp.
func unitPath(uri string) string {
	prefix, star := strings.CutSuffix(uri, "*")
	switch {
	case strings.HasPrefix(uri, "~"):
		return "~ " + uri[1:]
	case uri == "*":
		return "/"
	case star && !strings.Contains(prefix, "*") && strings.HasPrefix(prefix, "/") && strings.HasSuffix(prefix, "/"):
		return prefix
	case !strings.Contains(uri, "*") && strings.HasPrefix(uri, "/"):
		return "= " + uri
	}
	parts := strings.Split(uri, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return "~ ^" + strings.Join(parts, ".*") + "$"
}
