package app

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tree makes files in a new folder. A name that ends in / is a folder, one
// that ends in * is executable.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path, mode := filepath.Join(dir, name), os.FileMode(0o644)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if p, ok := strings.CutSuffix(path, "*"); ok {
			path, mode = p, 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const managePy = `#!/usr/bin/env python
import os
def main():
    os.environ.setdefault('DJANGO_SETTINGS_MODULE', '%')
`

func TestParse(t *testing.T) {
	dir := tree(t, map[string]string{
		"www/index.php":            "<?php",
		"www/info.php":             "<?php",
		"cgi/hello*":               "#!/bin/sh\n",
		"cgi/data":                 "",
		"bin/server*":              "",
		"my server*":               "",
		"plain.txt":                "",
		"flask/app.py":             "",
		"both/wsgi.py":             "",
		"both/app.py":              "",
		"single.py":                "",
		"runnable.py*":             "",
		"a.b.py":                   "",
		"empty/":                   "",
		"django/manage.py*":        strings.Replace(managePy, "%", "blog.settings", 1),
		"django/blog/wsgi.py":      "",
		"deep/manage.py":           strings.Replace(managePy, "%", "config.settings.local", 1),
		"deep/config/wsgi.py":      "",
		"nowsgi/manage.py":         strings.Replace(managePy, "%", "blog.settings", 1),
		"nosettings/manage.py":     "print('hello')",
		"odd:name/index.php":       "<?php",
		"index.php-folder/x":       "",
		"phpdir/index.php/file":    "",
		"mixed/tool.cgi*":          "",
		"mixed/page.html":          "",
		"plain/.x.py":              "",
		"laravel/composer.json":    "{}",
		"laravel/public/index.php": "<?php",
		"laravel/server.php":       "<?php",
		"drupal/composer.json":     "{}",
		"drupal/web/index.php":     "<?php",
		"some/web/index.php":       "<?php",
		"rack/config.ru":           "",
		"plain/readme.txt":         "",
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	tests := []struct {
		spec string
		want App    // Why is not compared but must be there for a path
		err  string // in the error
	}{
		{spec: "", want: App{Kind: Demo, Dir: dir}},
		{spec: "demo", want: App{Kind: Demo, Dir: dir}},
		{spec: "demo:", want: App{Kind: Demo, Dir: dir}},
		{spec: "demo:x", err: "takes no target"},

		{spec: "wsgi:blog", want: App{Kind: WSGI, Target: "blog", Dir: dir}},
		{spec: "wsgi:blog.wsgi:application", want: App{Kind: WSGI, Target: "blog.wsgi:application", Dir: dir}},
		{spec: "wsgi:blog:create_app()", want: App{Kind: WSGI, Target: "blog:create_app()", Dir: dir}},
		{spec: "wsgi:", err: "no module"},
		{spec: "wsgi:blog/wsgi.py", err: "is a file, not a module"},
		{spec: "wsgi:blog.py", err: "is a file, not a module"},
		{spec: "wsgi:blog..wsgi", err: "not a module name"},
		{spec: "wsgi:blog:", err: "no callable"},

		{spec: "php:www", want: App{Kind: PHP, Target: in("www"), Dir: dir}},
		{spec: "php:" + in("www"), want: App{Kind: PHP, Target: in("www"), Dir: dir}},
		{spec: "php:", err: "no document root"},
		{spec: "php:none", err: "no such file"},
		{spec: "php:plain.txt", err: "not a directory"},

		{spec: "cgi:cgi", want: App{Kind: CGI, Target: in("cgi"), Dir: dir}},
		{spec: "cgi:cgi/hello", want: App{Kind: CGI, Target: in("cgi/hello"), Dir: dir}},
		{spec: "cgi:cgi/data", err: "chmod +x"},
		{spec: "cgi:", err: "no program"},

		{spec: "exec:perl -w 'a b.pl'", want: App{Kind: Exec, Target: "perl -w 'a b.pl'", Args: []string{"perl", "-w", "a b.pl"}, Dir: dir}},
		{spec: "exec:", err: "no command"},
		{spec: "exec:perl 'x", err: "never closed"},
		{spec: "exec:perl x > log", err: "no shell"},

		{spec: "fcgi:127.0.0.1:9000", want: App{Kind: FCGI, Target: "127.0.0.1:9000", Dir: dir}},
		{spec: "fcgi:unix:/run/php.sock", want: App{Kind: FCGI, Target: "unix:/run/php.sock", Dir: dir}},
		{spec: "fcgi:unix:@php", want: App{Kind: FCGI, Target: "unix:@php", Dir: dir}},
		{spec: "fcgi:unix:php.sock", err: "must begin with /"},
		{spec: "fcgi:unix:@", err: "needs a name"},
		{spec: "fcgi:9000", err: "HOST:PORT"},
		{spec: "fcgi:localhost:http", err: "port"},
		{spec: "fcgi:localhost:65536", err: "port"},
		{spec: "fcgi:unix:/" + strings.Repeat("x", 108), err: "at most"},

		{spec: "go:bin/server", want: App{Kind: Go, Target: in("bin/server"), Dir: dir}},
		{spec: "go:bin", err: "build it first"},
		{spec: "go:plain.txt", err: "chmod +x"},

		{spec: "www", want: App{Kind: PHP, Target: in("www"), Dir: in("www")}},
		{spec: "odd:name", want: App{Kind: PHP, Target: in("odd:name"), Dir: in("odd:name")}},
		{spec: "www/info.php", want: App{Kind: PHP, Target: in("www"), Dir: in("www")}},
		{spec: "bin/server", want: App{Kind: Exec, Target: in("bin/server"), Args: []string{in("bin/server")}, Dir: dir}},
		{spec: in("my server"), want: App{Kind: Exec, Target: "'" + in("my server") + "'", Args: []string{in("my server")}, Dir: dir}},
		{spec: "flask", want: App{Kind: WSGI, Target: "app", Dir: in("flask")}},
		{spec: "both", want: App{Kind: WSGI, Target: "wsgi", Dir: in("both")}},
		{spec: "single.py", want: App{Kind: WSGI, Target: "single", Dir: dir}},
		{spec: "runnable.py", want: App{Kind: WSGI, Target: "runnable", Dir: dir}},
		{spec: "django", want: App{Kind: WSGI, Target: "blog.wsgi:application", Dir: in("django")}},
		{spec: "django/manage.py", want: App{Kind: WSGI, Target: "blog.wsgi:application", Dir: in("django")}},
		{spec: "deep", want: App{Kind: WSGI, Target: "config.wsgi:application", Dir: in("deep")}},
		{spec: "nowsgi", err: in("nowsgi/blog/wsgi.py")},
		{spec: "nosettings", err: "DJANGO_SETTINGS_MODULE"},
		{spec: "a.b.py", err: "rename"},
		{spec: "plain.txt", err: "looked for an executable file"},
		{spec: "empty", err: "index.php (PHP), wsgi.py, app.py and manage.py"},
		{spec: "phpdir", err: "looked in this folder"},
		{spec: "mixed", want: App{Kind: Folder, Target: in("mixed"), Dir: in("mixed")}},
		{spec: "laravel", want: App{Kind: PHP, Target: in("laravel/public"), Dir: in("laravel/public")}},
		{spec: "drupal", want: App{Kind: PHP, Target: in("drupal/web"), Dir: in("drupal/web")}},
		{spec: "some", err: "looked in this folder"},
		{spec: "rack", err: "docs/ruby.md"},
		{spec: "cgi", err: "is folder:" + in("cgi")},
		{spec: "plain", err: "looked in this folder"},
		{spec: "folder:plain", want: App{Kind: Folder, Target: in("plain"), Dir: dir}},
		{spec: "folder:", err: "no folder"},
		{spec: "folder:plain.txt", err: "not a folder"},
		{spec: "folder:none", err: "no such file"},

		{spec: "dmeo", err: "did you mean demo?"},
		{spec: "wgsi:blog", err: "did you mean wsgi:MODULE[:CALLABLE]?"},
		{spec: "PHP:www", err: "did you mean php:DOCROOT?"},
		{spec: "wsgi", err: "write wsgi:MODULE[:CALLABLE]"},
		{spec: "nowhere", err: "allowed are:"},
		{spec: "plain.txt/x", err: "does not exist"},
		{spec: "a\x00b", err: "NUL"},
	}
	for _, test := range tests {
		t.Run(test.spec, func(t *testing.T) {
			got, err := Parse(test.spec, dir)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v; want %q in it", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			kind, _, colon := strings.Cut(test.spec, ":")
			if _, form := formOf(Kind(kind)); (colon && form || test.spec == "" || test.spec == "demo") != (got.Why == "") {
				t.Errorf("Why: %q", got.Why)
			}
			got.Why = ""
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v; want %+v", got, test.want)
			}
			again, err := Parse(got.String(), got.Dir)
			if err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("read back from %q: %+v, %v", got, again, err)
			}
		})
	}
}

// TestParseInCurrentDirectory: without a dir paths are the shell's.
func TestParseInCurrentDirectory(t *testing.T) {
	dir := tree(t, map[string]string{"index.php": ""})
	t.Chdir(dir)
	got, err := Parse(".", "")
	if err != nil || got.Docroot() != dir || got.Dir != dir {
		t.Errorf("%+v, %v; want PHP in %s", got, err, dir)
	}
}

func TestCommand(t *testing.T) {
	dir := tree(t, map[string]string{"server*": "", "www/index.php": "", "cgi/x*": "", "path/php-cgi*": "", "path/tool*": ""})
	in := func(name string) string { return filepath.Join(dir, name) }
	t.Setenv("PATH", in("path"))
	tests := []struct {
		spec string
		o    Options
		want Command
		err  string
	}{
		{spec: "demo", o: Options{Self: "/f", SelfArgs: []string{"appworker"}},
			want: Command{Path: "/f", Args: []string{"appworker", "demo", "--threads", "128"}, Concurrency: 128}},
		{spec: "cgi:cgi", o: Options{Self: "/a"},
			want: Command{Path: "/a", Args: []string{"cgi:" + in("cgi"), "--threads", "1"}, Concurrency: 1}},
		{spec: "cgi:cgi", o: Options{Self: "/a", Threads: 8},
			want: Command{Path: "/a", Args: []string{"cgi:" + in("cgi"), "--threads", "8"}, Concurrency: 8}},
		{spec: "demo", err: "path of this program"},
		{spec: "go:server", want: Command{Path: in("server"), Concurrency: 128}},
		{spec: "exec:./server -x 'a b'", want: Command{Path: in("server"), Args: []string{"-x", "a b"}, Concurrency: 1}},
		{spec: "exec:tool", o: Options{Threads: 3}, want: Command{Path: in("path/tool"), Args: []string{}, Concurrency: 3}},
		{spec: "exec:no-such-tool", err: "not found in $PATH"},
		{spec: "exec:./none", err: "no such file"},
		{spec: "exec:./www", err: "not a regular file"},
		{spec: "fcgi:127.0.0.1:1", err: ErrNotHosted.Error()},
	}
	for _, test := range tests {
		t.Run(test.spec, func(t *testing.T) {
			a, err := Parse(test.spec, dir)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Command(test.o)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v; want %q in it", err, test.err)
				}
				return
			}
			test.want.Dir = dir
			if err != nil || !slices.Equal(got.Args, test.want.Args) {
				t.Fatalf("got %+v, %v; want %+v", got, err, test.want)
			}
			got.Args, test.want.Args = nil, nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v; want %+v", got, test.want)
			}
		})
	}
}

func TestCommandOfNoKind(t *testing.T) {
	if _, err := (App{Kind: FCGI, Target: "a:1"}).Command(Options{}); !errors.Is(err, ErrNotHosted) {
		t.Errorf("fcgi: %v; want ErrNotHosted", err)
	}
	if _, err := (App{Kind: "x"}).Command(Options{}); err == nil {
		t.Error("an unknown kind has a command")
	}
	c, err := App{Kind: Exec, Target: "sh -c 'exit 1'"}.Command(Options{})
	if err != nil || !slices.Equal(c.Args, []string{"-c", "exit 1"}) {
		t.Errorf("exec that Parse did not make: %+v, %v", c, err)
	}
}

func TestPHPCommand(t *testing.T) {
	dir := tree(t, map[string]string{
		"www/":              "",
		"plain/php-cgi*":    "",
		"old/php-cgi7.4*":   "",
		"new/php8.10-cgi*":  "",
		"new/php8.9-cgi*":   "",
		"alpine/php-cgi83*": "",
		"not/php-cgi8.9":    "", // not executable
	})
	in := func(names ...string) string {
		for i := range names {
			names[i] = filepath.Join(dir, names[i])
		}
		return strings.Join(names, string(os.PathListSeparator))
	}
	for _, test := range []struct{ path, want string }{
		{in("new", "plain"), in("plain/php-cgi")},
		{in("old", "alpine"), in("alpine/php-cgi83")},
		{in("alpine", "new", "old"), in("new/php8.10-cgi")},
		{in("not"), ""},
		{"", ""},
	} {
		t.Setenv("PATH", test.path)
		c, err := App{Kind: PHP, Target: in("www")}.Command(Options{})
		switch {
		case test.want == "" && (err == nil || !strings.Contains(err.Error(), "apt install php-cgi")):
			t.Errorf("PATH=%s: %v; want the package's name", test.path, err)
		case test.want != "" && (c.Path != test.want || c.Concurrency != 1):
			t.Errorf("PATH=%s: %+v, %v; want %s", test.path, c, err, test.want)
		}
	}
	t.Setenv("PATH", in("plain"))
	for dev, want := range map[bool]string{false: "display_errors=0", true: "display_errors=1"} {
		c, err := App{Kind: PHP, Target: in("www")}.Command(Options{Dev: dev})
		if err != nil || !slices.Contains(c.Args, want) {
			t.Errorf("Dev %v: %q, %v; want %s", dev, c.Args, err, want)
		}
	}
}
