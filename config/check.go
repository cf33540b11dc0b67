package config

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// check looks at what no setting shows alone: what is missing for another,
// and what contradicts another.
func (r *reader) check(c *Config) {
	r.checkListeners(&c.Server)
	r.checkMetrics(c)
	r.checkNotices(c)
	r.checkStages("server", &c.Server.Stages, c.Server.Set)
	for _, a := range c.Apps {
		r.checkApp(a)
		r.checkStages("app."+a.Name, &a.Stages, a.Set)
	}
	r.checkRoutes(c)
	r.checkSessions(c)
}

// checkListeners finds the same place listened at twice, and TLS by halves.
func (r *reader) checkListeners(s *Server) {
	pos := s.Set["listen"]
	seen := map[string]Address{}
	https := false
	for _, a := range s.Listen {
		https = https || a.Scheme == "https"
		place := a.Net + " " + a.Addr
		if other, ok := seen[place]; ok && !strings.HasSuffix(place, ":0") {
			r.failf(pos, "server.listen", "%q and %q are the same place", other, a)
		}
		seen[place] = a
		if a.Net == "unix" && a.Addr == s.Control {
			r.failf(pos, "server.listen", "%q is the control socket", a)
		}
	}
	if https && s.TLS == (TLS{}) && !r.broken {
		r.failf(pos, "server.listen", "an https:// listener needs [server.tls] with certificate and key")
	}
	if at, ok := s.Set["tls"]; ok && !https {
		r.warnf(at, "server.tls", "no listener is https://, so the certificate is not used")
	}
}

// checkMetrics holds the listener of the numbers to plain HTTP at a place of its own.
func (r *reader) checkMetrics(c *Config) {
	at, m := c.Metrics.Set["listen"], c.Metrics.Listen
	switch {
	case m.Scheme != "" && m.Scheme != "http":
		r.failf(at, "metrics.listen", "%q: numbers are told by plain HTTP only", m)
	case m.Net == "unix" && m.Addr == c.Server.Control:
		r.failf(at, "metrics.listen", "%q is the control socket", m)
	case slices.ContainsFunc(c.Server.Listen, func(a Address) bool {
		return m != Address{} && a.Net == m.Net && a.Addr == m.Addr && !strings.HasSuffix(a.Addr, ":0")
	}):
		r.failf(at, "metrics.listen", "%q is in server.listen, which serves applications", m)
	}
	if pos, ok := c.Metrics.Set["hosts"]; ok && m == (Address{}) {
		r.warnf(pos, "metrics.hosts", "metrics.listen is not set, so nobody calls it by any name")
	}
}

// notFor names the kinds of app that a setting means nothing to.
var notFor = map[string]string{
	"handlers":         "go wsgi php cgi exec fcgi demo",
	"limit_extensions": "go wsgi cgi folder exec demo",
	"fallback":         "go wsgi cgi exec demo",

	"python":        "go php cgi exec fcgi demo",
	"middleware":    "go php cgi exec fcgi demo",
	"preload":       "go php cgi folder exec fcgi demo",
	"threads":       "php cgi fcgi",
	"directory":     "demo folder",
	"env":           "fcgi",
	"target":        "demo",
	"surge":         "fcgi",
	"ready":         "fcgi folder",
	"ping":          "fcgi",
	"timeout.start": "fcgi",
	"timeout.stop":  "fcgi",

	"user": "fcgi", "group": "fcgi", "new_privileges": "fcgi", "umask": "fcgi", "nice": "fcgi", "output.file": "fcgi",
	"limits.open_files": "fcgi", "limits.memory": "fcgi", "limits.cpus": "fcgi", "limits.processes": "fcgi",
	"limits.file_size": "fcgi", "limits.core": "fcgi",
}

// canPreload is whether workers can be forked from a template here.
const canPreload = runtime.GOOS == "linux"

func (a *App) meaningless(key string) bool {
	return slices.Contains(strings.Fields(notFor[key]), string(a.Kind))
}

func (r *reader) checkApp(a *App) {
	path := "app." + a.Name
	if a.Kind == "" {
		return // reported as missing or as wrong
	}
	for _, k := range linesOf(appKeys, "") {
		if pos, ok := a.Set[k.name]; ok && a.meaningless(k.name) {
			r.failf(pos, path+"."+k.name, "means nothing to an app of kind %q", a.Kind)
		}
	}
	r.checkPool(a)
	if pos, ok := a.Set["fallback"]; ok && a.Kind == KindFCGI && !a.Set.Has("directory") {
		r.failf(pos, path+".fallback", "means nothing without directory: the files are the server's to find")
	}
	if pos, ok := a.Set["preload"]; ok && a.Preload && !canPreload {
		r.failf(pos, path+".preload", "works on Linux only: elsewhere no process becomes the parent of what a template forks")
	}
	if pos, ok := a.Set["new_privileges"]; ok && a.NewPrivileges && a.User == "" {
		r.failf(pos, path+".new_privileges", "means nothing without user: frontd takes nothing from its own user's workers")
	}
	if a.Kind == KindDemo {
		return
	}
	if !a.Set.Has("target") {
		if !r.broken {
			r.failf(a.Pos, path, "target is missing: kind %q wants %s", a.Kind, targetOf[a.Kind])
		}
		return
	}
	if a.Target == "" {
		return // reported as wrong
	}
	if err := r.resolveTarget(a); err != nil {
		r.failf(a.Set["target"], path+".target", "%v; kind %q wants %s", err, a.Kind, targetOf[a.Kind])
	}
}

// targetOf says what target is, by kind.
var targetOf = map[Kind]string{
	KindGo:     `the command, such as "./server -v"`,
	KindExec:   `the command, such as "perl app.pl"`,
	KindWSGI:   `MODULE or MODULE:CALLABLE, such as "blog.wsgi:application"`,
	KindPHP:    `the document root, such as "/srv/blog/public"`,
	KindFolder: `a folder, such as "/srv/site"`,
	KindCGI:    `a program or a folder of them, such as "/usr/lib/cgi-bin"`,
	KindFCGI:   `an address: "127.0.0.1:9000", "unix:/run/php/php-fpm.sock" or "unix:@name"`,
}

// resolveTarget checks the target by the app's kind and fills what it means.
func (r *reader) resolveTarget(a *App) error {
	switch a.Kind {
	case KindGo, KindExec:
		words, err := SplitCommand(a.Target)
		if err == nil && len(words) == 0 {
			err = fmt.Errorf("no command in %q", a.Target)
		}
		a.Command = words
		return err
	case KindWSGI:
		if !isWSGITarget(a.Target) {
			return fmt.Errorf("%q does not name a module", a.Target)
		}
	case KindPHP, KindCGI, KindFolder:
		dir := reader{dir: a.Directory}
		a.Target = dir.absolute(a.Target)
	case KindFCGI:
		address, err := ParseAddress(a.Target)
		if err != nil {
			return err
		}
		if address.Net == "systemd" || address.Scheme != "" && address.Scheme != "fcgi" {
			return fmt.Errorf("%q is not where a FastCGI server can be", a.Target)
		}
		a.Address = address
	}
	return nil
}

// isWSGITarget accepts MODULE[:CALLABLE], either dotted; CALLABLE may end in "()".
func isWSGITarget(s string) bool {
	module, callable, has := strings.Cut(s, ":")
	if !isDotted(module) {
		return false
	}
	return !has || isDotted(strings.TrimSuffix(callable, "()"))
}

// isDotted reports whether s is names with dots between. Python allows more
// letters than ASCII's in a name, so only what cannot be one is refused.
func isDotted(s string) bool {
	for name := range strings.SplitSeq(s, ".") {
		if name == "" || strings.ContainsAny(name, " \t\r\n/\\:()'\"") {
			return false
		}
	}
	return true
}

// checkRoutes finds routes that lead nowhere or that nothing can reach.
func (r *reader) checkRoutes(c *Config) {
	used := map[string]bool{}
	for i, route := range c.Routes {
		used[route.App] = true
		r.checkDoor(c, route)
		r.checkMount(c, route)
		r.checkRoles(c, route)
		r.checkStages("route", &route.Stages, route.Set)
		r.checkAnswers(route)
		used[route.Authorizer] = true
		for _, before := range c.Routes[:i] {
			if !r.misread(before, "path", "host") && !r.misread(route, "path", "host") && before.covers(route) {
				r.failf(route.Pos, "route", "never reached: the route at line %d takes %s", before.Pos.Line, before.describe())
				break
			}
		}
	}
	if len(c.Routes) == 0 && len(c.Apps) == 1 && !r.broken {
		c.Routes = []*Route{{Set: Set{}, Pos: c.Apps[0].Pos, Path: Path{Text: "/"}, App: c.Apps[0].Name}}
		return
	}
	if len(c.Routes) == 0 && len(c.Apps) == 0 && !r.broken {
		r.warnf(Pos{Line: 1, Column: 1}, "", "no app and no route: every request is answered 404") // a file cut off, perhaps
	}
	for _, a := range c.Apps {
		switch {
		case used[a.Name] || r.broken:
		case len(c.Routes) == 0:
			r.failf(a.Pos, "app."+a.Name, "one of %d apps and no [[route]] says which serves what", len(c.Apps))
		default:
			r.warnf(a.Pos, "app."+a.Name, "no route leads to it")
		}
	}
}

// misread reports whether one of the route's keys was wrong: what it says is
// not known then, and nothing more is to be said of it.
func (r *reader) misread(route *Route, keys ...string) bool {
	for _, k := range keys {
		pos, set := route.Set[k]
		if set && slices.ContainsFunc(r.errs, func(e Error) bool { return e.Key == "route."+k && (e.Pos == pos || e.Pos.Line == pos.Line) }) {
			return true
		}
	}
	return false
}

// checkDoor sees that a route leads somewhere.
func (r *reader) checkDoor(c *Config, route *Route) {
	app, hasApp := route.Set["app"]
	hasRoot := route.Set.Has("root")
	switch {
	case !hasApp && !hasRoot && !r.broken && !route.answers():
		r.failf(route.Pos, "route", "app or root is missing: which app serves, or the files of which folder (or redirect or return, which need neither)")
	case hasApp && route.App != "" && c.App(route.App) == nil && !r.broken:
		var names []string
		for _, a := range c.Apps {
			names = append(names, a.Name)
		}
		known := "there is none"
		if len(names) > 0 {
			known = "there is " + quoteList(names)
		}
		r.failf(app, "route.app", "no app %q%s; %s", route.App, didYouMean(route.App, names), known)
	}
	if hasRoot && !hasApp {
		for _, k := range []string{"timeout", "queue"} {
			if pos, ok := route.Set[k]; ok {
				r.failf(pos, "route."+k, "means nothing to a route with root: no worker serves it")
			}
		}
	}
}

// checkRoles holds a route's other settings to what they can mean.
func (r *reader) checkRoles(c *Config, route *Route) {
	if pos, ok := route.Set["internal"]; ok && route.Internal && (route.Root == "" || route.App != "") {
		r.failf(pos, "route.internal", "only a route with root, and without app, can be internal")
	}
	if pos, ok := route.Set["sendfile"]; ok && route.Root != "" && route.App == "" {
		r.failf(pos, "route.sendfile", "means nothing to a route with root: it sends files already")
	}
	if pos, ok := route.Set["fallback"]; ok && !r.broken {
		switch a := c.App(route.App); {
		case route.Root != "" && a != nil && route.Fallback != "":
			r.failf(pos, "route.fallback", "the app is never reached: %q takes every path that has no file", route.Fallback)
		case route.Root == "" && (a == nil || a.meaningless("fallback")):
			r.failf(pos, "route.fallback", "only a route with root, or whose app is a folder, has files")
		}
	}
	if pos, ok := route.Set["handlers"]; ok && !r.broken {
		if a := c.App(route.App); a == nil || a.Kind != KindFolder {
			r.failf(pos, "route.handlers", "means nothing to a route whose app is not of kind folder")
		}
	}
	if pos, ok := route.Set["authorizer"]; ok && !r.broken {
		switch a := c.App(route.Authorizer); {
		case a == nil:
			r.failf(pos, "route.authorizer", "no app %q", route.Authorizer)
		case a.Kind != KindGo && a.Kind != KindExec && a.Kind != KindFCGI:
			r.failf(pos, "route.authorizer", "app %q is of kind %s, which has no Authorizer role; want go, exec or fcgi", a.Name, a.Kind)
		}
	}
}

// checkMount settles where an app hangs. Files are looked for below the
// prefix; every other kind sees the whole path unless told otherwise, so that
// two routes to it, with limits of their own, lead to the same application.
func (r *reader) checkMount(c *Config, route *Route) {
	pos, set := route.Set["mount"]
	app := c.App(route.App)
	switch {
	case set && app == nil && route.Root != "":
		r.failf(pos, "route.mount", "means nothing to a route with root: the prefix is never part of a file's path")
	case set && route.Path.Match != MatchRegexp && !underPrefix(route.Path.Text, route.Mount):
		r.failf(pos, "route.mount", "%q is not the beginning of the route's path %q", route.Mount+"/", route.Path)
	case set && route.Path.Match == MatchRegexp && route.Mount != "":
		r.failf(pos, "route.mount", "an expression may match paths that do not begin with %q", route.Mount+"/")
	case !set && app != nil && route.Path.Match == MatchPrefix && (app.Kind == KindPHP || app.Kind == KindCGI || app.Kind == KindFolder):
		route.Mount = strings.TrimRight(route.Path.Text, "/")
	}
}

// covers reports whether every request that later matches is r's already.
// Of expressions it knows only equality.
func (r *Route) covers(later *Route) bool {
	if r.Host != "" && r.Host != later.Host && !r.coversHost(later.Host) {
		return false
	}
	switch r.Path.Match {
	case MatchPrefix:
		return later.Path.Match != MatchRegexp && underPrefix(later.Path.Text, r.Path.Text) || r.Path.Text == "/"
	default:
		return r.Path.Match == later.Path.Match && r.Path.Text == later.Path.Text
	}
}

// coversHost reports whether r's "*.example.com" holds the other pattern.
func (r *Route) coversHost(host string) bool {
	suffix, wild := strings.CutPrefix(r.Host, "*")
	return wild && strings.HasSuffix(host, suffix) && host != r.Host
}

// underPrefix reports whether prefix, up to a segment border, holds path.
func underPrefix(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || strings.HasSuffix(prefix, "/") || rest[0] == '/')
}

func (r *Route) describe() string {
	if r.Host == "" {
		return fmt.Sprintf("every %q", r.Path)
	}
	return fmt.Sprintf("every %q of %s", r.Path, r.Host)
}
