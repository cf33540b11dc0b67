package importer

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// Gunicorn reads a configuration file of gunicorn, which is Python and is not
// executed, and the arguments of its command line, which win. Either may be empty.
// dir is where gunicorn was started, for the sockets that are named from there.
func Gunicorn(dir string, conf []byte, args []string) (string, error) {
	lines, err := readPython(conf)
	if err != nil {
		return "", err
	}
	g := &gunicorn{draft: newDraft("gunicorn"), dir: dir}
	g.server, g.app = g.section("server"), g.section("app.web")
	for _, l := range lines {
		switch {
		case l.name == "":
			g.app.remark("line %d is Python that is not executed: %s", l.line, shorten(l.value.source))
		case l.value.kind == pyOther:
			g.expression(l.name, l.value.source)
		default:
			g.setting(l.name, l.value)
		}
	}
	if err := g.arguments(args); err != nil {
		return "", err
	}
	g.finish()
	return g.String(), nil
}

type gunicorn struct {
	*draft
	dir         string
	server, app *section
	env         environment
	binds       []string
	bound       bool // by an argument, of which all hold, and not by the file
	target      string
	workers     bool // their number was named, or how it is found
	maxRequests int64
	jitter      int64
	cert, key   string
	chdir       string
}

// expression meets what only Python could tell. One is in everybody's file:
// workers by the number of CPUs.
func (g *gunicorn) expression(name, source string) {
	g.workers = g.workers || name == "workers"
	if name == "workers" && strings.Contains(source, "cpu_count") {
		g.app.none(name, source, "without workers there are as many as CPUs: write the number where you want more")
		return
	}
	g.app.none(name, source, "an expression, which is not evaluated: fill it in")
}

func (g *gunicorn) arguments(args []string) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if i > 0 || !strings.HasSuffix(arg, "gunicorn") {
				g.target = arg
			}
			continue
		}
		flag, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "--") && len(flag) > 1 {
			flag, value, joined = flag[:1], strings.TrimPrefix(arg[2:], "="), true
		}
		name := flag
		if long, ok := gunicornFlags[flag]; ok {
			name = long
		}
		if name == "env" {
			name = "raw_env"
		}
		name = strings.ReplaceAll(name, "-", "_")
		switch {
		case slices.Contains(gunicornSwitches, name):
			g.setting(name, pyValue{kind: pyBool, text: "True", source: "True"})
			continue
		case !joined && i+1 == len(args):
			return &SyntaxError{Text: "the argument " + arg + " has no value"}
		case !joined:
			i++
			value = args[i]
		}
		if name == "config" {
			g.remark("--config %s: give it to frontd import as the file", shorten(value))
			continue
		}
		g.setting(name, argument(value))
		g.bound = g.bound || name == "bind" // given again it is one more
	}
	return nil
}

func argument(v string) pyValue {
	kind := pyString
	if _, err := strconv.ParseFloat(v, 64); err == nil {
		kind = pyNumber
	}
	return pyValue{kind: kind, text: v, source: v}
}

// texts are the strings of a value: one, or a list of them.
func (v pyValue) texts() []string {
	switch v.kind {
	case pyString, pyNumber:
		return []string{v.text}
	case pyList:
		var list []string
		for _, item := range v.list {
			list = append(list, item.texts()...)
		}
		return list
	}
	return nil
}

func (v pyValue) truth() bool {
	return v.kind == pyBool && v.text == "True" || v.kind == pyNumber && v.text != "0"
}

func (g *gunicorn) setting(name string, v pyValue) {
	if v.kind == pyNone {
		return // gunicorn's own default
	}
	if f, ok := gunicornSettings[name]; ok {
		f(g, name, v)
		return
	}
	why, ok := gunicornNone[name]
	switch {
	case !ok && strings.HasPrefix(name, "ssl") || name == "do_handshake_on_connect" || name == "ca_certs" || name == "cert_reqs" || name == "ciphers":
		why = "TLS is Go's: versions and ciphers cannot be chosen, client certificates not asked for"
	case !ok && (strings.HasPrefix(name, "on_") || strings.HasPrefix(name, "pre_") || strings.HasPrefix(name, "post_") || strings.HasPrefix(name, "when_") || strings.HasPrefix(name, "worker_") || strings.HasPrefix(name, "child_") || name == "nworkers_changed"):
		why = "no server hooks: what a worker needs, its module may do at import"
	case !ok:
		why = "no counterpart"
	}
	g.app.none(name, v.source, why)
}

var gunicornSettings = map[string]func(g *gunicorn, name string, v pyValue){
	"bind": func(g *gunicorn, name string, v pyValue) {
		if !g.bound {
			g.binds = nil
		}
		for _, b := range v.texts() {
			g.bind(name, b)
		}
	},
	"wsgi_app":     func(g *gunicorn, _ string, v pyValue) { g.target = v.text },
	"workers":      func(g *gunicorn, name string, v pyValue) { g.workers = true; g.count(name, "workers", v, 1, 4096) },
	"threads":      func(g *gunicorn, name string, v pyValue) { g.count(name, "threads", v, 1, 1024) },
	"worker_class": (*gunicorn).workerClass,
	"timeout":      func(g *gunicorn, name string, v pyValue) { g.seconds(g.app, name, "timeout.request", v) },
	"graceful_timeout": func(g *gunicorn, name string, v pyValue) {
		g.seconds(g.app, name, "timeout.stop", v)
		g.seconds(g.server, name, "shutdown_timeout", v)
	},
	"keepalive": func(g *gunicorn, name string, v pyValue) {
		if v.text == "0" {
			g.server.none(name, v.source, "kept connections cannot be switched off")
			return
		}
		g.seconds(g.server, name, "idle_timeout", v)
	},
	"max_requests": func(g *gunicorn, name string, v pyValue) {
		if n, ok := number(v.text, 0, 1<<40); ok {
			g.maxRequests = n
			return
		}
		g.app.none(name, v.source, "not a number that is possible here")
	},
	"max_requests_jitter": func(g *gunicorn, name string, v pyValue) {
		n, ok := number(v.text, 0, 1<<40)
		if g.jitter = n; !ok {
			g.app.none(name, v.source, "not a number that is possible here")
		}
	},
	"chdir":   func(g *gunicorn, _ string, v pyValue) { g.chdir = v.text; g.app.set("directory", quote(v.text)) },
	"user":    func(g *gunicorn, _ string, v pyValue) { g.app.set("user", quote(v.text)) },
	"group":   func(g *gunicorn, _ string, v pyValue) { g.app.set("group", quote(v.text)) },
	"umask":   (*gunicorn).umask,
	"raw_env": (*gunicorn).rawEnv,
	"pythonpath": func(g *gunicorn, _ string, v pyValue) {
		g.env.set("PYTHONPATH", quote(strings.ReplaceAll(v.text, ",", ":")))
	},
	"accesslog": func(g *gunicorn, name string, v pyValue) {
		if v.text != "-" {
			g.section("log").none(name, v.text, "requests and everything else go to one log: log.file")
		}
	},
	"errorlog": func(g *gunicorn, name string, v pyValue) {
		if v.text != "-" {
			g.section("log").set("file", quote(v.text))
		}
	},
	"loglevel": func(g *gunicorn, name string, v pyValue) {
		level := map[string]string{"debug": "debug", "info": "info", "warning": "warn", "error": "error", "critical": "error"}[strings.ToLower(v.text)]
		if level == "" {
			g.section("log").none(name, v.source, "not a level that is known here")
			return
		}
		g.section("log").set("level", quote(level))
	},
	"certfile":            func(g *gunicorn, _ string, v pyValue) { g.cert = v.text },
	"keyfile":             func(g *gunicorn, _ string, v pyValue) { g.key = v.text },
	"forwarded_allow_ips": (*gunicorn).forwarded, "proxy_allow_ips": (*gunicorn).forwarded,
	"preload_app": func(g *gunicorn, name string, v pyValue) {
		if v.truth() {
			g.app.set("preload", "true", "reload imports anew, too")
		}
	},
	"reload": func(g *gunicorn, name string, v pyValue) {
		if v.truth() {
			g.app.none(name, v.source, "start with frontd serve --dev while you develop")
		}
	},
}

func (g *gunicorn) bind(name, b string) {
	b = strings.TrimPrefix(b, "tcp://")
	switch {
	case strings.HasPrefix(b, "fd://"):
		g.server.none(name, b, "a socket of systemd is systemd:NAME")
		return
	case strings.HasPrefix(b, "unix:"):
		b = "unix:" + strings.TrimPrefix(strings.TrimPrefix(b, "unix:"), "//")
	case !strings.Contains(b, ":"):
		b += ":8000"
	}
	g.binds = append(g.binds, b)
}

func (g *gunicorn) workerClass(name string, v pyValue) {
	switch v.text {
	case "sync", "gthread":
		g.app.none(name, v.text, "not needed: threads says it")
	default:
		g.app.none(name, v.source, "workers here are processes with threads; an asynchronous application needs its own server behind a proxy")
	}
}

func (g *gunicorn) umask(name string, v pyValue) {
	n, err := strconv.ParseInt(v.text, 0, 32)
	if v.kind == pyString {
		n, err = strconv.ParseInt(strings.TrimPrefix(v.text, "0o"), 8, 32)
	}
	if err != nil || n < 0 || n > 0o777 {
		g.app.none(name, v.source, "not a mode")
		return
	}
	if n != 0 {
		g.app.set("umask", quote("0"+strconv.FormatInt(n, 8)))
	}
}

func (g *gunicorn) rawEnv(name string, v pyValue) {
	for _, pair := range v.texts() {
		n, value, ok := strings.Cut(pair, "=")
		if !ok || !variable(n) {
			g.app.none(name, pair, "not NAME=VALUE")
			continue
		}
		g.env.set(n, quote(value))
	}
}

func (g *gunicorn) forwarded(name string, v pyValue) {
	var list []string
	for _, text := range v.texts() {
		for _, a := range strings.Split(text, ",") {
			a = strings.TrimSpace(a)
			if a == "*" {
				g.server.none(name, a, "believing everyone is not offered: name the proxies in trusted_proxies")
				continue
			}
			if _, _, err := net.ParseCIDR(a); err != nil && net.ParseIP(a) == nil {
				g.server.none(name, a, "not an address")
				continue
			}
			list = append(list, a)
		}
	}
	if len(list) > 0 {
		g.server.set("trusted_proxies", quoteList(list))
	}
}

func (g *gunicorn) count(name, to string, v pyValue, least, most int64) {
	n, ok := number(v.text, least, most)
	if !ok {
		g.app.none(name, v.source, "not a number that is possible here")
		return
	}
	g.app.set(to, itoa(n))
}

func (g *gunicorn) seconds(s *section, name, to string, v pyValue) {
	d, ok := seconds(v.text)
	if !ok {
		s.none(name, v.source, "not a number of seconds")
		return
	}
	s.set(to, d)
}

func (g *gunicorn) finish() {
	g.app.set("kind", `"wsgi"`)
	switch target := g.target; {
	case target == "":
		g.app.set("target", `"wsgi:application"`, "no application was named: fill in yours")
	case strings.Contains(target, "("):
		module, call, _ := strings.Cut(target, ":")
		factory, _, _ := strings.Cut(call, "(")
		g.app.set("target", quote(module+":"+factory+"()"))
		if !strings.HasSuffix(call, "()") {
			g.app.none("wsgi_app", target, "a factory is called without arguments")
		}
	case !strings.Contains(target, ":"):
		g.app.set("target", quote(target+":application"))
	default:
		g.app.set("target", quote(target))
	}
	if !g.workers {
		g.app.set("workers", "1", "gunicorn's default; without this line there are as many as CPUs")
	}
	if g.maxRequests > 0 {
		g.app.set("recycle.requests", itoa(g.maxRequests+g.jitter))
		if g.jitter > 0 {
			share := min(float64(g.jitter)/float64(g.maxRequests+g.jitter), 0.5)
			g.app.set("recycle.jitter", strconv.FormatFloat(share, 'f', 2, 64), "a share that chance takes off")
		}
	}
	if g.jitter > 0 && g.maxRequests == 0 {
		g.app.none("max_requests_jitter", itoa(g.jitter), "nothing is recycled without max_requests")
	}
	g.env.write(g.app)
	g.listen()
	r := g.route()
	r.set("path", `"/"`)
	r.set("app", `"web"`)
}

func (g *gunicorn) listen() {
	if len(g.binds) == 0 {
		g.binds = []string{"127.0.0.1:8000"} // gunicorn's default
	}
	for i, b := range g.binds {
		if path, ok := strings.CutPrefix(b, "unix:"); ok {
			if whole := wholePath(wholePath(g.dir, g.chdir), path); whole != path {
				g.server.remark("%s: a socket has a whole path here: that of the folder which gunicorn is started in", shorten(b))
				g.binds[i] = "unix:" + whole
			}
		}
	}
	if g.cert != "" && g.key != "" {
		for i, b := range g.binds {
			if strings.HasPrefix(b, "unix:") {
				g.server.none("bind", b, "TLS is for TCP: this one speaks HTTP")
				continue
			}
			g.binds[i] = "https://" + b
		}
		g.section("server.tls").set("certificate", quote(g.cert))
		g.section("server.tls").set("key", quote(g.key))
	} else if g.cert+g.key != "" {
		g.server.none("certfile, keyfile", g.cert+g.key, "TLS takes both: server.tls, and https:// in listen")
	}
	g.server.set("listen", quoteList(g.binds))
}
