package importer

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// UWSGI reads an ini file of uWSGI, its [uwsgi] section. file is its path, for
// the placeholders that stand for parts of it.
func UWSGI(file string, src []byte) (string, error) {
	if t := strings.TrimSpace(string(src[:min(len(src), 64)])); strings.HasPrefix(t, "<") || strings.HasPrefix(t, "{") || strings.HasPrefix(t, "---") {
		return "", &SyntaxError{Text: "this is not uWSGI's ini form (XML, JSON and YAML are not read): uwsgi --ini shows the same options"}
	}
	list, err := readINI(src, false)
	if err != nil {
		return "", err
	}
	u := &uwsgi{draft: newDraft("uWSGI"), file: file, vars: map[string]string{}, used: placeholders(src)}
	u.server, u.app = u.section("server"), u.section("app."+name(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))))
	for _, s := range list {
		if s.section != "uwsgi" {
			u.remark("[%s] %s = %s: only the section [uwsgi] is read", s.section, s.key, shorten(s.value))
			continue
		}
		option := strings.ReplaceAll(strings.TrimLeft(s.key, "-"), "_", "-")
		value, ok := u.expand(bareWord(s.value))
		if s.value == "%k" && slices.Contains([]string{"processes", "workers", "p"}, option) {
			u.cores = true
			u.app.none(s.key, s.value, "not needed: without workers there are as many as CPUs")
			continue
		}
		if !ok {
			u.app.none(s.key, s.value, cmp.Or(uwsgiNone[option], "a placeholder in it is not known here: fill it in"))
			continue
		}
		u.vars[s.key] = value
		u.option(option, value)
	}
	u.finish()
	return u.String(), nil
}

// uwsgi is what was met so far.
type uwsgi struct {
	*draft
	file        string
	vars        map[string]string
	used        map[string]bool // placeholders that stand anywhere
	server, app *section

	listen   []string
	env      environment
	paths    []string // PYTHONPATH
	module   string
	callable string
	wsgiFile string
	uid, gid string

	workers, cheaper string
	cores            bool // as many workers as cores
	initial, idle    string
	mounts           [][2]string
	mounted          bool // the first of them is the application
	index            []string
	checked          string // a folder whose files come before the application
	statics          [][2]string
	path             string // of the application's URLs, "" for all
	docroot, phpApp  string // of PHP: the folder, and the front controller
}

// withComment is a number or a switch with a comment behind it. uWSGI knows no such
// comments, but reads a number as far as it is one, and takes what is not a no for a
// yes: many files have them.
var withComment = regexp.MustCompile(`^(?i:(-?[0-9]+|true|false|yes|no|on|off)[ \t]+[;#].*)$`)

func bareWord(v string) string {
	if m := withComment.FindStringSubmatch(v); m != nil {
		return m[1]
	}
	return v
}

// placeholder is the name of an option in another's value.
var placeholder = regexp.MustCompile(`%\(([^)\n]+)\)`)

func placeholders(src []byte) map[string]bool {
	used := map[string]bool{}
	for _, m := range placeholder.FindAllSubmatch(src, -1) {
		used[strings.ReplaceAll(string(m[1]), "_", "-")] = true
	}
	return used
}

// maxExpanded bounds a value, in bytes: placeholders in placeholders could
// double it with each line.
const maxExpanded = 64 << 10

// expand replaces what uWSGI calls placeholders and magic variables. The
// environment's $(NAME) becomes frontd's ${NAME}, marked until it is quoted.
func (u *uwsgi) expand(v string) (string, bool) {
	path := u.source()
	base := filepath.Base(path)
	magic := map[byte]string{
		'p': path, 's': base, 'd': filepath.Dir(path) + "/", 'n': strings.TrimSuffix(base, filepath.Ext(base)),
		'e': strings.TrimPrefix(filepath.Ext(base), "."), 'c': filepath.Base(filepath.Dir(path)), '%': "%",
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if b.Len() > maxExpanded {
			return "", false
		}
		switch {
		case v[i] == '$' && i+1 < len(v) && v[i+1] == '(':
			name, _, ok := strings.Cut(v[i+2:], ")")
			if !ok || !variable(name) {
				return "", false
			}
			b.WriteString(envOpen + name + envClose)
			i += 2 + len(name)
		case v[i] == '%' && i+1 < len(v) && v[i+1] == '(':
			name, _, ok := strings.Cut(v[i+2:], ")")
			value, known := u.vars[name]
			if !ok || !known {
				return "", false
			}
			b.WriteString(value)
			i += 2 + len(name)
		case v[i] == '%' && i+1 < len(v):
			value, known := magic[v[i+1]]
			if !known {
				return "", false
			}
			b.WriteString(value)
			i++
		default:
			b.WriteByte(v[i])
		}
	}
	return b.String(), true
}

// source is the file's whole path.
func (u *uwsgi) source() string {
	if path, err := filepath.Abs(u.file); err == nil {
		return path
	}
	return u.file
}

func (u *uwsgi) dir() string { return filepath.Dir(u.source()) }

// Marks of a variable of the environment, on its way to be quoted: they cannot
// stand in a file that is text.
const (
	envOpen  = "\x01"
	envClose = "\x02"
)

// text is a TOML string in which variables of the environment are frontd's.
func text(v string) string {
	v = strings.ReplaceAll(v, "$", "$$")
	v = strings.ReplaceAll(strings.ReplaceAll(v, envOpen, "${"), envClose, "}")
	return quoteRaw(v)
}

// option takes one option; the tables say what most of them are.
func (u *uwsgi) option(key, v string) {
	if f, ok := uwsgiOptions[key]; ok {
		f(u, key, v)
		return
	}
	if u.used[key] {
		u.app.none(key, v, "its value was filled in where %("+key+") stood")
		return
	}
	if why, ok := uwsgiAlways[key]; ok {
		u.app.none(key, v, "not needed: "+why)
		return
	}
	if why, ok := uwsgiNone[key]; ok {
		u.app.none(key, v, why)
		return
	}
	for prefix, why := range uwsgiFamilies {
		if strings.HasPrefix(key, prefix) {
			u.app.none(key, v, why)
			return
		}
	}
	u.app.none(key, v, "no counterpart")
}

// finish writes what only the whole of the options tells.
func (u *uwsgi) finish() {
	u.writeTarget()
	u.writePHP()
	u.writeWorkers()
	if len(u.paths) > 0 {
		u.env.set("PYTHONPATH", text(strings.Join(u.paths, ":")))
	}
	u.env.write(u.app)
	if u.uid != "" {
		u.app.set("user", text(u.uid))
	}
	if u.gid != "" {
		u.app.set("group", text(u.gid))
	}
	if len(u.listen) > 0 {
		var quoted []string
		for _, l := range u.listen {
			quoted = append(quoted, text(l))
		}
		u.server.set("listen", "["+strings.Join(quoted, ", ")+"]")
	} else {
		u.server.set("listen", `["127.0.0.1:8080"]`, "frontd speaks HTTP itself: let a web server before it use proxy_pass in the place of uwsgi_pass")
	}
	for _, s := range u.statics {
		r := u.route()
		r.set("path", text(dirPath(s[0])))
		u.files(r, s[1])
	}
	r := u.route()
	r.set("path", text(dirPath(u.path)))
	r.set("app", quote(strings.TrimPrefix(u.app.name, "app.")))
	switch {
	case u.checked == "":
	case strings.TrimRight(u.checked, "/") == strings.TrimRight(u.docroot, "/"):
		r.none("check-static", u.checked, "not needed: what is no script there is sent as it is")
	default:
		u.files(r, u.checked)
	}
	switch {
	case u.mounted:
		r.set("path", text(dirPath(u.mounts[0][0])))
		if p := strings.TrimRight(u.mounts[0][0], "/"); p != "" {
			r.set("mount", text(p))
		}
	case len(u.mounts) > 0:
		u.app.none("mount", u.mounts[0][0]+"="+u.mounts[0][1], anotherApp)
	}
}

const anotherApp = "several applications: give each an [app.NAME] and a route with mount"

// files gives a route a folder of files.
func (u *uwsgi) files(r *section, folder string) {
	r.set("root", text(folder))
	if len(u.index) > 0 {
		var quoted []string
		for _, name := range u.index {
			quoted = append(quoted, text(name))
		}
		r.set("index", "["+strings.Join(quoted, ", ")+"]")
	}
}

// dirPath is a route's prefix: with a slash at both ends.
func dirPath(p string) string {
	return "/" + strings.TrimLeft(strings.TrimRight(p, "/")+"/", "/")
}

// writePHP completes an application in PHP.
func (u *uwsgi) writePHP() {
	if u.docroot == "" && u.phpApp == "" {
		return
	}
	u.app.set("kind", `"php"`)
	if u.docroot == "" {
		u.docroot = filepath.Dir(u.phpApp)
	}
	u.app.set("target", text(u.docroot))
	switch name, below := strings.CutPrefix(u.phpApp, strings.TrimRight(u.docroot, "/")+"/"); {
	case below:
		u.app.set("fallback", text("/"+name))
	case u.phpApp != "":
		u.app.none("php-app", u.phpApp, "a front controller lies in the document root: fallback names it")
	default:
		u.app.set("fallback", `""`, "what is no file is 404, as it was")
	}
}

func (u *uwsgi) writeTarget() {
	if u.app.has("kind") || u.docroot != "" || u.phpApp != "" {
		return
	}
	if u.mounted = len(u.mounts) > 0 && u.module == "" && u.wsgiFile == ""; u.mounted {
		u.setModule(u.mounts[0][1])
	}
	u.app.set("kind", `"wsgi"`)
	target := u.module
	if u.wsgiFile != "" {
		target = strings.TrimSuffix(filepath.Base(u.wsgiFile), ".py")
		if dir := filepath.Dir(u.wsgiFile); dir != "." {
			u.paths = append([]string{dir}, u.paths...)
		}
	}
	if target == "" {
		u.app.set("target", `"wsgi:application"`, "no module or wsgi-file was found: name yours")
		return
	}
	switch {
	case u.callable != "" && !strings.Contains(target, ":"):
		target += ":" + u.callable
	case !strings.Contains(target, ":"):
		target += ":application" // uWSGI's default
	}
	u.app.set("target", text(target))
}

// setModule takes what may be a module or a file.
func (u *uwsgi) setModule(v string) {
	if strings.HasSuffix(v, ".py") || strings.HasSuffix(v, ".wsgi") || strings.Contains(v, "/") {
		u.wsgiFile = v
		return
	}
	u.module = v
}

func (u *uwsgi) writeWorkers() {
	most, ok := number(u.workers, 1, 4096)
	if !ok {
		most = 1 // uWSGI's default
		if u.workers != "" {
			u.app.none("workers", u.workers, "not a number that is known here")
		}
	}
	if threads, ok := number(u.app.get("threads"), 1, 1024); ok && u.app.get("kind") != `"wsgi"` {
		u.app.drop("threads")
		u.app.none("threads", itoa(threads), "threads are Python's: there are as many more workers")
		most = min(most*threads, 4096)
	}
	least, elastic := number(u.cheaper, 1, most-1)
	if elastic = elastic && !u.cores; !elastic {
		if !u.cores {
			u.app.set("workers", itoa(most))
		}
		u.spare("cheaper", u.cheaper, "min of workers = { min, max, idle }, less than max")
		u.spare("cheaper-initial", u.initial, "not needed: workers come as requests do")
		u.spare("idle", u.idle, "idle of workers = { min, max, idle }: workers without need end, frontd stays")
		return
	}
	idle, ok := seconds(u.idle)
	if !ok {
		idle = `"60s"`
		u.spare("idle", u.idle, "not a number of seconds")
	}
	u.app.set("workers", "{ min = "+itoa(least)+", max = "+itoa(most)+", spare = 1, idle = "+idle+" }",
		"cheaper: as many as the load needs")
	u.spare("cheaper-initial", u.initial, "not needed: workers come as requests do")
}

// spare tells of a setting that went into no other, if it was there.
func (u *uwsgi) spare(key, v, why string) {
	if v != "" {
		u.app.none(key, v, why)
	}
}
