package importer

import (
	"regexp"
	"strings"
)

// Unit reads a configuration of NGINX Unit, the JSON that its control API
// gives for /config (or the whole of / with "config" in it).
func Unit(src []byte) (string, error) {
	root, err := readJSON(src)
	if err != nil {
		return "", err
	}
	if inner, ok := root.get("config"); ok && inner.object {
		root = inner
	}
	if !root.object {
		return "", &SyntaxError{Text: "not a configuration of Unit: an object is expected"}
	}
	u := &unit{draft: newDraft("NGINX Unit"), root: root, apps: map[string]*section{}, taken: map[string]bool{}}
	u.server = u.section("server")
	for _, m := range root.members {
		switch m.name {
		case "settings":
			u.settings(m.value, "settings")
		case "access_log":
			u.accessLog(m.value)
		case "listeners", "routes", "applications":
		default:
			u.remark("%s = %s: %s", m.name, shorten(m.value.source()), "no counterpart")
		}
	}
	if apps, ok := root.get("applications"); ok {
		for _, m := range apps.members {
			u.application(m.name, m.value)
		}
	}
	u.listeners()
	return u.String(), nil
}

type unit struct {
	*draft
	server *section
	root   node
	apps   map[string]*section // by Unit's name, "NAME" or "NAME/TARGET"
	taken  map[string]bool     // "HOST URI", and "URI" for every host
	depth  int
}

// settings are those of HTTP; everything else is named.
func (u *unit) settings(n node, path string) {
	for _, m := range n.members {
		at := path + "." + m.name
		switch {
		case at == "settings.http.header_read_timeout":
			u.seconds(u.server, "header_timeout", at, m.value)
		case at == "settings.http.idle_timeout":
			u.seconds(u.server, "idle_timeout", at, m.value)
		case at == "settings.http.max_body_size":
			if b, ok := number(m.value.text(), 0, 1<<50); ok {
				u.server.set("max_body", size(b))
				continue
			}
			u.server.none(at, m.value.source(), "not a number of bytes")
		case at == "settings.http.body_read_timeout", at == "settings.http.send_timeout":
			u.server.none(at, m.value.source(), "server.body_rate bounds a slow body; an answer that is not taken for long ends")
		case at == "settings.http.discard_unsafe_fields":
			u.server.none(at, m.value.source(), "names with _ never pose as names with -")
		case m.value.object && (at == "settings.http" || at == "settings.http.static"):
			u.settings(m.value, at)
		case at == "settings.http.static.mime_types":
			u.server.none(at, m.value.source(), "types are built in")
		default:
			u.server.none(at, m.value.source(), "no counterpart")
		}
	}
}

func (u *unit) seconds(s *section, to, name string, v node) {
	d, ok := seconds(v.text())
	if !ok {
		s.none(name, v.source(), "not a number of seconds")
		return
	}
	s.set(to, d)
}

func (u *unit) accessLog(v node) {
	log := u.section("log")
	log.none("access_log", v.source(), "requests and everything else go to one log, stderr or log.file, in a fixed form")
}

// application makes an [app.NAME] of each, and of each of its targets.
func (u *unit) application(unitName string, v node) {
	targets, ok := v.get("targets")
	if !ok {
		u.apps[unitName] = u.app(unitName, name(unitName), v, node{})
		return
	}
	for _, t := range targets.members {
		u.apps[unitName+"/"+t.name] = u.app(unitName, name(unitName+"_"+t.name), v, t.value)
	}
	if len(targets.members) > 1 {
		u.remark("application %s has %d targets: each is an application of its own here, with its own workers", unitName, len(targets.members))
	}
}

func (u *unit) app(unitName, as string, v, target node) *section {
	a := &unitApp{unit: u, app: u.section("app." + as), unitName: unitName}
	a.kind(v)
	for _, m := range append(append([]member{}, v.members...), target.members...) {
		a.option(m.name, m.value)
	}
	a.finish()
	return a.app
}

// A route's pieces.

// listeners follow each listener to what it passes to.
func (u *unit) listeners() {
	list, _ := u.root.get("listeners")
	var addresses []string
	for _, l := range list.members {
		scheme := ""
		for _, m := range l.value.members {
			switch m.name {
			case "pass":
			case "tls":
				scheme = "https://"
				u.section("server.tls").set("certificate", `"/etc/frontd/tls/fullchain.pem"`, "Unit kept "+shorten(m.value.source())+" in its store: name the files")
				u.section("server.tls").set("key", `"/etc/frontd/tls/privkey.pem"`)
			case "forwarded", "client_ip":
				u.forwarded(l.name, m)
			default:
				u.server.none("listeners."+l.name+"."+m.name, m.value.source(), "no counterpart")
			}
		}
		addresses = append(addresses, unitAddress(scheme, l.name))
	}
	if len(addresses) > 0 {
		u.server.set("listen", quoteList(addresses))
	}
	if len(list.members) > 1 {
		u.remark("every listener has the same routes here: where they passed to different places, choose by host")
	}
	passed := map[string]bool{}
	for _, l := range list.members {
		pass, _ := l.value.get("pass")
		if !passed[pass.text()] {
			passed[pass.text()] = true
			u.pass(unitMatch{}, pass.text())
		}
	}
}

func unitAddress(scheme, a string) string {
	switch {
	case strings.HasPrefix(a, "unix:"):
		return a
	case strings.HasPrefix(a, "*:"):
		return scheme + a[1:]
	}
	return scheme + a
}

func (u *unit) forwarded(listener string, m member) {
	source, _ := m.value.get("source")
	var list []string
	for _, s := range source.texts() {
		if strings.HasPrefix(s, "!") || s == "unix" || strings.Contains(s, "-") {
			continue // a negation or a range has no counterpart
		}
		list = append(list, s)
	}
	if len(list) > 0 {
		u.server.set("trusted_proxies", quoteList(list))
	}
	u.server.none("listeners."+listener+"."+m.name, m.value.source(),
		"X-Forwarded-For, -Proto and -Host of trusted_proxies are believed; other names of headers are not")
}

// unitMatch is what a route asks of a request: lists are alternatives.
type unitMatch struct{ hosts, uris []string }

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
		app, ok := u.apps[rest]
		if !ok {
			u.remark("pass = %s: there is no such application", shorten(to))
			return
		}
		u.write(m, func(r *section) { r.set("app", quote(strings.TrimPrefix(app.name, "app."))) })
	case kind == "routes":
		u.steps(m, rest, to)
	default:
		u.remark("pass = %s: no counterpart: an HTTP upstream is a proxy's work", shorten(to))
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
	for _, step := range routes.items {
		match, _ := step.get("match")
		narrowed, fits := u.narrow(m, match)
		action, has := step.get("action")
		if !fits || !has {
			u.remark("a route is left out: %s", shorten(step.source()))
			continue
		}
		u.action(narrowed, action)
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

// narrow adds what a step asks for; what cannot be asked here leaves it out.
func (u *unit) narrow(m unitMatch, match node) (unitMatch, bool) {
	if match.array { // alternatives of whole conditions
		if len(match.items) != 1 {
			return m, len(match.items) == 0
		}
		match = match.items[0]
	}
	for _, c := range match.members {
		list := c.value.texts()
		for _, p := range list {
			if strings.HasPrefix(p, "!") {
				return m, false
			}
		}
		switch {
		case c.name == "uri" && len(m.uris) == 0:
			m.uris = list
		case c.name == "host" && len(m.hosts) == 0:
			m.hosts = list
		default:
			return m, false
		}
	}
	return m, true
}

func (u *unit) action(m unitMatch, a node) {
	to, isPass := a.get("pass")
	share, isShare := a.get("share")
	switch {
	case isPass:
		u.pass(m, to.text())
	case isShare:
		u.share(m, a, share)
		return
	default:
		u.remark("an action is left out: %s", shorten(a.source()))
		return
	}
	for _, o := range a.members {
		if o.name != "pass" {
			u.remark("action.%s = %s: no counterpart", o.name, shorten(o.value.source()))
		}
	}
}

// share serves files: "/www$uri" is a folder; its fallback follows as a route of its own.
func (u *unit) share(m unitMatch, a, share node) {
	list := share.texts()
	folder, uri := "", false
	if len(list) > 0 {
		folder, uri = strings.CutSuffix(list[0], "$uri")
	}
	if !uri || strings.Contains(folder, "$") || len(list) > 1 {
		u.remark("action.share = %s: only one folder with $uri behind it has a counterpart, root", shorten(share.source()))
		return
	}
	fallback, has := a.get("fallback")
	whole := len(m.uris) == 0 || len(m.uris) == 1 && (m.uris[0] == "/*" || m.uris[0] == "*")
	if has && whole {
		u.remark("action.share = %s with a fallback: name the static part in a route of its own before this one", shorten(share.source()))
	} else {
		u.write(m, func(r *section) {
			prefix := ""
			if p := r.get("path"); strings.HasPrefix(p, `"/`) {
				prefix = strings.Trim(p, `"`)
			}
			// Unit keeps the whole path behind the folder; root has what follows the prefix.
			r.set("root", quote(strings.TrimRight(strings.TrimRight(folder, "/")+prefix, "/")+"/"))
		})
	}
	for _, o := range a.members {
		if o.name != "share" && o.name != "fallback" {
			u.remark("action.%s = %s: no counterpart", o.name, shorten(o.value.source()))
		}
	}
	if has {
		u.action(m, fallback)
	}
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
			if u.taken["/*"] || u.taken[h+" "+uri] {
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
			r.set("path", quote(unitPath(uri)))
			what(r)
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
