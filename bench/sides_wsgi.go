package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

func gunicorn(options ...string) func(*stage) (string, error) {
	return func(s *stage) (string, error) {
		args := append([]string{"-w", fmt.Sprint(workers), "-b", s.address, "--chdir", s.rig.dir,
			"--log-level", "warning"}, options...)
		return "", s.run(nil, findProgram("gunicorn"), append(args, "app:application")...)
	}
}

// uwsgi's --listen is the backlog, 100 by its default: too few for 256
// connections at once, which would then wait a second each for their SYN.
func uwsgi(options ...string) func(*stage) (string, error) {
	return func(s *stage) (string, error) {
		program := findProgram(uWSGI)
		var args []string
		switch {
		case filepath.Base(program) == "uwsgi_python3": // Debian: a core with plugins
			args = append(args, "--plugins", "http")
		case filepath.Base(program) == "uwsgi-core":
			args = append(args, "--plugins", "http,python3")
		}
		args = append(args, "--master", "--processes", fmt.Sprint(workers), "--listen", "1024", "--die-on-term",
			"--need-app", "--disable-logging", "--chdir", s.rig.dir, "--wsgi-file", "app.py")
		for _, o := range options {
			args = append(args, replace(o, "$ADDRESS", s.address, "$SOCKET", s.socket()))
		}
		return "", s.run(nil, program, args...)
	}
}

func replace(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }
