package importer

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/frontd/frontd/config"
)

var update = flag.Bool("update", false, "write what is made now as what is wanted")

// convert makes a file of a source by the name of its folder.
func convert(t *testing.T, path string) string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	switch filepath.Base(filepath.Dir(path)) {
	case "uwsgi":
		out, err = UWSGI("/etc/uwsgi/"+filepath.Base(path), src)
	case "unit":
		out, err = Unit(src)
	case "php-fpm":
		out, err = PHPFPM(src)
	case "gunicorn":
		out, err = Gunicorn("/srv", src, []string{"gunicorn", "-w", "3", "--access-logfile=-", "-b0.0.0.0:9000", "--reload", "shop.wsgi"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sources(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, pattern := range []string{"uwsgi/*.ini", "unit/*.json", "php-fpm/*.conf", "gunicorn/*.py"} {
		found, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		list = append(list, found...)
	}
	return list
}

// What is written is what frontd reads, without an error, and as it was seen
// to be right.
func TestSources(t *testing.T) {
	for _, path := range sources(t) {
		t.Run(strings.ReplaceAll(path[len("testdata/"):], "/", ":"), func(t *testing.T) {
			out := convert(t, path)
			env := func(name string) (string, bool) {
				if name == "SECRET_KEY" {
					return "x", true
				}
				return "", false
			}
			if _, errs := config.Parse("frontd.toml", []byte(out), env); len(errs) > 0 {
				t.Errorf("the file that was made is refused: %v\n%s", errs, out)
			}
			golden := path + ".toml"
			if *update {
				if err := os.WriteFile(golden, []byte(out), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out != string(want) {
				t.Errorf("made:\n%s\nwant:\n%s", out, want)
			}
		})
	}
}

// No setting is dropped in silence: one that is not known is named.
func TestUnknownSettingsAreNamed(t *testing.T) {
	for _, test := range []struct {
		what string
		make func() (string, error)
	}{
		{"uwsgi", func() (string, error) { return UWSGI("x.ini", []byte("[uwsgi]\nno-such-thing = 17\n")) }},
		{"unit", func() (string, error) {
			return Unit([]byte(`{"applications":{"a":{"type":"php","root":"/srv","no-such-thing":17}}}`))
		}},
		{"php-fpm", func() (string, error) { return PHPFPM([]byte("[www]\nno-such-thing = 17\n")) }},
		{"gunicorn", func() (string, error) { return Gunicorn("/srv", []byte("no_such_thing = 17\n"), nil) }},
	} {
		out, err := test.make()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.ReplaceAll(out, "_", "-"), "no-such-thing = 17: no counterpart") {
			t.Errorf("%s: no-such-thing is not named:\n%s", test.what, out)
		}
	}
}

// Nothing of a source ends its comment or its string.
func TestNothingBreaksOut(t *testing.T) {
	evil := "x\r[app.evil]\u2028kind = \"exec\"\\\"\x00"
	for what, make := range map[string]func() (string, error){
		"uwsgi": func() (string, error) {
			return UWSGI("x.ini", []byte("[uwsgi]\nmodule = "+evil+"\nbogus = "+evil+"\nenv = A="+evil))
		},
		"php-fpm": func() (string, error) {
			return PHPFPM([]byte("[www]\nuser = " + evil + "\nbogus = " + evil + "\nenv[A] = " + evil))
		},
		"gunicorn": func() (string, error) {
			return Gunicorn("/srv", nil, []string{"--user", evil, "--bogus", evil, "-e", "A=" + evil, evil})
		},
	} {
		out, err := make()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var tree map[string]any
		if err := toml.Unmarshal([]byte(out), &tree); err != nil {
			t.Errorf("%s: not TOML: %v\n%s", what, err, out)
		}
		if apps, _ := tree["app"].(map[string]any); apps["evil"] != nil {
			t.Errorf("%s: the source made an app of its own:\n%s", what, out)
		}
	}
}

func TestRefusedSources(t *testing.T) {
	for _, test := range []struct {
		make func() (string, error)
		want string
	}{
		{func() (string, error) { return UWSGI("x", []byte("<uwsgi></uwsgi>")) }, "not uWSGI's ini"},
		{func() (string, error) { return UWSGI("x", []byte("[uwsgi\n")) }, "line 1: a section without its ]"},
		{func() (string, error) { return Unit([]byte("{\n\"a\": }")) }, "line 2: not JSON"},
		{func() (string, error) { return Unit([]byte("{} {}")) }, "more than one value"},
		{func() (string, error) { return Unit([]byte("[]")) }, "an object is expected"},
		{func() (string, error) { return Gunicorn("/srv", nil, []string{"-w"}) }, "-w has no value"},
		{func() (string, error) { return PHPFPM([]byte("= 3")) }, "line 1: a value without a name"},
	} {
		if _, err := test.make(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

// fuzz holds that any source makes TOML, or an error.
func fuzz(f *testing.F, pattern string, make func(src string) (string, error)) {
	list, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(list) == 0 {
		f.Fatal(list, err)
	}
	for _, path := range list {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Fuzz(func(t *testing.T, src string) {
		out, err := make(src)
		if err != nil {
			return
		}
		var tree map[string]any
		if err := toml.Unmarshal([]byte(out), &tree); err != nil {
			t.Fatalf("not TOML: %v\n%s", err, out)
		}
	})
}

func FuzzUWSGI(f *testing.F) {
	fuzz(f, "uwsgi/*.ini", func(src string) (string, error) { return UWSGI("/etc/site.ini", []byte(src)) })
}

func FuzzUnit(f *testing.F) {
	fuzz(f, "unit/*.json", func(src string) (string, error) { return Unit([]byte(src)) })
}

func FuzzPHPFPM(f *testing.F) {
	fuzz(f, "php-fpm/*.conf", func(src string) (string, error) { return PHPFPM([]byte(src)) })
}

func FuzzGunicorn(f *testing.F) {
	fuzz(f, "gunicorn/*.py", func(src string) (string, error) {
		return Gunicorn("/srv", []byte(src), strings.Fields(src)[:min(len(strings.Fields(src)), 8)])
	})
}

// A factory stays one: taken for the application itself it would fail each
// request.
func TestFactories(t *testing.T) {
	for target, want := range map[string]string{
		"shop:create_app()":       `target = "shop:create_app()"`,
		"shop.web:make('x', 2)":   `target = "shop.web:make()"`,
		"shop.web:Factory.make()": `target = "shop.web:Factory.make()"`,
	} {
		out, err := Gunicorn("/srv", nil, []string{target})
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("gunicorn %s: %v\n%s\nwant %s", target, err, out, want)
		}
	}
	out, err := Unit([]byte(`{"listeners": {"*:80": {"pass": "applications/a"}},
		"applications": {"a": {"type": "python", "module": "shop", "callable": "create_app", "factory": true}}}`))
	if want := `target = "shop:create_app()"`; err != nil || !strings.Contains(out, want) {
		t.Errorf("Unit: %v\n%s\nwant %s", err, out, want)
	}
}

// gunicorn starts one worker if it was not told how many, frontd one for each CPU.
func TestGunicornOneWorker(t *testing.T) {
	for conf, want := range map[string]bool{"": true, "workers = 4\n": false, "workers = 2 * cpu_count()\n": false} {
		out, err := Gunicorn("/srv", []byte(conf), []string{"shop"})
		if got := strings.Contains(out, "\nworkers = 1  #"); err != nil || got != want {
			t.Errorf("%q: %v, one worker is written: %v, want %v\n%s", conf, err, got, want, out)
		}
	}
}

// Sockets that were named from where the system was started, and several of them; commands whose
// arguments have blanks.
func TestWholePathsAndWords(t *testing.T) {
	for _, c := range []struct {
		convert func() (string, error)
		want    string
	}{
		{func() (string, error) {
			return Gunicorn("/srv/shop", nil, []string{"-b", "unix:shop.sock", "shop:app"})
		}, `listen = ["unix:/srv/shop/shop.sock"]`},
		{func() (string, error) {
			return Gunicorn("/srv", nil, []string{"-b", "unix:s.sock", "--chdir", "shop", "shop:app"})
		}, `listen = ["unix:/srv/shop/s.sock"]`},
		{func() (string, error) {
			return Gunicorn("/srv", []byte("chdir = '/x'\nbind = ['unix:a/s.sock', ':80']"), nil)
		}, `listen = ["unix:/x/a/s.sock", ":80"]`},
		{func() (string, error) {
			return UWSGI("/srv/shop/u.ini", []byte("[uwsgi]\nhttp-socket = run/u.sock\nmodule = shop"))
		}, `listen = ["unix:/srv/shop/run/u.sock"]`},
		{func() (string, error) {
			return Unit([]byte(`{"listeners": {"*:80": {"pass": "applications/a"}}, "applications": {"a": {"type": "external", "executable": "bin/a", "arguments": ["--tmp", "/a b", "it's", ""]}}}`))
		}, `target = "bin/a --tmp '/a b' 'it'\\''s' ''"`},
	} {
		out, err := c.convert()
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%v, made:\n%s\nwant %s", err, out, c.want)
		}
	}
}

// Values of php-fpm, which are PHP's: a comment begins anywhere outside of quotes.
func TestValuesOfPHP(t *testing.T) {
	for in, want := range map[string]string{
		"10s;": "10s", "10s ; a comment": "10s", `"a;b" ; c`: "a;b", `'a "b'`: `a "b`, `"%m \"%r\"" ; c`: `%m "%r"`, "a b": "a b", "": "",
		`x "y;z" w ; c`: `x "y;z" w`, `"open`: `"open`,
	} {
		if got := unquoted(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	out, err := PHPFPM([]byte("[www]\npm = ondemand\npm.max_children = 9;\npm.min_spare_servers = 2\npm.process_idle_timeout = 30s;\n"))
	for _, want := range []string{`workers = { min = 0, max = 9, idle = "30s" }`, "# pm.min_spare_servers = 2: only"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v, made:\n%s\nwant %s", err, out, want)
		}
	}
}

// Switches of gunicorn's command line take no value: what follows is the next
// argument, or the application.
func TestGunicornSwitches(t *testing.T) {
	out, err := Gunicorn("/srv", nil, []string{
		"--do-handshake-on-connect", "--strip-header-spaces", "--permit-unconventional-http-method", "--no-control-socket", "--log-syslog",
		"--keep-alive", "65", "--umask", "0o22", "--access-logformat", "x", "--proxy-allow-from", "10.0.0.1", "--tolerate-dangerous-framing",
		"--max-requests-jitter", "5", "--keyfile", "k.pem", "shop:app",
	})
	for _, want := range []string{`target = "shop:app"`, `idle_timeout = "1m5s"`, `umask = "022"`, "# access_log_format = x: the line's form", `trusted_proxies = ["10.0.0.1"]`,
		"# max_requests_jitter = 5: nothing", "# certfile, keyfile = k.pem: TLS takes both"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v, made:\n%s\nwant %s", err, out, want)
		}
	}
}

// As many workers as cores is what frontd has without being told; nothing of the rest is lost.
func TestWorkersByCores(t *testing.T) {
	out, err := UWSGI("/srv/u.ini", []byte("[uwsgi]\nmodule = shop\nprocesses = %k\n"))
	if err != nil || strings.Contains(out, "\nworkers") || !strings.Contains(out, "# processes = %k: not needed") {
		t.Errorf("%v, made:\n%s", err, out)
	}
	out, err = UWSGI("/srv/u.ini", []byte("[uwsgi]\nmodule = shop\nprocesses = 4\ncheaper = 4\ncheaper-initial = 2\nidle = 7"))
	for _, want := range []string{"\nworkers = 4\n", "# cheaper = 4:", "# cheaper-initial = 2:", "# idle = 7:"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v, made:\n%s\nwant %s", err, out, want)
		}
	}
}

// One process where Unit was told nothing, and threads only where a worker has them.
func TestUnitConcurrency(t *testing.T) {
	for _, c := range []struct{ app, want, not string }{
		{`{"type": "python", "module": "m"}`, "workers = 1 ", "threads"},
		{`{"type": "python", "module": "m", "threads": 3, "processes": 2}`, "workers = 2\nthreads = 3\n", "# threads"},
		{`{"type": "perl", "script": "a.psgi", "threads": 3, "processes": 2}`, "workers = 6\n", "\nthreads"},
		{`{"type": "perl", "script": "a.psgi", "threads": 3}`, "workers = 3\n", "\nthreads"},
	} {
		out, err := Unit([]byte(`{"listeners": {"*:80": {"pass": "applications/a"}}, "applications": {"a": ` + c.app + `}}`))
		lines := strings.ReplaceAll(out, "threads = 3\nworkers = 2\n", "workers = 2\nthreads = 3\n")
		if err != nil || !strings.Contains(lines, c.want) || strings.Contains(out, c.not) {
			t.Errorf("%s: %v, made:\n%s\nwant %s, not %s", c.app, err, out, c.want, c.not)
		}
	}
}
