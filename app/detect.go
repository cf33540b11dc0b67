package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// detect finds out what the file or folder at path is. dir is where the
// worker of a program runs; a folder's worker runs in the folder.
func detect(path, dir string) (App, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return App{}, err
	}
	switch ext := filepath.Ext(path); {
	case fi.IsDir():
		return detectFolder(path)
	case ext == ".py":
		return detectPython(path)
	case ext == ".php":
		folder := filepath.Dir(path)
		return App{Kind: PHP, Target: folder, Dir: folder,
			Why: fmt.Sprintf("%s is a PHP script: its folder is the document root", path)}, nil
	case executable(fi):
		return App{Kind: Exec, Target: quoteWords([]string{path}), Args: []string{path}, Dir: dir,
			Why: fmt.Sprintf("%s is executable: taken for a FastCGI program (a CGI program is cgi:%s)", path, path)}, nil
	}
	return App{}, fmt.Errorf("%s: looked for an executable file, a .py or a .php file: it is none of them"+
		"\n(a program needs chmod +x)", path)
}

// detectPython takes a .py file for a WSGI module, executable or not: that
// bit is common on them, and a FastCGI program in Python is rare.
func detectPython(path string) (App, error) {
	folder, name := filepath.Split(path)
	folder = filepath.Clean(folder)
	if name == "manage.py" {
		return detectDjango(folder)
	}
	module := strings.TrimSuffix(name, ".py")
	if module == "" || strings.ContainsAny(module, ".: \t") {
		return App{}, fmt.Errorf("%s: %q is not a name that Python can import; rename the file", path, module)
	}
	return App{Kind: WSGI, Target: module, Dir: folder,
		Why: fmt.Sprintf("%s is a Python file: taken for a WSGI module (a FastCGI program is exec:%s)", path, path)}, nil
}

func detectFolder(folder string) (App, error) {
	has := func(name string) bool {
		fi, err := os.Stat(filepath.Join(folder, name))
		return err == nil && fi.Mode().IsRegular()
	}
	switch {
	case has("index.php"):
		return App{Kind: PHP, Target: folder, Dir: folder, Why: folder + " has index.php: PHP"}, nil
	case has("wsgi.py"):
		return App{Kind: WSGI, Target: "wsgi", Dir: folder, Why: folder + " has wsgi.py: a WSGI application"}, nil
	case has("app.py"):
		return App{Kind: WSGI, Target: "app", Dir: folder, Why: folder + " has app.py: a WSGI application"}, nil
	case has("manage.py"):
		return detectDjango(folder)
	}
	// The root of such a project holds what no URL may show: keys, logs, databases.
	for _, public := range []string{"public", "web"} {
		if index := filepath.Join(public, "index.php"); has("composer.json") && has(index) {
			root := filepath.Join(folder, public)
			return App{Kind: PHP, Target: root, Dir: root,
				Why: fmt.Sprintf("%s has composer.json and %s: PHP, with the document root %s", folder, index, root)}, nil
		}
	}
	found, err := servable(folder)
	if err != nil {
		return App{}, err
	}
	if found != "" {
		return App{Kind: Folder, Target: folder, Dir: folder,
			Why: fmt.Sprintf("%s has %s, and no index.php, wsgi.py, app.py or manage.py: each URL is a file of this folder", folder, found)}, nil
	}
	return App{}, fmt.Errorf("%s: looked in this folder for index.php (PHP), wsgi.py, app.py and manage.py (Python), "+
		"and for any .py, .cgi, .php or .html file: none is there"+
		"\n(a folder of CGI programs is cgi:%s, a folder of anything is folder:%s%s)", folder, folder, folder, otherLanguage(has))
}

// otherLanguage says what a folder is that takes a command of its own.
func otherLanguage(has func(name string) bool) string {
	for _, o := range []struct{ file, hint string }{
		{"config.ru", "; config.ru is Rack's: docs/ruby.md has a worker for it"},
		{"app.psgi", "; app.psgi is Perl's: docs/perl.md has a worker for it"},
		{"go.mod", "; for a Go program that uses frontd's package worker: go build, then go:./PROGRAM"},
	} {
		if has(o.file) {
			return o.hint
		}
	}
	return ""
}

// servable returns the name of a file, in the order of names, which shows that a
// folder is to be served as it is, or "".
func servable(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".py", ".cgi", ".php", ".html":
			if fi, err := os.Stat(filepath.Join(folder, e.Name())); err == nil && fi.Mode().IsRegular() && e.Name()[0] != '.' {
				return e.Name(), nil
			}
		}
	}
	return "", nil
}

// settingsLine is the line that django-admin startproject writes.
var settingsLine = regexp.MustCompile(`\bos\.environ\.setdefault\(\s*["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([A-Za-z0-9_.]+)["']`)

// maxManagePy bounds what is read of a manage.py, in bytes: Django's own has 700.
const maxManagePy = 1 << 20

// detectDjango finds the WSGI module of a Django project: beside the settings
// that manage.py names, or above them where settings are a package
// (blog.settings.dev -> blog/settings/wsgi.py, then blog/wsgi.py).
func detectDjango(folder string) (App, error) {
	manage := filepath.Join(folder, "manage.py")
	text, err := readBounded(manage, maxManagePy)
	if err != nil {
		return App{}, fmt.Errorf("read manage.py: %w", err)
	}
	m := settingsLine.FindSubmatch(text)
	if m == nil {
		return App{}, fmt.Errorf(`%s: looked for os.environ.setdefault("DJANGO_SETTINGS_MODULE", "..."): it is not there`+
			"\n(write wsgi:MODULE and its directory instead)", manage)
	}
	settings := string(m[1])
	var looked []string
	for pkg := settings; ; {
		i := strings.LastIndexByte(pkg, '.')
		if i < 0 {
			break
		}
		pkg = pkg[:i]
		file := filepath.Join(folder, filepath.FromSlash(strings.ReplaceAll(pkg, ".", "/")), "wsgi.py")
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() {
			return App{Kind: WSGI, Target: pkg + ".wsgi:application", Dir: folder,
				Why: fmt.Sprintf("%s names the settings %s, and %s is there: Django", manage, settings, file)}, nil
		}
		looked = append(looked, file)
	}
	return App{}, fmt.Errorf("%s names the settings %s; looked for its WSGI module in [%s]: not there"+
		"\n(write wsgi:MODULE and its directory instead)", manage, settings, strings.Join(looked, " "))
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = errors.New("larger than 1 MiB: not a manage.py")
	}
	return b, err
}
