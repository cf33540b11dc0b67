package importer

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// PHPFPM reads a pool file of php-fpm, or the main file with its pools. Each
// pool becomes an application of php-cgi workers.
func PHPFPM(src []byte) (string, error) {
	list, err := readINI(src, true)
	if err != nil {
		return "", err
	}
	d := newDraft("php-fpm")
	pools := map[string]*fpmPool{}
	var order []*fpmPool
	for _, s := range list {
		if s.section == "" || s.section == "global" {
			fpmGlobal(d, s)
			continue
		}
		p := pools[s.section]
		if p == nil {
			p = &fpmPool{draft: d, pool: s.section, app: d.section("app." + name(s.section))}
			pools[s.section] = p
			order = append(order, p)
		}
		p.option(s.key, strings.ReplaceAll(s.value, "$pool", s.section))
	}
	for i, p := range order {
		p.finish(i == 0, len(order) > 1)
	}
	return d.String(), nil
}

// fpmPool is what was met of one pool.
type fpmPool struct {
	*draft
	pool string
	app  *section
	env  environment

	pm                             string
	children, start, spare, spareM string
	idle                           string
	chdir, root                    string
	listen                         string
	ini                            [][2]string
}

func fpmGlobal(d *draft, s setting) {
	log := d.section("log")
	switch s.key {
	case "error_log":
		if s.value == "syslog" || strings.HasPrefix(s.value, "/proc/") {
			log.none(s.key, s.value, "stderr, where systemd collects lines, is the default")
			return
		}
		log.set("file", quote(absolute(s.value, "/var")))
	case "log_level":
		level := map[string]string{"alert": "error", "error": "error", "warning": "warn", "notice": "info", "debug": "debug"}[s.value]
		if level == "" {
			log.none(s.key, s.value, "not a level that is known here")
			return
		}
		log.set("level", quote(level))
	case "pid":
		d.remark("pid = %s: not needed: frontd status and systemd know the pid", shorten(s.value))
	case "daemonize":
		d.remark("daemonize = %s: not needed: systemd, or the shell, keeps frontd", shorten(s.value))
	case "process_control_timeout":
		if v, ok := fpmDuration(s.value); ok {
			d.section("server").set("shutdown_timeout", v)
			return
		}
		d.remark("%s = %s: not a duration that is known here", s.key, shorten(s.value))
	case "emergency_restart_threshold", "emergency_restart_interval":
		d.remark("%s = %s: not needed: a worker that dies is replaced, with growing pauses when it dies again", s.key, shorten(s.value))
	case "include":
		d.remark("include = %s: other files are not followed: import them too", shorten(s.value))
	default:
		d.remark("%s = %s: no counterpart", s.key, shorten(s.value))
	}
}

func absolute(path, below string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(below, path)
}

// option takes one line of a pool.
func (p *fpmPool) option(key, v string) {
	if base, inner, ok := bracketed(key); ok {
		p.inner(key, base, inner, v)
		return
	}
	switch key {
	case "user", "group":
		p.app.set(key, quote(v))
	case "listen":
		p.listen = v
		p.app.none(key, v, "not needed: workers have sockets of their own; for a web server before frontd see server.listen")
	case "pm":
		p.pm = v
	case "pm.max_children":
		p.children = v
	case "pm.start_servers":
		p.start = v
		p.app.none(key, v, "not needed: min is what starts")
	case "pm.min_spare_servers":
		p.spare = v
	case "pm.max_spare_servers":
		p.spareM = v
		p.app.none(key, v, "not needed: workers that were idle for long enough go")
	case "pm.process_idle_timeout":
		p.idle = v
	case "pm.max_requests":
		if n, ok := number(v, 0, 1<<40); ok {
			p.app.set("recycle.requests", itoa(n))
			return
		}
		p.app.none(key, v, "not a number that is possible here")
	case "request_terminate_timeout":
		p.duration("timeout.request", key, v)
	case "request_slowlog_timeout":
		p.duration("timeout.slow", key, v)
	case "chdir":
		p.chdir = v
	case "security.limit_extensions":
		p.extensions(key, v)
	case "rlimit_files", "rlimit_core", "process.priority":
		p.limit(key, v)
	default:
		why, ok := fpmNone[key]
		if !ok {
			why = "no counterpart"
		}
		p.app.none(key, v, why)
	}
}

// extensions are the only ones that PHP runs. Without any php-fpm runs every
// file, uploads too, which is not offered here.
func (p *fpmPool) extensions(key, v string) {
	list := strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == ';' })
	for _, ext := range list {
		name, dot := strings.CutPrefix(ext, ".")
		if !dot || name == "" || strings.ContainsAny(name, `./\%`) {
			p.app.none(key, v, "not a list of extensions")
			return
		}
	}
	if len(list) == 0 {
		p.app.none(key, v, "PHP runs named extensions only, .php if none is named")
		return
	}
	p.app.set("limit_extensions", quoteList(list))
}

func (p *fpmPool) limit(key, v string) {
	to := map[string]string{"rlimit_files": "limits.open_files", "rlimit_core": "limits.core", "process.priority": "nice"}[key]
	n, err := strconv.ParseInt(v, 10, 64)
	switch {
	case err != nil, key == "rlimit_files" && n < 16, key == "process.priority" && (n < -20 || n > 19), key == "rlimit_core" && n < 0:
		p.app.none(key, v, "not a number that is possible here")
	default:
		p.app.set(to, itoa(n))
	}
}

func (p *fpmPool) duration(to, key, v string) {
	d, ok := fpmDuration(v)
	if !ok {
		p.app.none(key, v, "not a duration that is known here")
		return
	}
	p.app.set(to, d)
}

// fpmDuration is a number of seconds, or with s, m, h or d behind it.
func fpmDuration(v string) (string, bool) {
	scale := int64(1)
	if v != "" {
		if n, ok := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400}[v[len(v)-1]]; ok {
			scale, v = n, v[:len(v)-1]
		}
	}
	n, ok := number(v, 0, 1e6)
	if !ok {
		return "", false
	}
	return seconds(itoa(n * scale))
}

// bracketed splits "env[NAME]".
func bracketed(key string) (base, inner string, ok bool) {
	base, inner, ok = strings.Cut(key, "[")
	if !ok || !strings.HasSuffix(inner, "]") {
		return "", "", false
	}
	return strings.TrimSpace(base), strings.TrimSuffix(inner, "]"), true
}

func (p *fpmPool) inner(key, base, inner, v string) {
	switch base {
	case "env":
		switch {
		case !variable(inner):
			p.app.none(key, v, "not a variable's name")
		case strings.HasPrefix(v, "$") && variable(v[1:]):
			p.env.set(inner, quoteRaw("${"+v[1:]+":-}"))
		default:
			p.env.set(inner, quote(v))
		}
	case "php_value", "php_flag", "php_admin_value", "php_admin_flag":
		p.ini = append(p.ini, [2]string{inner, v})
		p.app.none(key, v, "put it into the file that PHPRC or PHP_INI_SCAN_DIR names (see env), or .user.ini")
	default:
		p.app.none(key, v, "no counterpart")
	}
}

func (p *fpmPool) finish(first, many bool) {
	p.app.set("kind", `"php"`)
	root := p.chdir
	if root == "" || root == "/" {
		root = "/var/www/html"
		p.app.set("target", quote(root), "the document root stands in the web server's configuration: fill in yours")
	} else {
		p.app.set("target", quote(root), "from chdir; the document root stands in the web server's configuration")
	}
	p.workers()
	if !slices.ContainsFunc(p.app.entries, func(e entry) bool { return e.key == "timeout.request" }) {
		p.app.remark("no request_terminate_timeout was set: here a request may take 60s, see timeout.request")
	}
	p.env.write(p.app)
	r := p.route()
	if many {
		r.set("host", quote(strings.ReplaceAll(name(p.pool), "_", "-")+".example.com"), "the web server chose between the pools: fill in the host of this one")
	}
	r.set("path", `"/"`)
	r.set("app", quote(strings.TrimPrefix(p.app.name, "app.")))
	if !first {
		return
	}
	server := p.section("server")
	server.set("listen", `["127.0.0.1:8080"]`, "frontd speaks HTTP itself; to keep the web server and its fastcgi_pass, listen on fcgi+unix:PATH")
}

func (p *fpmPool) workers() {
	most, ok := number(p.children, 1, 4096)
	if !ok {
		p.app.none("pm.max_children", p.children, "not a number that is possible here: as many workers as CPUs")
		return
	}
	idle, ok := fpmDuration(p.idle)
	if !ok {
		idle = `"10s"` // php-fpm's default
	}
	if !ok && p.idle != "" {
		p.app.none("pm.process_idle_timeout", p.idle, "not a duration that is known here")
	}
	if p.spare != "" && p.pm != "dynamic" {
		p.app.none("pm.min_spare_servers", p.spare, "only pm = dynamic has it")
	}
	switch p.pm {
	case "dynamic":
		least, ok := number(p.spare, 1, most)
		if !ok {
			least = 1
		}
		p.app.set("workers", "{ min = "+itoa(least)+", max = "+itoa(most)+", spare = "+itoa(least)+", idle = "+idle+" }")
	case "ondemand":
		p.app.set("workers", "{ min = 0, max = "+itoa(most)+", idle = "+idle+" }")
	default:
		p.app.set("workers", itoa(most))
	}
}

// fpmNone says what becomes of the rest.
var fpmNone = map[string]string{
	"listen.owner": "see server.socket_mode", "listen.group": "see server.socket_mode", "listen.mode": "see server.socket_mode",
	"listen.acl_users": "see server.socket_mode", "listen.acl_groups": "see server.socket_mode",
	"listen.allowed_clients":      "a FastCGI listener of frontd is bound to an address: choose a private one",
	"listen.backlog":              "requests wait in a queue for each application: queue.size, queue.timeout",
	"pm.max_spawn_rate":           "workers come as the load grows, at a bounded rate",
	"pm.status_path":              "the status uses no worker: frontd status, [metrics] /status.json",
	"pm.status_listen":            "the status uses no worker: frontd status, [metrics] /status.json",
	"ping.path":                   "health uses no worker: [metrics] /live and /ready",
	"ping.response":               "health uses no worker: [metrics] /live and /ready",
	"access.log":                  "each request has its line in frontd's log: [log] access",
	"access.format":               "the line's form is fixed; format = \"json\" is for programs",
	"access.suppress_path[]":      "every request has its line",
	"slowlog":                     "slow requests are told in frontd's log: timeout.slow (PHP tells no stack)",
	"request_slowlog_trace_depth": "PHP tells no stack without ptrace",
	"request_terminate_timeout_track_finished": "timeout.request counts to the end of the answer",
	"catch_workers_output":                     "always: lines go whole to the log",
	"decorate_workers_output":                  "never: lines go whole to the log",
	"clear_env":                                "always: workers inherit PATH, HOME, LANG and TZ only, and what env lists",
	"chroot":                                   "no counterpart: use the unit's RootDirectory=",
	"prefix":                                   "paths are relative to the configuration's folder",
	"apparmor_hat":                             "no counterpart",
	"process.dumpable":                         "no counterpart",
}
