// Package wsgi starts the host of a Python WSGI application (PEP 3333): a
// FastCGI responder in pure Python, carried in this package and run by the
// application's own interpreter.
package wsgi

import (
	"encoding/json"
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
	// Dev adds local variables to the tracebacks, and shows them to the client.
	Dev bool
	// Middleware are MODULE:CALLABLE, the outermost first. Each is called with
	// the application that it wraps, once, when the worker starts.
	Middleware []string
	// Settings are what an application finds in environ["frontd.config"].
	Settings map[string]string
	// Template has the process fork workers that share what it has loaded, by the
	// protocol of supervisor/template.go on descriptor 0, in the place of serving.
	Template bool
	// Tracebacks has each uncaught exception told once more on the request's
	// FCGI_STDERR for programs, as a line that begins with "frontd-traceback: ": for a
	// web server that takes it out.
	Tracebacks bool
}

// settingsVariable carries Options.Settings to the host, as a JSON object. The
// host takes it out of the environment: programs that it starts do not get it.
const settingsVariable = "FRONTD_SETTINGS"

// Command returns the program that hosts the application: its path, its
// arguments without argv[0], and what to add to its environment.
//
// The process takes its listening socket on descriptor 0 and accepts once the
// application is loaded. It exits with 3, after a traceback and one line that
// says why, if the application cannot be loaded. SIGTERM lets the requests in
// hand finish and exits with 0; SIGQUIT writes the stack of every thread to
// stderr, innermost frame first, each after a line "Thread 0x… (most recent call
// first):" or "Current thread 0x… (…):"; it does so in C code and under a held
// lock too, and the process goes on. It exits with 1 where the application raised SystemExit.
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
	if o.Template {
		args = append(args, "--template")
	}
	if o.Tracebacks {
		args = append(args, "--tracebacks")
	}
	for _, m := range o.Middleware {
		args = append(args, "--middleware", m)
	}
	// What the application prints is a log: it must not wait in a buffer.
	env = []string{"PYTHONUNBUFFERED=1"}
	if len(o.Settings) > 0 {
		settings, err := json.Marshal(o.Settings)
		if err != nil {
			return "", nil, nil, fmt.Errorf("wsgi: settings: %w", err)
		}
		env = append(env, settingsVariable+"="+string(settings))
	}
	return path, args, env, nil
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
