package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// A program is what a request asks to run.
type program struct {
	file       string // absolute
	scriptName string // the URL's path that leads to it (§4.1.13)
	pathInfo   string // what follows (§4.1.5), or ""
	inDir      bool   // found below a directory
}

// nph reports whether the program writes the HTTP response itself (§5).
func (p program) nph() bool { return strings.HasPrefix(filepath.Base(p.file), "nph-") }

// find returns the program for r. Path is looked at for each request: it may
// be a link to the current release.
func (h *Handler) find(r *http.Request) (program, error) {
	path, err := filepath.Abs(h.Path)
	if err != nil {
		return program{}, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return program{}, notFound("stat: %v", err)
	}
	if h.Found {
		return findNamed(path, h.Env(r))
	}
	mount := ""
	if h.Mount != nil {
		mount = h.Mount(r)
	}
	rest, below := strings.CutPrefix(r.URL.Path, mount)
	if !below || rest != "" && rest[0] != '/' {
		return program{}, notFound("%q is not below %q", r.URL.Path, mount)
	}
	if fi.IsDir() {
		return findBelow(path, mount, rest)
	}
	p := program{file: path, scriptName: mount, pathInfo: rest}
	return p, checkProgram(fi, path, filepath.Base(path))
}

// findBelow walks down from dir as long as the path's segments are folders;
// the first that is a file is the program. os.Root holds the walk inside.
func findBelow(dir, mount, path string) (program, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return program{}, notFound("%v", err)
	}
	defer root.Close()
	name, rest := "", path
	for rest != "" {
		segment, after := cutSegment(rest)
		if segment == "" || strings.HasPrefix(segment, ".") || strings.ContainsAny(segment, "\x00\\") {
			return program{}, notFound("%q in %s: no such name is served", path, dir)
		}
		name, rest = filepath.Join(name, segment), after
		fi, err := root.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return program{}, notFound("%s: no file of this name", filepath.Join(dir, name))
		case err != nil:
			return program{}, notFound("%s: %v", dir, err)
		case fi.IsDir():
			continue
		}
		script := mount + path[:len(path)-len(rest)]
		p := program{file: filepath.Join(dir, name), scriptName: script, pathInfo: rest, inDir: true}
		return p, checkProgram(fi, p.file, script)
	}
	return program{}, notFound("%s: a directory, not a program", filepath.Join(dir, name))
}

// findNamed takes the program that SCRIPT_FILENAME names, if it lies below dir:
// os.Root follows no link out of it.
func findNamed(dir string, vars []string) (program, error) {
	file := ""
	for _, v := range vars {
		if name, value, _ := strings.Cut(v, "="); name == "SCRIPT_FILENAME" {
			file = value
		}
	}
	// The web server may know the folder by another name: its links resolved.
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return program{}, notFound("%v", err)
	}
	name, err := filepath.Rel(real, file)
	if err != nil || !filepath.IsLocal(name) || strings.Contains(file, "\x00") {
		return program{}, notFound("SCRIPT_FILENAME %q is not below %s", file, real)
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return program{}, notFound("%v", err)
	}
	defer root.Close()
	fi, err := root.Stat(name)
	if err != nil {
		return program{}, notFound("%v", err)
	}
	return program{file: file}, checkProgram(fi, file, filepath.Base(file))
}

// cutSegment splits "/a/b" into "a" and "/b".
func cutSegment(path string) (segment, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

func checkProgram(fi os.FileInfo, file, public string) error {
	switch {
	case !fi.Mode().IsRegular():
		return notFound("%s is not a regular file", file)
	case fi.Mode().Perm()&0o111 == 0:
		return &refusal{
			status: http.StatusForbidden,
			public: fmt.Sprintf("%s is not executable.", public),
			detail: fmt.Sprintf("%s is not executable: chmod +x it", file),
		}
	}
	return nil
}

func notFound(format string, args ...any) error {
	return &refusal{status: http.StatusNotFound, public: "There is no such CGI program.", detail: fmt.Sprintf(format, args...)}
}
