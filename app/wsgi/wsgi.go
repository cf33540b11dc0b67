// Package wsgi starts the host of a Python WSGI application (PEP 3333): a
// FastCGI responder in pure Python, carried in this package and run by the
// application's own interpreter.
package wsgi

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// maxThreads is the most that the host accepts.
const maxThreads = 1024

// Options say what to host and where. The zero value of a field is usable
// except for Target.
type Options struct {
	// Target is MODULE[:CALLABLE]. CALLABLE is "application" or else "app" if
	// it is not given; "create_app()" calls a factory without arguments.
	Target string
	// Dir is the application's folder: its working directory, and the first
	// place that modules are looked for. "" is the current directory.
	Dir string
	// Python is the interpreter, 3.9 or later. "" is $VIRTUAL_ENV/bin/python,
	// or else .venv/bin/python or venv/bin/python in Dir, or else python3 on PATH.
	Python string
	// Threads is how many requests are served at once, 1 to 1024; 0 is 1.
	// With 1 the application runs in the main thread.
	Threads int
	// CacheDir is where the host's Python files are laid down, in a folder
	// named by their content. "" is $CACHE_DIRECTORY (systemd), or else
	// /var/cache/frontd for root and the user's cache folder for others, or
	// else a folder of the user's in the temporary directory. No other user may
	// write there; one that workers switch to must be able to read it.
	CacheDir string
	// Dev adds local variables to the tracebacks.
	Dev bool
}

// Command returns the program that hosts the application: its path, its
// arguments without argv[0], and what to add to its environment.
//
// The process takes its listening socket on descriptor 0 and accepts once the
// application is loaded. It exits with 3, after a traceback and one line that
// says why, if the application cannot be loaded. SIGTERM lets the requests in
// hand finish and exits with 0; SIGQUIT writes the stack of every thread to
// stderr. It exits with 1 where the application raised SystemExit.
func Command(o Options) (path string, args []string, env []string, err error) {
	if o.Target == "" {
		return "", nil, nil, errors.New("wsgi: no target: want MODULE[:CALLABLE]")
	}
	if o.Threads < 0 || o.Threads > maxThreads {
		return "", nil, nil, fmt.Errorf("wsgi: %d threads, allowed are 1 to %d", o.Threads, maxThreads)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return "", nil, nil, fmt.Errorf("wsgi: resolve directory: %w", err)
	}
	if info, err := os.Stat(dir); err != nil {
		return "", nil, nil, fmt.Errorf("wsgi: directory of the application: %w", err)
	} else if !info.IsDir() {
		return "", nil, nil, fmt.Errorf("wsgi: directory of the application: %s is not a directory", dir)
	}
	path, err = interpreter(o.Python, dir)
	if err != nil {
		return "", nil, nil, err
	}
	host, err := layDown(o.CacheDir)
	if err != nil {
		return "", nil, nil, err
	}
	args = []string{host, o.Target, "--directory", dir, "--threads", strconv.Itoa(max(o.Threads, 1))}
	if o.Dev {
		args = append(args, "--dev")
	}
	// What the application prints is a log: it must not wait in a buffer.
	return path, args, []string{"PYTHONUNBUFFERED=1"}, nil
}

// interpreter finds the Python to run. A link is not followed: a virtual
// environment is known by the path that its interpreter is called by.
func interpreter(python, dir string) (string, error) {
	if python != "" {
		path, err := exec.LookPath(python)
		if err != nil {
			return "", fmt.Errorf("wsgi: find the Python interpreter: %w", err)
		}
		return filepath.Abs(path)
	}
	if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		path, err := exec.LookPath(filepath.Join(env, "bin", "python"))
		if err != nil {
			return "", fmt.Errorf("wsgi: VIRTUAL_ENV is %s: %w", env, err)
		}
		return path, nil
	}
	for _, env := range []string{".venv", "venv"} {
		if path, err := exec.LookPath(filepath.Join(dir, env, "bin", "python")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("wsgi: no VIRTUAL_ENV, no .venv or venv in %s: %w", dir, err)
	}
	return filepath.Abs(path)
}
