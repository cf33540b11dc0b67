package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func envOf(pairs ...string) lookup {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func mustParse(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	c, errs := Parse("/etc/frontd/f.toml", []byte(text), envOf(env...))
	if errs != nil {
		t.Fatalf("refused:\n%v", errs)
	}
	return c
}

// Every case is a file and all of what is wrong with it, a line each. The
// place is LINE:COL; "…" ends a line of which the rest does not matter.
var wrong = []struct{ name, file, errors string }{
	{"unknown key with a near one", "[server]\nlisen = [\":1\"]", `2:1: server.lisen: unknown key, did you mean "listen"?; allowed here: listen…`},
	{"unknown section", "[sever]\n", `1:2: sever: unknown key, did you mean "server"?; allowed here: server, log, metrics, incidents, mail, webhook, app, route`},
	{"key of another table", "[server]\n\nworkers = 2", `3:1: server.workers: unknown key, it belongs to [app.NAME]; allowed…`},
	{"unknown key in an inner table", "[server]\ntimeout = { requst = \"1s\" }", `2:13: server.timeout.requst: unknown key, did you mean "request"?…`},
	{"mail by halves", "[mail]\nsmtp = \"a:25\"", "2:1: mail.from: is missing: [mail] needs smtp, from and to\n2:1: mail.to: is missing: [mail] needs smtp, from and to"},
	{"elastic workers", "[app.a]\nkind = \"demo\"\nworkers = { min = 3, max = 2 }\n[app.b]\nkind = \"demo\"\nworkers = { spare = 1, least = 2 }\n[app.c]\nkind = \"demo\"\nworkers = { max = 2, spare = 3, idle = \"1s\" }",
		"1:6: app.a: one of 3…\n3:11: app.a.workers: min is 3 and max is 2\n4:6: app.b: one of 3…\n6:11: app.b.workers: max is missing…\n6:24: app.b.workers.least: unknown key…\n7:6: app.c: one of 3…\n9:11: app.c.workers: spare is 3 and max is 2…"},
	{"recycling", "[app.a]\nkind = \"demo\"\nready = \"health\"\nrecycle = { jitter = 1.5, requests = -1 }",
		"3:9: app.a.ready: \"health\" is not a path of a URL…\n4:22: app.a.recycle.jitter: 1.5, want a share from 0 to 1…\n4:38: app.a.recycle.requests: -1, want an integer…"},
	{"isolation", "[app.a]\nkind = \"demo\"\nuser = \"\"\numask = \"0777\"\nnice = 20\nlimits = { memory = 4096, cpus = -1, processes = -1 }\nnew_privileges = true",
		"3:8: app.a.user: empty…\n4:9: app.a.umask: \"0777\": the workers could not use their own files…\n5:8: app.a.nice: 20, want an integer from -20 to 19\n" +
			"6:21: app.a.limits.memory: \"4KiB\" is too little to start anything, at least \"16MiB\"\n6:34: app.a.limits.cpus: -1, want a number of CPUs…\n6:50: app.a.limits.processes: -1, want…\n" +
			"7:1: app.a.new_privileges: means nothing without user…"},
	{"isolation of what is not ours", "[app.a]\nkind = \"fcgi\"\ntarget = \":1\"\nuser = \"x\"\nlimits.memory = \"1GiB\"",
		"4:1: app.a.user: means nothing to an app of kind \"fcgi\"\n5:8: app.a.limits.memory: means…"},
	{"numbers over TLS", "[metrics]\nlisten = \"https://:9180\"", `2:1: metrics.listen: "https://:9180": numbers are told by plain HTTP only`},
	{"numbers where apps are served", "[server]\nlisten = [\":80\"]\n[metrics]\nlisten = \":80\"", `4:1: metrics.listen: ":80" is in server.listen, which serves applications`},
	{"numbers for a wrong name", "[metrics]\nlisten = \":80\"\nhosts = [\"http://x\"]", `3:10: metrics.hosts: "http://x" is not a host…`},
	{"wrong types", "server = 1\n[log]\naccess = 1\nfile = true\n[app]\nx = 2",
		"1:10: server: an integer, want a table: [server]\n3:10: log.access: an integer, want true or false\n4:8: log.file: a boolean, want a file's path\n6:1: app.x: an integer, want a table for each app: [app.NAME]"},
	{"listen is not a list", "[server]\nlisten = \":1\"", `2:10: server.listen: a string, want a list: [ … ]`},
	{"list within a list", "[server]\nlisten = [[\":1\"]]", `2:10: server.listen: a list, want an address`},
	{"nothing to listen at", "[server]\nlisten = [ ]", `2:10: server.listen: empty, want at least one of HOST:PORT…`},
	{"twice in a list", "[server]\nlisten = [\n  \"unix:/a\",\n  \"unix:/a\",\n]", `4:3: server.listen: "unix:/a" twice`},
	{"same place by two names", "[server]\nlisten = [\"unix:/a\", \"fcgi+unix:/a\"]", `2:1: server.listen: "unix:/a" and "fcgi+unix:/a" are the same place`},
	{"listen at the control socket", "[server]\nlisten = [\"unix:/a\"]\ncontrol = \"/a\"", `2:1: server.listen: "unix:/a" is the control socket`},
	{"https without a certificate", "[server]\nlisten = [\"https://:1\"]", `2:1: server.listen: an https:// listener needs [server.tls]…`},
	{"certificate without key", "[server]\nlisten = [\"https://:1\"]\n[server.tls]\ncertificate = \"c\"", `3:9: server.tls: key is missing…`},
	{"duration without unit", "[server]\nidle_timeout = 5\nheader_timeout = \"5\"\nshutdown_timeout = \"-1s\"",
		"2:16: server.idle_timeout: an integer, want a duration such as…\n3:18: server.header_timeout: \"5\" is not a duration…\n4:20: server.shutdown_timeout: \"-1s\" is too short, at least \"0s\""},
	{"bad sizes", "[server]\nmax_body = \"64M\"\nbody_rate = -1\n[app.a]\nkind = \"demo\"\nmax_body = \"99999999TiB\"",
		"2:12: server.max_body: \"64M\": no unit \"M\"…\n3:13: server.body_rate: -1, want a size…\n6:12: app.a.max_body: \"99999999TiB\" is too large"},
	{"bad numbers", "[app.a]\nkind = \"demo\"\nworkers = 0\nthreads = 1.5\nqueue.size = 99999999999999999999",
		"3:11: app.a.workers: 0, want an integer from 1 to 4096\n4:11: app.a.threads: a number with a fraction, want an integer…\n5:14: app.a.queue.size: 99999999999999999999, want…"},
	{"bad networks", "[server]\ntrusted_proxies = [\"10.0.0.1/8\", \"x\", \"fe80::1%eth0\"]",
		"2:20: server.trusted_proxies: \"10.0.0.1/8\" has bits beyond its length; want \"10.0.0.0/8\"\n2:34: server.trusted_proxies: \"x\" is neither…\n2:39: server.trusted_proxies: \"fe80::1%eth0\" is neither…"},
	{"bad mode", "[server]\nsocket_mode = \"888\"\n", `2:15: server.socket_mode: "888" is not a permission in octal…`},
	{"one of", "[log]\nformat = \"jsn\"", `2:10: log.format: "jsn" is not one of "text", "json", did you mean "json"?`},
	{"no kind", "[app.a]\ntarget = \"x\"", `1:6: app.a: kind is missing: …`},
	{"no target", "[app.a]\nkind = \"wsgi\"", `1:6: app.a: target is missing: kind "wsgi" wants MODULE or MODULE:CALLABLE…`},
	{"bad targets", "[app.a]\nkind = \"wsgi\"\ntarget = \"a/b.py\"\n[app.b]\nkind = \"fcgi\"\ntarget = \"https://:1\"\n[app.c]\nkind = \"exec\"\ntarget = \"a 'b\"\n[[route]]\napp=\"a\"",
		"3:1: app.a.target: \"a/b.py\" does not name a module…\n6:1: app.b.target: \"https://:1\" is not where a FastCGI server can be…\n9:1: app.c.target: a quote without its end…"},
	{"settings that mean nothing", "[app.a]\nkind = \"fcgi\"\ntarget = \":1\"\npython = \"python3\"\nenv = { A = \"b\" }\ntimeout = { start = \"1s\" }\nthreads = 2",
		"4:1: app.a.python: means nothing to an app of kind \"fcgi\"\n5:1: app.a.env: means…\n6:13: app.a.timeout.start: means…\n7:1: app.a.threads: means…"},
	{"bad variables", "[app.a]\nkind = \"demo\"\nenv = { 1A = \"\", B = 1, \"C D\" = \"\" }",
		"3:9: app.a.env.1A: \"1A\" is not a variable's name…\n3:22: app.a.env.B: an integer, want a string\n3:25: app.a.env.C D: \"C D\" is not…"},
	{"bad handlers", "[app.a]\nkind = \"folder\"\ntarget = \"d\"\nhandlers = { py = \"wsgi\", \".a/b\" = \"cgi\", \".x\" = \"pyton\", \".y\" = 1 }\n[app.b]\nkind = \"demo\"\nhandlers = { }\n" +
		"[[route]]\npath = \"/b/\"\napp = \"b\"\nhandlers = { \".py\" = \"off\" }\n[[route]]\napp = \"a\"\nhandlers = 1",
		"4:14: app.a.handlers.py: \"py\" is no extension; want a dot…\n4:27: app.a.handlers..a/b: \".a/b\": one dot…\n4:50: app.a.handlers..x: \"pyton\" is not one of…\n4:66: app.a.handlers..y: an integer…\n" +
			"7:1: app.b.handlers: means nothing…\n11:1: route.handlers: means nothing…\n14:12: route.handlers: an integer, want a table…"},
	{"bad name", "[app.\"a b\"]\nkind = \"demo\"", `1:6: app.a b: "a b" is not an app's name…`},
	{"two apps and no route", "[app.a]\nkind = \"demo\"\n[app.b]\nkind = \"demo\"", "1:6: app.a: one of 2 apps and no [[route]] says which serves what\n3:6: app.b: one of 2…"},
	{"route to no app", "[app.blog]\nkind = \"demo\"\n[[route]]\napp = \"blgo\"", `4:1: route.app: no app "blgo", did you mean "blog"?; there is "blog"`},
	{"route to nothing, and files that leave an app nothing", "[[route]]\npath = \"/a\"\n[[route]]\nroot = \"x\"\napp = \"y\"\nfallback = \"/index.html\"\ninternal = true\n[app.y]\nkind = \"demo\"",
		"1:3: route: app or root is missing…\n6:1: route.fallback: the app is never reached: \"/index.html\" takes every path…\n7:1: route.internal: only a route with root, and without app…"},
	{"fallback without files", "[app.w]\nkind = \"wsgi\"\ntarget = \"w\"\nfallback = \"/index.py\"\n[app.f]\nkind = \"fcgi\"\ntarget = \"unix:/f\"\nfallback = \"/x.php\"\n" +
		"[app.p]\nkind = \"php\"\ntarget = \"p\"\nfallback = \"index.php\"\n[[route]]\npath = \"/f/\"\napp = \"f\"\n[[route]]\napp = \"w\"\nfallback = \"/x\"",
		"4:1: app.w.fallback: means nothing to an app of kind \"wsgi\"\n8:1: app.f.fallback: means nothing without directory…\n12:12: app.p.fallback: \"index.php\" is not a file's path…\n18:1: route.fallback: only a route with root…"},
	{"same route twice", "[[route]]\nroot = \"a\"\nhost = \"EXAMPLE.com\"\n[[route]]\nroot = \"b\"\nhost = \"example.com.\"", `4:3: route: never reached: the route at line 1 takes every "/" of example.com`},
	{"hidden by a wider one", "[[route]]\nroot = \"a\"\n[[route]]\nroot = \"b\"\nhost = \"a.b\"\npath = \"/x\"", `3:3: route: never reached: the route at line 1 takes every "/"`},
	{"hidden by a wildcard", "[[route]]\nroot = \"a\"\nhost = \"*.b.c\"\npath = \"/x\"\n[[route]]\nroot = \"b\"\nhost = \"a.b.c\"\npath = \"= /x/y\"", `5:3: route: never reached: the route at line 1 takes every "/x" of *.b.c`},
	{"bad paths", "[[route]]\nroot = \"a\"\npath = \"x\"\n[[route]]\nroot = \"b\"\npath = \"~ (\"\n[[route]]\nroot = \"c\"\npath = \"/a/../b\"\n[[route]]\nroot = \"d\"\npath = \"= /a?b\"",
		"3:8: route.path: \"x\" does not begin with \"/\"…\n6:8: route.path: \"(\" is not an expression…\n9:8: route.path: \"/a/../b\" has a \".\" or \"..\"…\n12:8: route.path: \"= /a?b\" has a query…"},
	{"bad hosts", "[[route]]\nroot = \"a\"\nhost = \"http://x\"", `3:8: route.host: "http://x" is not a host…`},
	{"a root needs no worker", "[[route]]\nroot = \"a\"\nqueue = { timeout = \"1s\" }", `3:1: route.queue: means nothing to a route with root…`},
	{"the app's limits in a route", "[app.a]\nkind = \"demo\"\n[[route]]\napp = \"a\"\ntimeout = { stop = \"1s\" }", `5:13: route.timeout.stop: unknown key…`},
	{"variable that is not set", "[log]\nfile = \"${A}/${B:-x}\"", `2:8: log.file: the environment has no A; ${A:-default} gives a default`},
	{"bad variable", "[log]\nfile = \"${A\"\nlevel = \"${1}\"", "2:8: log.file: \"${\" without \"}\"…\n3:9: log.level: \"${1}\" is not ${NAME}…"},
	{"no secret", "[app.a]\nkind = \"demo\"\nenv = { S = \"file:/nowhere/x\", E = \"file:\" }", "3:13: app.a.env.S: cannot read the secret: open /nowhere/x…\n3:36: app.a.env.E: \"file:\" without a path"},
	{"set twice", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n[log]\n", "3:1: log.level: set twice, first at line 2\n4:2: log: set twice, first at line 1"},
	{"table twice by other means", "[server]\nqueue = { size = 1 }\n[server.queue]\nsize = 2", `3:9: server.queue: set twice, first at line 2`},
	{"app twice", "[app.a]\nkind = \"demo\"\n[app.a]\nkind = \"demo\"", `3:6: app.a: set twice, first at line 1`},
	{"every slip of syntax", "[server]\nlisten = [\":1\"\ncontrol = \n[log\nlevel = \"inf\"\nacces = true",
		"3:1: not TOML: …\n4:5: not TOML: …"},
	{"syntax and sense", "[server]\nlisten = \nlisen = 1\n[app.a]\n[log]\nlevel = 1 2", "2:10: not TOML: …\n3:1: server.lisen: unknown…\n6:11: not TOML: …"},
	{"lines that end as on Windows", "\ufeff[log]\r\nlevel = 1\r\n", `2:9: log.level: an integer, want one of "debug", "info", "warn", "error"`},
	{"end of the file", "[log]\nlevel =", "2:7: not TOML: …"},
	{"column in characters", "[app.ä]\nkind = \"demo\"\n[log]\nlevel = \"é\" ; x", "1:6: not TOML: …\n4:13: not TOML: …"},
}

func TestErrors(t *testing.T) {
	for _, c := range wrong {
		t.Run(c.name, func(t *testing.T) {
			config, errs := Parse("f.toml", []byte(c.file), noEnv)
			if config != nil {
				t.Error("a Config beside the errors")
			}
			want := strings.Split(c.errors, "\n")
			for i := range max(len(want), len(errs)) {
				switch {
				case i >= len(errs):
					t.Errorf("missing: %s", want[i])
				case i >= len(want):
					t.Errorf("too much: %v", errs[i])
				default:
					got := strings.TrimPrefix(errs[i].Error(), "f.toml:")
					exact, open := strings.CutSuffix(want[i], "…")
					if got != exact && !(open && strings.HasPrefix(got, exact)) {
						t.Errorf("error %d is\n%s, want\n%s", i, got, want[i])
					}
				}
			}
		})
	}
}

func TestEmptyFileIsDefault(t *testing.T) {
	got, want := mustParse(t, ""), Default()
	// What is left of a file that was cut off is told, but a file of none is one.
	want.Warnings = Errors{{got.File, Pos{1, 1}, "", "no app and no route: every request is answered 404"}}
	got.File, got.Server.Set, got.Log.Set, got.Metrics.Set, got.Incidents.Set = "", nil, nil, nil, nil
	got.Mail.Set, got.Webhook.Set = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestContractExample(t *testing.T) {
	c := mustParse(t, `
[server]
listen           = ["127.0.0.1:8080", "fcgi+unix:/run/f.sock"]
control          = "/run/frontd/control.sock"
shutdown_timeout = "20s"
trusted_proxies  = ["127.0.0.1/32", "::1"]
[app.blog]
kind        = "wsgi"
target      = "blog.wsgi:application"
directory   = "blog"
python      = "/srv/blog/.venv/bin/python"
workers     = 8
threads     = "${THREADS:-4}"
env         = { DJANGO_SETTINGS_MODULE = "blog.settings", PRICE = "$5 $${x} ${P}" }
body        = "stream"
max_body    = "64MiB"
queue       = { size = 1024, timeout = "5s" }
timeout     = { start = "30s", request = "60s", first_byte = "0s", stop = "30s" }
[[route]]
host    = "Example.com"
path    = "/static/"
root    = "static"
[[route]]
path = '~ \.php$'
root = "/none"
[[route]]
path      = "/"
app       = "blog"
max_body  = "1MB"
timeout.first_byte = "1m30s"
`, "THREADS", "6", "P", "$${THREADS}")
	s := c.Server
	if len(s.Listen) != 2 || s.Listen[1] != (Address{"fcgi", "unix", "/run/f.sock"}) || s.ShutdownTimeout != 20*time.Second {
		t.Errorf("server is %+v", s)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}; !reflect.DeepEqual(s.TrustedProxies, want) {
		t.Errorf("trusted_proxies is %v", s.TrustedProxies)
	}
	a := c.App("blog")
	if a.Directory != "/etc/frontd/blog" || a.Threads != 6 || a.Workers != 8 || a.Kind != KindWSGI {
		t.Errorf("app.blog is %+v", a)
	}
	// What a variable brings is not looked at again.
	if want := []string{"DJANGO_SETTINGS_MODULE=blog.settings", "PRICE=$5 ${x} $${THREADS}"}; !reflect.DeepEqual(a.Environ(), want) {
		t.Errorf("env is %q, want %q", a.Environ(), want)
	}
	if r := c.Routes[0]; r.Host != "example.com" || r.Root != "/etc/frontd/static" || r.Path.Match != MatchPrefix {
		t.Errorf("route 1 is %+v", r)
	}
	if p := c.Routes[1].Path; !p.Regexp.MatchString("/a.php") || p.Regexp.MatchString("/a.phpx") {
		t.Errorf("route 2 is %+v", p)
	}
	if r := c.Routes[2]; !r.Set.Has("timeout.first_byte") || r.Set.Has("timeout.request") || r.Set["app"] != (Pos{28, 1}) {
		t.Errorf("route 3 has set %v", r.Set)
	}
}

func TestMostSpecificWins(t *testing.T) {
	c := mustParse(t, `
server.max_body = 1
server.timeout.request = "1s"
server.queue.size = 1
app.a = { kind = "demo", max_body = 2, timeout.request = "2s", timeout.stop = "2s" }
app.b = { kind = "demo" }
route = [
  { path = "/x", app = "a", timeout.request = "0s" },
  { path = "/", app = "b", max_body = 3 },
]`)
	d := Default().Server.Limits
	want := Limits{2, 256 << 10, 1 << 30, Timeouts{d.Timeout.Start, 0, 0, 0, 2 * time.Second}, Queue{1, d.Queue.Timeout}}
	if got := c.Limits(c.Routes[0]); got != want {
		t.Errorf("limits of /x are %+v, want %+v", got, want)
	}
	want = Limits{3, 256 << 10, 1 << 30, Timeouts{d.Timeout.Start, time.Second, 0, 0, d.Timeout.Stop}, Queue{1, d.Queue.Timeout}}
	if got := c.Limits(c.Routes[1]); got != want {
		t.Errorf("limits of / are %+v, want %+v", got, want)
	}
	want.MaxBody = 1
	if got := c.AppLimits(c.App("b")); got != want {
		t.Errorf("limits of app b are %+v, want %+v", got, want)
	}
}

func TestOnlyAppNeedsNoRoute(t *testing.T) {
	c := mustParse(t, "[app.a]\nkind = \"demo\"")
	if len(c.Routes) != 1 || c.Routes[0].App != "a" || c.Routes[0].Path.Text != "/" {
		t.Errorf("routes are %+v", c.Routes)
	}
}

func TestTargets(t *testing.T) {
	c := mustParse(t, `
app.php = { kind = "php", target = "public", directory = "site" }
app.exec = { kind = "exec", target = 'perl "a b.pl" -x\ y' }
app.fpm = { kind = "fcgi", target = "fcgi://php:9000" }
route = [ { app = "php", path = "/a" }, { app = "exec", path = "/b" }, { app = "fpm", path = "/c" } ]`)
	if got := c.App("php").Target; got != "/etc/frontd/site/public" {
		t.Errorf("php target is %q", got)
	}
	if got := c.App("exec").Command; !reflect.DeepEqual(got, []string{"perl", "a b.pl", "-x y"}) {
		t.Errorf("exec command is %q", got)
	}
	if got := c.App("fpm").Address; got != (Address{"fcgi", "tcp", "php:9000"}) {
		t.Errorf("fcgi address is %+v", got)
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"private": 0o600, "open": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("s3cret\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "f.toml")
	text := `app.a = { kind = "demo", env = { A = "file:private", B = "file:${DIR}/open", C = "text:file:x", D = "${V}" } }`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, errs := Load(file, envOf("DIR", dir, "V", "file:private"))
	if errs != nil {
		t.Fatal(errs)
	}
	want := []Variable{{"A", "s3cret", true}, {"B", "s3cret", true}, {"C", "file:x", false}, {"D", "file:private", false}}
	if got := c.App("a").Env; !reflect.DeepEqual(got, want) {
		t.Errorf("env is %+v, want %+v", got, want)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Reason, "others than its owner may read "+dir+"/open") {
		t.Errorf("warnings are %v, want one about open", c.Warnings)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	_, errs := Load("/nowhere/f.toml", noEnv)
	if got, want := errs.Err().Error(), "/nowhere/f.toml: cannot read the configuration: no such file or directory"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}
