package importer

import (
	"path/filepath"
	"strings"
)

// A unitApp is one application of Unit, on its way.
type unitApp struct {
	*unit
	app      *section
	unitName string
	lang     string
	env      environment

	module, callable string
	factory          bool // callable makes the application
	script, rootDir  string
	prefix           string
	executable       string
	arguments        []string
	paths            []string
}

func (a *unitApp) kind(v node) {
	t, _ := v.get("type")
	a.lang, _, _ = strings.Cut(t.text(), " ")
	if a.lang != t.text() {
		a.app.none("type", t.text(), "the version is that of the interpreter: see python, and PATH for PHP and Perl")
	}
}

func (a *unitApp) option(key string, v node) {
	switch key {
	case "type", "targets":
	case "module":
		a.module = v.text()
	case "callable":
		a.callable = v.text()
	case "factory":
		a.factory = v.text() == "true"
	case "path":
		a.paths = v.texts()
	case "home":
		a.app.set("python", quote(strings.TrimRight(v.text(), "/")+"/bin/python"))
	case "prefix":
		a.prefix = strings.TrimRight(v.text(), "/")
	case "root":
		a.rootDir = v.text()
	case "script":
		a.script = v.text()
	case "executable":
		a.executable = v.text()
	case "arguments":
		a.arguments = v.texts()
	case "working_directory":
		a.app.set("directory", quote(v.text()))
	case "user", "group":
		a.app.set(key, quote(v.text()))
	case "threads":
		a.count("threads", key, v, 1, 1024)
	case "processes":
		a.processes(v)
	case "limits":
		a.limits(v)
	case "environment":
		for _, m := range v.members {
			if !variable(m.name) {
				a.app.none("environment."+m.name, m.value.source(), "not a variable's name")
				continue
			}
			a.env.set(m.name, quote(m.value.text()))
		}
	default:
		why, ok := unitNone[key]
		if !ok {
			why = "no counterpart"
		}
		a.app.none(key, v.source(), why)
	}
}

func (a *unitApp) count(to, key string, v node, least, most int64) {
	n, ok := number(v.text(), least, most)
	if !ok {
		a.app.none(key, v.source(), "not a number that is possible here")
		return
	}
	a.app.set(to, itoa(n))
}

func (a *unitApp) processes(v node) {
	if !v.object {
		a.count("workers", "processes", v, 1, 4096)
		return
	}
	read := func(key string, otherwise, least, most int64) int64 {
		if m, ok := v.get(key); ok {
			if n, ok := number(m.text(), least, most); ok {
				return n
			}
		}
		return otherwise
	}
	most := read("max", 1, 1, 4096)
	spare := read("spare", 0, 0, most)
	idle := read("idle_timeout", 15, 0, 1e6)
	d, _ := seconds(itoa(max(idle, 1)))
	a.app.set("workers", "{ min = "+itoa(spare)+", max = "+itoa(most)+", spare = "+itoa(spare)+", idle = "+d+" }")
}

func (a *unitApp) limits(v node) {
	for _, m := range v.members {
		switch m.name {
		case "timeout":
			a.seconds(a.app, "timeout.request", "limits.timeout", m.value)
		case "requests":
			a.count("recycle.requests", "limits.requests", m.value, 0, 1<<40)
		default:
			a.app.none("limits."+m.name, m.value.source(), "no counterpart")
		}
	}
}

// finish says what runs.
func (a *unitApp) finish() {
	switch a.lang {
	case "python":
		a.python()
	case "php":
		a.app.set("kind", `"php"`)
		a.app.set("target", quote(a.rootDir))
		a.app.set("fallback", `""`, "Unit had none; where a script was named, the route leads to it")
	case "external":
		a.app.set("kind", `"exec"`)
		a.app.set("target", quote(words(append([]string{a.executable}, a.arguments...))),
			"it spoke Unit's own library: build it with frontd's SDK, net/http/fcgi, or for Node.js run it behind a proxy")
	case "perl":
		a.app.set("kind", `"exec"`)
		a.app.set("target", psgiCommand(quote, a.script), psgiNeeds)
	default:
		a.app.set("kind", `"exec"`)
		a.app.set("target", quote(a.exampleCommand()), "type "+a.lang+" has no counterpart of its own: name a command that speaks FastCGI on fd 0")
	}
	if a.lang == "python" && len(a.paths) > 0 {
		a.env.set("PYTHONPATH", quote(strings.Join(a.paths, ":")))
		if !a.app.has("directory") {
			a.app.set("directory", quote(a.paths[0]))
		}
	}
	a.concurrency()
	a.env.write(a.app)
}

// concurrency makes threads of other languages than Python into workers: Perl's FCGI
// and Ruby's serve one request at a time. Processes are one where Unit was not told.
func (a *unitApp) concurrency() {
	threads, threaded := number(a.app.get("threads"), 1, 1024)
	if threaded = threaded && a.lang != "python"; threaded {
		a.app.drop("threads")
		a.app.none("threads", itoa(threads), "such a worker serves one request at a time: see workers")
	}
	switch n, plain := number(a.app.get("workers"), 1, 4096); {
	case threaded && plain:
		a.app.set("workers", itoa(min(n*threads, 4096)))
	case !a.app.has("workers") && threaded:
		a.app.set("workers", itoa(threads))
	case !a.app.has("workers"):
		a.app.set("workers", "1", "Unit's default; without this line there are as many as CPUs")
	}
}

// route has requests go to the application. It sees the whole path, as in Unit,
// and a script of PHP takes every one.
func (a *unitApp) route(r *section) {
	a.lead(r)
	if a.lang == "php" && a.script != "" {
		r.set("rewrite", `{ from = "^", to = `+quote("/"+strings.TrimLeft(a.script, "/"))+` }`, "the script takes every path")
	}
}

// folderRoute is route where the application's own files are shared: the
// script takes what is no file.
func (a *unitApp) folderRoute(r *section) {
	a.lead(r)
	if a.script != "" {
		r.set("fallback", quote("/"+strings.TrimLeft(a.script, "/")))
	}
}

func (a *unitApp) lead(r *section) {
	r.set("app", quote(strings.TrimPrefix(a.app.name, "app.")))
	path := strings.TrimPrefix(strings.Trim(r.get("path"), `"`), "= ")
	switch {
	case a.prefix != "" && (path == a.prefix || strings.HasPrefix(path, a.prefix+"/")):
		r.set("mount", quote(a.prefix))
	case a.prefix != "":
		r.none("prefix", a.prefix, "the route's path does not begin with it: name one that does, with mount")
	case a.lang == "php" && path != "/" && strings.HasPrefix(r.get("path"), `"/`):
		r.set("mount", `"/"`)
	}
}

func (a *unitApp) exampleCommand() string {
	if a.script != "" {
		return filepath.Base(a.script)
	}
	return a.unitName
}

func (a *unitApp) python() {
	a.app.set("kind", `"wsgi"`)
	module := a.module
	if module == "" {
		module = "wsgi"
		a.app.remark("module was not set: fill it in")
	}
	callable := a.callable
	if callable == "" {
		callable = "application" // Unit's default
	}
	if a.factory {
		callable += "()"
	}
	a.app.set("target", quote(module+":"+callable))
}

// unitNone says what becomes of the rest.
var unitNone = map[string]string{
	"protocol":          "WSGI only: an ASGI application needs its own server behind a proxy",
	"thread_stack_size": "no counterpart",
	"isolation":         "user, group, limits, umask of an app; namespaces are the unit's: see deploy/systemd",
	"stdout":            "what workers print goes to the log, or to output.file",
	"stderr":            "what workers print goes to the log, or to output.file",
	"options":           "php-cgi reads its php.ini: name another by PHPRC in env",
	"index":             "index.php and index.html are looked for",
	"hooks":             "no hooks",
	"webapp":            "Java has no counterpart", "classpath": "Java has no counterpart", "unit_jars": "Java has no counterpart",
	"component": "WebAssembly has no counterpart", "access": "no counterpart",
}
