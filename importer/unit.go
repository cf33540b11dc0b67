package importer

import "strings"

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
	u := &unit{draft: newDraft("NGINX Unit"), root: root, apps: map[string]*unitApp{}, taken: map[string]bool{}}
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
	apps   map[string]*unitApp // by Unit's name, "NAME" or "NAME/TARGET"
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

func (u *unit) app(unitName, as string, v, target node) *unitApp {
	a := &unitApp{unit: u, app: u.section("app." + as), unitName: unitName}
	a.kind(v)
	for _, m := range append(append([]member{}, v.members...), target.members...) {
		a.option(m.name, m.value)
	}
	a.finish()
	return a
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
		"X-Forwarded-For and -Proto of trusted_proxies are believed; other names of headers are not")
}
