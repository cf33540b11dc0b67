package importer

import (
	"strconv"
	"strings"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// uwsgiOptions are those with a counterpart.
var uwsgiOptions = map[string]func(u *uwsgi, key, v string){
	"http": (*uwsgi).http, "http-socket": (*uwsgi).http, "http11-socket": (*uwsgi).http,
	"https": (*uwsgi).https, "https-socket": (*uwsgi).https,
	"fastcgi-socket": func(u *uwsgi, _, v string) { u.listen = append(u.listen, u.listenAddress("fcgi", v)) },
	"socket":         (*uwsgi).socket, "uwsgi-socket": (*uwsgi).socket, "s": (*uwsgi).socket,
	"chmod-socket": func(u *uwsgi, key, v string) {
		if _, err := strconv.ParseUint(v, 8, 12); err == nil && len(v) >= 3 {
			u.server.set("socket_mode", quote("0"+strings.TrimLeft(v, "0")))
			return
		}
		u.server.set("socket_mode", `"0666"`, key+" without a mode")
	},

	"module": func(u *uwsgi, _, v string) { u.setModule(v) }, "wsgi": func(u *uwsgi, _, v string) { u.setModule(v) },
	"w":    func(u *uwsgi, _, v string) { u.setModule(v) },
	"file": func(u *uwsgi, _, v string) { u.wsgiFile = v }, "wsgi-file": func(u *uwsgi, _, v string) { u.wsgiFile = v },
	"callable":   func(u *uwsgi, _, v string) { u.callable = v },
	"mount":      (*uwsgi).mount,
	"pythonpath": (*uwsgi).pythonPath, "python-path": (*uwsgi).pythonPath, "pp": (*uwsgi).pythonPath,
	"home": (*uwsgi).virtualenv, "virtualenv": (*uwsgi).virtualenv, "venv": (*uwsgi).virtualenv,
	"pyhome": (*uwsgi).virtualenv, "h": (*uwsgi).virtualenv,
	"chdir": (*uwsgi).directory, "chdir2": (*uwsgi).directory,
	"env": (*uwsgi).variable,
	"psgi": func(u *uwsgi, _, v string) {
		u.app.set("kind", `"exec"`)
		u.app.set("target", psgiCommand(text, v), psgiNeeds)
	},
	"rack": func(u *uwsgi, key, v string) {
		u.app.set("kind", `"exec"`)
		u.app.set("target", `"ruby fastcgi.rb"`, key+" = "+shorten(v)+": docs/ruby.md has this worker, for Rack 2")
	},
	"php-docroot": func(u *uwsgi, _, v string) { u.docroot = v },
	"php-app":     func(u *uwsgi, _, v string) { u.phpApp = v },
	"php-allowed-ext": func(u *uwsgi, _, v string) {
		list := strings.TrimSuffix(strings.TrimPrefix(u.app.get("limit_extensions"), "["), "]")
		if list != "" {
			list += ", "
		}
		u.app.set("limit_extensions", "["+list+text(v)+"]")
	},
	"cgi":         (*uwsgi).cgi,
	"cgi-timeout": func(u *uwsgi, key, v string) { u.seconds(u.app, "timeout.request", key, v) },

	"processes": func(u *uwsgi, _, v string) { u.workers = v }, "workers": func(u *uwsgi, _, v string) { u.workers = v },
	"p":       func(u *uwsgi, _, v string) { u.workers = v },
	"cheaper": func(u *uwsgi, _, v string) { u.cheaper = v }, "cheaper-initial": func(u *uwsgi, _, v string) { u.initial = v },
	"cheaper-idle": func(u *uwsgi, _, v string) { u.idle = v }, "idle": func(u *uwsgi, _, v string) { u.idle = v },
	"threads": func(u *uwsgi, key, v string) { u.count(u.app, "threads", key, v, 1, 1024) },

	"harakiri":            func(u *uwsgi, key, v string) { u.seconds(u.app, "timeout.request", key, v) },
	"worker-reload-mercy": func(u *uwsgi, key, v string) { u.seconds(u.app, "timeout.stop", key, v) },
	"reload-mercy":        func(u *uwsgi, key, v string) { u.seconds(u.app, "timeout.stop", key, v) },
	"http-timeout": func(u *uwsgi, key, v string) {
		u.app.none(key, v, "timeout.request (harakiri) bounds a request; clients have server.header_timeout, idle_timeout and body_rate")
	},
	"http-keepalive": func(u *uwsgi, key, v string) {
		if v != "true" && v != "1" {
			u.seconds(u.server, "idle_timeout", key, v)
		}
	},
	"max-requests":        func(u *uwsgi, key, v string) { u.count(u.app, "recycle.requests", key, v, 0, 1<<40) },
	"max-worker-lifetime": func(u *uwsgi, key, v string) { u.seconds(u.app, "recycle.age", key, v) },
	"max-requests-delta": func(u *uwsgi, key, v string) {
		u.app.none(key, v, "the moments of recycling differ by recycle.jitter, a share, 0.1 unless set")
	},
	"reload-on-rss": func(u *uwsgi, key, v string) { u.megabytes("recycle.memory", key, v) },
	"evil-reload-on-rss": func(u *uwsgi, key, v string) {
		u.app.none(key, v, "a worker is never recycled in the middle of a request; limits.memory is hard")
	},
	"limit-as":    func(u *uwsgi, key, v string) { u.megabytes("limits.memory", key, v) },
	"limit-nproc": func(u *uwsgi, key, v string) { u.count(u.app, "limits.processes", key, v, 1, 1<<30) },
	"max-fd":      func(u *uwsgi, key, v string) { u.count(u.app, "limits.open_files", key, v, 16, 1<<30) },
	"limit-post":  func(u *uwsgi, key, v string) { u.bytes(u.app, "max_body", key, v) },
	"post-buffering": func(u *uwsgi, key, v string) {
		if v != "0" {
			u.app.set("body", `"spool"`, key+" = "+shorten(v))
		}
	},
	"uid":   func(u *uwsgi, _, v string) { u.uid = v },
	"gid":   func(u *uwsgi, _, v string) { u.gid = v },
	"umask": func(u *uwsgi, _, v string) { u.app.set("umask", text(v)) },

	"check-static": func(u *uwsgi, key, v string) { u.before(&u.checked, key, v) },
	"static-index": func(u *uwsgi, _, v string) { u.index = append(u.index, v) },
	"static-map":   (*uwsgi).static, "static-map2": (*uwsgi).static,
	"logto": (*uwsgi).logFile, "logto2": (*uwsgi).logFile, "daemonize": (*uwsgi).logFile,
	"disable-logging": func(u *uwsgi, _, v string) {
		if yes(v) {
			u.section("log").set("access", "false")
		}
	},
	"stats":         (*uwsgi).stats,
	"py-autoreload": (*uwsgi).autoreload, "py-auto-reload": (*uwsgi).autoreload,
	"python-autoreload": (*uwsgi).autoreload, "python-auto-reload": (*uwsgi).autoreload,
	"ini": (*uwsgi).include, "include": (*uwsgi).include,
}

func yes(v string) bool { return v == "true" || v == "1" || v == "yes" || v == "on" }

func (u *uwsgi) include(key, v string) {
	u.app.none(key, v, "other files are not followed: import them too")
}

func (u *uwsgi) autoreload(key, v string) {
	u.app.none(key, v, "start with frontd serve --dev while you develop")
}

// cgi is a program or a folder of them, below a path of the URL or everywhere.
func (u *uwsgi) cgi(key, v string) {
	path, target, ok := strings.Cut(v, "=")
	if !ok {
		path, target = "", v
	}
	if u.app.has("target") {
		u.app.none(key, v, "several folders: give each an [app.NAME] of kind cgi and a route")
		return
	}
	u.path = path
	u.app.set("kind", `"cgi"`)
	u.app.set("target", text(target))
}

// http is an address that speaks HTTP: ":8080" is every interface, as here.
func (u *uwsgi) http(_, v string) {
	v, _, _ = strings.Cut(v, ",")
	if strings.HasPrefix(v, "=") {
		u.server.none("http", v, "a shared socket has no address: name it")
		return
	}
	u.listen = append(u.listen, u.listenAddress("", v))
}

func (u *uwsgi) https(key, v string) {
	parts := strings.Split(v, ",")
	u.listen = append(u.listen, "https://"+hostPort(parts[0]))
	if len(parts) < 3 {
		u.server.none(key, v, "its certificate and key are not named: set server.tls")
		return
	}
	u.section("server.tls").set("certificate", text(parts[1]))
	u.section("server.tls").set("key", text(parts[2]))
	if len(parts) > 3 {
		u.server.none(key, strings.Join(parts[3:], ","), "ciphers and client certificates cannot be chosen")
	}
}

// socket spoke the uwsgi protocol, which nobody else does: HTTP and FastCGI
// take its place.
func (u *uwsgi) socket(key, v string) {
	address := u.listenAddress("fcgi", v)
	u.listen = append(u.listen, address)
	u.server.remark("%s = %s: it spoke the uwsgi protocol; here it speaks FastCGI: in nginx, fastcgi_pass and "+
		"include fastcgi_params take the place of uwsgi_pass and uwsgi_params", key, shorten(v))
}

// listenAddress is an address of uWSGI as one of frontd's: scheme "" or "fcgi".
func (u *uwsgi) listenAddress(scheme, v string) string {
	if strings.HasPrefix(v, "/") || strings.HasPrefix(v, "@") || strings.HasSuffix(v, ".sock") || strings.HasSuffix(v, ".socket") {
		if whole := wholePath(u.dir(), v); whole != v {
			u.server.remark("%s: a socket has a whole path here: that of this file's folder is taken", shorten(v))
			v = whole
		}
		if scheme == "" {
			return "unix:" + v
		}
		return scheme + "+unix:" + v
	}
	if scheme == "" {
		return hostPort(v)
	}
	return scheme + "://" + hostPort(v)
}

// hostPort makes "8080", ":8080" and "*:8080" addresses of every interface.
func hostPort(v string) string {
	switch {
	case strings.HasPrefix(v, "*:"):
		return v[1:]
	case v != "" && !strings.Contains(v, ":"):
		return ":" + v
	}
	return v
}

func (u *uwsgi) mount(key, v string) {
	prefix, what, ok := strings.Cut(v, "=")
	if !ok {
		prefix, what = "/", v
	}
	u.mounts = append(u.mounts, [2]string{prefix, what})
	if len(u.mounts) > 1 {
		u.app.none(key, v, anotherApp)
	}
}

func (u *uwsgi) pythonPath(_, v string) { u.paths = append(u.paths, v) }

func (u *uwsgi) virtualenv(_, v string) {
	u.app.set("python", text(strings.TrimRight(v, "/")+"/bin/python"))
}

func (u *uwsgi) directory(_, v string) { u.app.set("directory", text(v)) }

func (u *uwsgi) variable(key, v string) {
	name, value, ok := strings.Cut(v, "=")
	if name = strings.TrimSpace(name); !ok || !variable(name) {
		u.app.none(key, v, "not NAME=VALUE")
		return
	}
	u.env.set(name, text(strings.TrimSpace(value)))
}

func (u *uwsgi) static(key, v string) {
	mount, dir, ok := strings.Cut(v, "=")
	if !ok {
		u.app.none(key, v, "not /PATH=FOLDER")
		return
	}
	if key == "static-map2" { // keeps the mount in the file's path
		dir = strings.TrimRight(dir, "/") + "/" + strings.Trim(mount, "/")
	}
	u.statics = append(u.statics, [2]string{mount, dir})
}

// before takes the one folder whose files come before the application.
func (u *uwsgi) before(folder *string, key, v string) {
	if *folder != "" {
		u.app.none(key, v, "a route has one root: give this one a route of its own")
		return
	}
	*folder = v
}

func (u *uwsgi) logFile(key, v string) {
	if strings.Contains(v, ":") || yes(v) {
		u.app.none(key, v, "logs go to stderr, where systemd collects them, or to a file")
		return
	}
	u.section("log").set("file", text(v))
}

func (u *uwsgi) stats(key, v string) {
	if strings.Contains(v, "/") {
		u.app.none(key, v, "the control socket is there without being asked for: frontd status --json")
		return
	}
	u.section("metrics").set("listen", text(hostPort(v)), "Prometheus at /metrics, JSON at /status.json")
}

// The following write a setting of a kind, or say why not.

func (u *uwsgi) count(s *section, to, key, v string, least, most int64) {
	n, ok := number(v, least, most)
	if !ok {
		s.none(key, v, "not a number that is possible here")
		return
	}
	s.set(to, itoa(n))
}

func (u *uwsgi) seconds(s *section, to, key, v string) {
	d, ok := seconds(v)
	if !ok {
		s.none(key, v, "not a number of seconds")
		return
	}
	s.set(to, d)
}

func (u *uwsgi) bytes(s *section, to, key, v string) {
	n, ok := number(v, 0, 1<<50)
	if !ok {
		s.none(key, v, "not a number of bytes")
		return
	}
	s.set(to, size(n))
}

func (u *uwsgi) megabytes(to, key, v string) {
	n, ok := number(v, 0, 1<<30)
	if !ok {
		u.app.none(key, v, "not a number of MB")
		return
	}
	u.app.set(to, size(n<<20))
}

// uwsgiAlways are options for what frontd does without being asked.
var uwsgiAlways = map[string]string{
	"master": "frontd is always the master", "M": "frontd is always the master",
	"vacuum":                  "sockets are removed at the end",
	"die-on-term":             "TERM stops, always",
	"need-app":                "a worker serves only after its application was imported",
	"single-interpreter":      "a worker has one interpreter",
	"enable-threads":          "threads that the application starts run",
	"lazy-apps":               "each worker imports the application itself",
	"lazy":                    "each worker imports the application itself",
	"strict":                  "an unknown key is an error",
	"auto-procname":           "processes carry their names",
	"thunder-lock":            "each worker has a socket of its own",
	"no-orphans":              "no worker outlives frontd",
	"ignore-sigpipe":          "a client that goes away is logged 499",
	"ignore-write-errors":     "a client that goes away is logged 499",
	"disable-write-exception": "a client that goes away is logged 499",
	"plugins":                 "nothing is loaded: the interpreter is the application's own", "plugin": "nothing is loaded: the interpreter is the application's own",
	"listen":      "requests wait in a queue of 1024 for each application (queue.size), connections in the system's backlog",
	"buffer-size": "a request's head may have 32 KiB and more",
	"pidfile":     "frontd status and systemd know the pid", "safe-pidfile": "frontd status and systemd know the pid", "pidfile2": "frontd status and systemd know the pid",
	"close-on-exec":       "workers inherit nothing but their socket",
	"chunked-input-limit": "bodies without a length have the bound of max_body",
	"http-auto-chunked":   "answers without a length are chunked",
	"so-keepalive":        "always on", "tcp-nodelay": "always on", "http-raw-body": "bodies without a length reach the application",
	"wsgi-manage-chunked-input": "bodies without a length reach the application",
	"harakiri-verbose":          "a request over its time is told with the stacks of its worker",
	"log-5xx":                   "each request has its line", "log-4xx": "each request has its line",
	"log-slow":        "timeout.slow tells the stack of a slow request",
	"memory-report":   "frontd status and /metrics tell each worker's memory",
	"procname-prefix": "processes carry the names of their applications", "procname": "processes carry the names of their applications",
}

// uwsgiNone are options that frontd does otherwise, or not at all.
var uwsgiNone = map[string]string{
	"touch-reload":       "frontd reload, or restart APP, asks for it",
	"touch-chain-reload": "frontd restart APP replaces workers one after the other",
	"log-format":         "the access log has a fixed form; log.format = \"json\" is for programs",
	"logformat":          "the access log has a fixed form; log.format = \"json\" is for programs",
	"req-logger":         "requests and everything else go to one log, stderr or log.file",
	"touch-logreopen":    "USR1 has log.file opened again",
	"add-header":         "headers = { add = { NAME = \"VALUE\" } } of the app or a route",
	"static-safe":        "no link leads out of a root: give that folder a route",
	"static-skip-ext":    "not needed for .php, whose text is never sent; other files are kept out of the root",
	"php-index":          "not needed: index.php and index.html stand for a folder",
	"php-set":            "php-cgi reads its php.ini, and .user.ini in the site's folder",
	"php-ini":            "php-cgi reads its own php.ini: env = { PHPRC = \"PATH\" } names another",
	"cgi-helper":         "a program is started by its first line, #!/usr/bin/perl, and by its execute bit",
	"cgi-index":          "kind = \"folder\" knows an index.cgi",
	"cgi-allowed-ext":    "what has the execute bit is a program; kind = \"folder\" goes by extensions",
	"logger":             "logs go to stderr or to log.file",
	"master-fifo":        "the control socket takes its place: frontd status, reload, restart, scale, stop",
	"emperor":            "each application is an [app.NAME] of one file, or an instance of frontd@.service",
	"spooler":            "no task queue: run one beside frontd",
	"gevent":             "no green threads: threads, or an ASGI server behind an exec app",
	"asyncio":            "no green threads: threads, or an ASGI server behind an exec app",
	"async":              "no green threads: threads",
	"websocket":          "not spoken over FastCGI",
	"hook-post-fork":     "no hooks: a module of the application may do it at import",
	"paste":              "name a module that loads the .ini: target = \"MODULE:CALLABLE\"",
	"manage-script-name": "mount of a route says it",
	"route":              "routes choose by host and path",
	"cron":               "no scheduler: use systemd timers or cron",
	"mule":               "no helper processes: run them as services of their own",
	"attach-daemon":      "no other programs: run them as services of their own",
	"legion":             "no clustering", "cluster": "no clustering",
	"single-instance": "the address in use is told at start",
	"safe-fd":         "workers inherit nothing but their socket",
	"cpu-affinity":    "the kernel spreads workers; limits.cpus bounds them",
	"offload-threads": "the front sends files itself: X-Sendfile with a route's sendfile",
	"chown-socket":    "the socket belongs to frontd's user; socket_mode and its group let others in",
	"cheaper-algo":    "workers follow the queue and the busy ones",
	"cheaper-step":    "workers follow the queue and the busy ones",
	"exec-asap":       "no hooks", "exec-pre-app": "no hooks",
	"for": "loops are not followed", "if-env": "conditions are not followed", "if-exists": "conditions are not followed", "end-if": "conditions are not followed",
	"set-placeholder": "its value was filled in where it was used", "set-ph": "its value was filled in where it was used",
}

// uwsgiFamilies are those of many names.
var uwsgiFamilies = map[string]string{
	"cache": "no cache: the application's own, or a proxy's", "spooler": "no task queue: run one beside frontd",
	"mule": "no helper processes: run them as services of their own", "cron": "no scheduler: use systemd timers or cron",
	"hook-": "no hooks", "route-": "routes choose by host and path", "emperor-": "one file has all applications",
	"vassal": "one file has all applications", "gevent": "no green threads: threads", "attach-daemon": "run it as a service of its own",
	"smart-attach-daemon": "run it as a service of its own", "subscri": "no subscriptions: applications stand in the file",
	"fastrouter": "frontd is the router", "router": "frontd is the router", "http-": "frontd's own HTTP needs no such setting",
	"cheaper-": "workers follow the queue and the busy ones", "log-": "the log's form is fixed: see [log]",
	"ssl-": "certificates stand in server.tls", "static-": "routes with root serve files", "php-": "php-cgi reads its own php.ini",
	"carbon": "metrics are Prometheus': see [metrics]", "stats-": "metrics are Prometheus': see [metrics]", "cgi-": "see the cgi kind",
	"if-": "conditions are not followed", "print": "not needed",
}
