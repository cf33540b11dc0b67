package importer

import (
	"path"
	"slices"
	"strings"
)

// action writes what becomes of a route's requests.
func (u *unit) action(m unitMatch, a node) {
	if w, ok := a.get("rewrite"); ok {
		to, ok := unitText(w.text(), nil)
		if !ok || !strings.HasPrefix(to, "/") {
			u.close(m, 501, "the rewrite is made of the request: "+shorten(a.source()))
			return
		}
		m.rewrite = to
	}
	if h, ok := a.get("response_headers"); ok {
		m.fields = u.headers(h)
	}
	to, isPass := a.get("pass")
	share, isShare := a.get("share")
	status, isReturn := a.get("return")
	switch {
	case isPass:
		u.rest(a, "pass")
		u.pass(m, to.text())
	case isShare:
		u.share(m, a, share)
	case isReturn:
		u.rest(a, "return", "location")
		u.answer(m, a, status)
	default:
		u.close(m, 501, "an action that is not known: "+shorten(a.source()))
	}
}

// close refuses the requests of an action that has no counterpart: passed over,
// it would leave them to the routes behind it, which may show what it kept.
func (u *unit) close(m unitMatch, status int64, why string) {
	m.rewrite, m.fields = "", nil
	u.write(m, func(r *section) {
		r.remark("%s", why)
		r.set("return", "{ status = "+itoa(status)+" }")
	})
}

// unitDenies says whether an action keeps its requests away.
func unitDenies(a node) bool {
	status, _ := a.get("return")
	_, leads := a.get("location")
	code, ok := number(status.text(), 400, 599)
	return ok && code > 0 && !leads || unitNowhere(a)
}

// unitNowhere knows a folder that has no files.
func unitNowhere(a node) bool {
	share, _ := a.get("share")
	return strings.HasPrefix(strings.Join(share.texts(), ""), "/dev/null")
}

// rest names the options of an action that were not taken.
func (u *unit) rest(a node, taken ...string) {
	for _, o := range a.members {
		if why, ok := unitActionNone[o.name]; ok {
			u.remark("action.%s = %s: %s", o.name, shorten(o.value.source()), why)
		} else if !slices.Contains(taken, o.name) && o.name != "rewrite" && o.name != "response_headers" {
			u.remark("action.%s = %s: no counterpart", o.name, shorten(o.value.source()))
		}
	}
}

var unitActionNone = map[string]string{
	"follow_symlinks": "links are followed within the folder, and never out of it",
	"traverse_mounts": "what is mounted in the folder is a part of it",
	"chroot":          "links never lead out of the folder",
}

// unitText is a text of Unit with the variables that have another name here,
// and whether there is no other in it.
func unitText(s string, names map[string]string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz_"))]
		s = rest[len(name):]
		if inner, ok := strings.CutPrefix(rest, "{"); ok {
			name, s, ok = strings.Cut(inner, "}")
			if !ok {
				return "", false
			}
		}
		if name == "dollar" {
			b.WriteString("%24")
			continue
		}
		here, ok := names[name]
		if !ok {
			return "", false
		}
		b.WriteString(here)
	}
}

// headers are header fields of an answer: a text sets one, null takes it out.
func (u *unit) headers(h node) []entry {
	var set, remove []string
	for _, f := range h.members {
		value := f.value.text()
		switch {
		case f.value.scalar == nil && !f.value.object && !f.value.array:
			remove = append(remove, f.name)
		case strings.Contains(value, "$") || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }) || !unitField(f.name):
			u.remark("action.response_headers.%s = %s: made of the request: no counterpart", f.name, shorten(value))
		default:
			set = append(set, quoteRaw(f.name)+" = "+quote(value))
		}
	}
	var list []entry
	if set != nil {
		list = append(list, entry{key: "headers.set", value: "{ " + strings.Join(set, ", ") + " }"})
	}
	if remove != nil {
		list = append(list, entry{key: "headers.remove", value: quoteList(remove)})
	}
	return list
}

func unitField(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// answer is "return", with "location" a redirect.
func (u *unit) answer(m unitMatch, a, status node) {
	code, ok := number(status.text(), 200, 599)
	location, has := a.get("location")
	to, known := unitText(location.text(), map[string]string{"host": "$host", "uri": "$path", "request_uri": "$uri"})
	m.rewrite = "" // nobody sees it
	switch {
	case !ok:
		u.close(m, 501, "action.return = "+shorten(status.source())+": not a status that can be given here")
	case has && slices.Contains([]int64{301, 302, 303, 307, 308}, code) && known && unitLeadsTo(to):
		u.write(m, func(r *section) {
			r.set("redirect", "{ to = "+quoteTarget(to)+", status = "+itoa(code)+" }", "the query goes along")
		})
	case has:
		u.close(m, 501, "a redirect made of the request: "+shorten(a.source()))
	default:
		u.write(m, func(r *section) { r.set("return", "{ status = "+itoa(code)+" }") })
	}
}

// unitLeadsTo says whether a redirect may lead there: to a site that the
// configuration names, or the one that was asked.
func unitLeadsTo(to string) bool {
	if strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return false
	}
	if strings.HasPrefix(to, "$path") || strings.HasPrefix(to, "$uri") || strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
		return true
	}
	scheme, rest, ok := strings.Cut(to, "://")
	host := rest[:min(len(rest), indexAny(rest, "/", "?", "#", "$path", "$uri"))]
	host = strings.ReplaceAll(host, "$host", "host")
	return ok && (scheme == "http" || scheme == "https") && host != "" && !strings.ContainsAny(host, "$@")
}

func indexAny(s string, borders ...string) int {
	end := len(s)
	for _, b := range borders {
		if i := strings.Index(s, b); i >= 0 {
			end = min(end, i)
		}
	}
	return end
}

// quoteTarget is a TOML string in which "$host" is the redirect's.
func quoteTarget(s string) string {
	if strings.Contains(s, "${") || strings.Contains(s, "$$") {
		return quote(s)
	}
	return quoteRaw(s)
}

// share serves files: "/www$uri" is a folder, a path without a variable one
// file for all. Its fallback is a file, an application or a status.
func (u *unit) share(m unitMatch, a, share node) {
	list := share.texts()
	fallback, _ := a.get("fallback")
	types, limited := a.get("types")
	at := ""
	if len(list) > 0 {
		at = list[0]
	}
	folder, isFolder := strings.CutSuffix(at, "$uri")
	isFolder = isFolder && !strings.Contains(folder, "$")
	isFile := at != "" && !strings.Contains(at, "$")
	if isFile && (strings.HasSuffix(at, "/") || path.Ext(at) == "") { // before Unit 1.26 a folder had no $uri
		isFile, isFolder = false, true
	}
	u.rest(a, "share", "fallback", "index", "types")
	app, why := u.shared(folder, fallback), ""
	switch {
	case unitNowhere(a):
		m.rewrite = ""
		u.write(m, func(r *section) { r.set("return", "{ status = 404 }", "share = "+at) })
		return
	case app != nil && isFolder && len(list) == 1:
		// frontd sends the files of a PHP application's folder itself, and never their source.
		if limited {
			u.remark("action.types = %s: PHP's sources are never sent, everything else is", shorten(types.source()))
		}
		u.write(m, app.folderRoute)
		return
	case len(list) != 1 || !isFolder && !isFile:
		why = "action.share = " + shorten(share.source()) + ": only one folder with $uri behind it, or one file, has a counterpart, root"
	case limited:
		why = "action.share = " + shorten(share.source()) + ": with types = " + shorten(types.source()) + " it is left out, for a root sends every file"
	case isFile:
		m.rewrite = "/" + path.Base(at)
		u.write(m, func(r *section) { r.set("root", quote(path.Dir(at)+"/")) })
		return
	case u.files(m, a, folder, fallback):
		return
	default:
		why = "action.share with fallback = " + shorten(fallback.source()) + ": the files are left out: name them in a route of their own before this one"
	}
	if !fallback.object {
		u.close(m, 404, why)
		return
	}
	u.remark("%s", why)
	u.action(m, fallback) // without its files
}

// shared is the PHP application of a fallback whose folder is the one shared.
func (u *unit) shared(folder string, fallback node) *unitApp {
	to, _ := fallback.get("pass")
	name, ok := strings.CutPrefix(to.text(), "applications/")
	a := u.apps[name]
	if !ok || a == nil || a.lang != "php" || folder == "" || path.Clean(a.rootDir) != path.Clean(folder) {
		return nil
	}
	return a
}

// files writes a folder's route with its fallback, and reports whether the two
// go together.
func (u *unit) files(m unitMatch, a node, folder string, fallback node) bool {
	set, ok := u.fallback(folder, fallback)
	if !ok {
		return false
	}
	u.write(m, func(r *section) {
		prefix := ""
		if p := r.get("path"); strings.HasPrefix(p, `"/`) {
			prefix = strings.Trim(p, `"`)
		}
		// Unit keeps the whole path behind the folder; root has what follows the prefix.
		root := strings.TrimRight(strings.TrimRight(folder, "/")+prefix, "/") + "/"
		r.set("root", quote(root))
		if index, ok := a.get("index"); ok && index.text() != "" && !strings.Contains(index.text(), "/") {
			r.set("index", quoteList([]string{index.text()}))
		}
		if set != nil {
			set(r, root)
		}
	})
	return true
}

// fallback is what a route with root gets for it: a file below the root, or an
// application that its files come before.
func (u *unit) fallback(folder string, f node) (set func(r *section, root string), ok bool) {
	if !f.object {
		return nil, true
	}
	to, isPass := f.get("pass")
	share, isShare := f.get("share")
	status, isReturn := f.get("return")
	if len(f.members) != 1 {
		return nil, false
	}
	switch {
	case isReturn:
		return nil, status.text() == "404"
	case isPass:
		name, isApp := strings.CutPrefix(to.text(), "applications/")
		a := u.apps[name]
		// A script that takes every path leaves none to the files.
		return func(r *section, _ string) { a.route(r) }, isApp && a != nil && (a.lang != "php" || a.script == "")
	case isShare:
		file := share.text()
		if strings.Contains(file, "$") || !strings.HasPrefix(file, strings.TrimRight(folder, "/")+"/") || strings.HasSuffix(file, "/") {
			return nil, false
		}
		return func(r *section, root string) {
			if below, ok := strings.CutPrefix(file, root); ok {
				r.set("fallback", quote("/"+below))
				return
			}
			r.none("fallback", file, "not below root")
		}, true
	}
	return nil, false
}
