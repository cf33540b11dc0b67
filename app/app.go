// Package app says what a worker hosts: it reads the APP argument, detects
// applications from a path, and makes the command that runs one.
package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Kind is a way of hosting an application.
type Kind string

// The kinds of application.
const (
	Demo   Kind = "demo"   // the built-in application
	WSGI   Kind = "wsgi"   // a Python WSGI application (PEP 3333)
	PHP    Kind = "php"    // PHP scripts through php-cgi
	CGI    Kind = "cgi"    // CGI programs (RFC 3875)
	Folder Kind = "folder" // files, and programs of several kinds between them
	Exec   Kind = "exec"   // a FastCGI program that takes its listening socket on fd 0 (FastCGI §2.2)
	FCGI   Kind = "fcgi"   // a FastCGI server already running; not ours to start
	Go     Kind = "go"     // a program built with the SDK
)

// forms are the ways to write APP, in the order in which they are told.
var forms = []struct {
	kind Kind
	form string
	what string
}{
	{Demo, "demo", "the built-in application"},
	{WSGI, "wsgi:MODULE[:CALLABLE]", "a Python WSGI application"},
	{PHP, "php:DOCROOT", "PHP through php-cgi"},
	{CGI, "cgi:PATH", "a CGI program, or a directory of them"},
	{Folder, "folder:DIR", "a folder that mixes .py, .cgi and .php with files"},
	{Exec, "exec:COMMAND...", "a FastCGI program that listens on its standard input"},
	{FCGI, "fcgi:ADDRESS", "a FastCGI server already running"},
	{Go, "go:PATH", "a program built with the SDK"},
}

// Forms is the list of what APP may be, one form a line, for help texts.
func Forms() string {
	var b strings.Builder
	for _, f := range forms {
		fmt.Fprintf(&b, "  %-24s %s\n", f.form, f.what)
	}
	b.WriteString("  a path                   an executable file, a .py or .php file, or a folder with\n" +
		"                           index.php, wsgi.py, app.py or manage.py, or else one\n" +
		"                           with .py, .cgi, .php or .html files\n")
	return b.String()
}

// An App is one application to host.
type App struct {
	Kind   Kind
	Target string   // what follows "KIND:", with paths made absolute; empty for the demo
	Args   []string // exec: the command's words; nil for the other kinds
	Dir    string   // absolute: where the worker runs
	Why    string   // for a detected application, what was found; else empty
}

// String returns the canonical form, which Parse reads back.
func (a App) String() string {
	if a.Kind == Demo {
		return string(Demo)
	}
	return string(a.Kind) + ":" + a.Target
}

// Docroot returns the document root of a PHP application, and "" for others.
func (a App) Docroot() string {
	if a.Kind != PHP {
		return ""
	}
	return a.Target
}

// Parse reads APP. Relative paths are relative to dir, which is also where
// the worker will run unless a folder was detected; "" is the current
// directory. A path that must exist and does not is an error, which says
// what was looked for and what is allowed.
func Parse(spec, dir string) (App, error) {
	dir, err := filepath.Abs(dir) // "" is the current directory
	if err != nil {
		return App{}, fmt.Errorf("find directory %q: %w", dir, err)
	}
	if strings.ContainsRune(spec, 0) || strings.ContainsRune(dir, 0) {
		return App{}, errors.New("application: a NUL byte in its name")
	}
	if spec == "" {
		spec = string(Demo)
	}
	prefix, rest, colon := strings.Cut(spec, ":")
	if f, known := parsers[Kind(prefix)]; known && (colon || prefix == string(Demo)) {
		a := App{Kind: Kind(prefix), Target: rest, Dir: dir}
		if err := f(&a); err != nil {
			return App{}, fmt.Errorf("%s: %w", spec, err)
		}
		return a, nil
	}
	path := inDir(dir, spec)
	switch _, err := os.Stat(path); {
	case err == nil:
		return detect(path, dir)
	case !errors.Is(err, os.ErrNotExist) && !isNotDir(err):
		return App{}, fmt.Errorf("%s: %w", spec, err)
	}
	return App{}, unknown(spec, prefix, path, colon)
}

// parsers check and complete an App whose Target is what stood after "KIND:".
var parsers = map[Kind]func(*App) error{
	Demo:   parseDemo,
	WSGI:   parseWSGI,
	PHP:    parsePHP,
	CGI:    parseCGI,
	Folder: parseFolder,
	Exec:   parseExec,
	FCGI:   parseFCGI,
	Go:     parseGo,
}

func parseDemo(a *App) error {
	if a.Target != "" {
		return errors.New("the demo takes no target: write demo")
	}
	return nil
}

func parseWSGI(a *App) error {
	module, callable, colon := strings.Cut(a.Target, ":")
	switch {
	case module == "":
		return errors.New("no module: write wsgi:MODULE[:CALLABLE], as in wsgi:blog.wsgi:application")
	case strings.ContainsAny(module, `/\`) || strings.HasSuffix(module, ".py"):
		return fmt.Errorf("%q is a file, not a module: write the dotted name that Python would import, as in wsgi:blog.wsgi, or the path without wsgi:", module)
	case strings.ContainsAny(module, " \t\r\n"), strings.Contains("."+module+".", ".."):
		return fmt.Errorf("%q is not a module name: write it as Python would import it, as in wsgi:blog.wsgi", module)
	case colon && strings.TrimSpace(callable) == "":
		return errors.New("no callable after the colon: leave the colon out to take application or app")
	}
	return nil
}

func parsePHP(a *App) error {
	if a.Target == "" {
		return errors.New("no document root: write php:DOCROOT")
	}
	a.Target = inDir(a.Dir, a.Target)
	switch fi, err := os.Stat(a.Target); {
	case err != nil:
		return fmt.Errorf("document root: %w", err)
	case !fi.IsDir():
		return fmt.Errorf("document root %s is not a directory", a.Target)
	}
	return nil
}

func parseFolder(a *App) error {
	if a.Target == "" {
		return errors.New("no folder: write folder:DIR")
	}
	a.Target = inDir(a.Dir, a.Target)
	switch fi, err := os.Stat(a.Target); {
	case err != nil:
		return fmt.Errorf("folder: %w", err)
	case !fi.IsDir():
		return fmt.Errorf("%s is not a folder", a.Target)
	}
	return nil
}

func parseCGI(a *App) error {
	if a.Target == "" {
		return errors.New("no program: write cgi:PATH, a program or a directory of them")
	}
	a.Target = inDir(a.Dir, a.Target)
	fi, err := os.Stat(a.Target)
	if err != nil {
		return fmt.Errorf("CGI program: %w", err)
	}
	if fi.IsDir() {
		return nil
	}
	return checkExecutable(a.Target, fi)
}

func parseExec(a *App) error {
	words, err := splitWords(a.Target)
	if err != nil {
		return err
	}
	if len(words) == 0 || words[0] == "" {
		return errors.New("no command: write exec:COMMAND ARGUMENTS...")
	}
	a.Args = words
	return nil
}

func parseFCGI(a *App) error {
	_, _, err := ParseAddress(a.Target)
	return err
}

func parseGo(a *App) error {
	if a.Target == "" {
		return errors.New("no program: write go:PATH")
	}
	a.Target = inDir(a.Dir, a.Target)
	fi, err := os.Stat(a.Target)
	switch {
	case err != nil:
		return fmt.Errorf("program: %w", err)
	case fi.IsDir():
		return fmt.Errorf("%s is a directory: build it first (go build -o PROGRAM %s) and write go:PROGRAM", a.Target, a.Target)
	}
	return checkExecutable(a.Target, fi)
}

func checkExecutable(path string, fi os.FileInfo) error {
	switch {
	case !fi.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case !executable(fi):
		return fmt.Errorf("%s is not executable: chmod +x it", path)
	}
	return nil
}

func executable(fi os.FileInfo) bool {
	return fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0
}

// inDir makes path absolute against dir, which is absolute.
func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
