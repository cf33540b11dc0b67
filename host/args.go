package host

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/frontd/frontd/app"
)

// maxThreads bounds --threads: what is above it is a mistake.
const maxThreads = 10_000

// A UsageError is a wrong command line: the exit status is 2.
type UsageError struct{ err error }

func (e *UsageError) Error() string { return e.err.Error() }
func (e *UsageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// arguments are the command line of a worker.
type arguments struct {
	app     string
	listen  string // "": the socket on fd 0
	threads int
	python  string
	dir     string
	dev     bool
	found   bool
	help    bool
}

// parseArguments reads the command line. Flags may stand before and after APP.
func parseArguments(args []string) (arguments, error) {
	var a arguments
	set := flag.NewFlagSet("appworker", flag.ContinueOnError)
	set.SetOutput(io.Discard) // the error says it
	set.StringVar(&a.listen, "l", "", "")
	set.IntVar(&a.threads, "threads", 0, "")
	set.StringVar(&a.python, "python", "", "")
	set.StringVar(&a.dir, "dir", "", "")
	set.BoolVar(&a.dev, "dev", false, "")
	set.BoolVar(&a.found, "found", false, "")
	var names []string
	for rest := args; ; {
		switch err := set.Parse(rest); {
		case errors.Is(err, flag.ErrHelp):
			return arguments{help: true}, nil
		case err != nil:
			return a, usagef("%v; appworker -h lists what is allowed", err)
		}
		if rest = set.Args(); len(rest) == 0 {
			break
		}
		names, rest = append(names, rest[0]), rest[1:]
	}
	switch {
	case len(names) > 1:
		return a, usagef("one APP is allowed, got %d: %s (a command with arguments is one word: 'exec:COMMAND ARGUMENTS')",
			len(names), strings.Join(names, " "))
	case len(names) == 1:
		a.app = names[0]
	}
	if a.threads < 0 || a.threads > maxThreads {
		return a, usagef("--threads %d: allowed is 1 to %d, or 0 for the kind's own", a.threads, maxThreads)
	}
	return a, nil
}

func usage(w io.Writer) error {
	_, err := fmt.Fprintf(w, `Run one worker: host APP and speak FastCGI, on the listening socket at
standard input or on ADDRESS.

  appworker [APP] [-l ADDRESS] [--threads N] [--python PATH] [--dir DIR] [--dev]

APP is one of (demo if left out):
%s
ADDRESS is HOST:PORT, unix:/path or unix:@abstract. A unix socket is made with
mode 0660; a stale one is replaced, one in use is not.

  -l ADDRESS      listen there instead of on standard input
  --threads N     serve N requests at once (wsgi, php and cgi: 1; demo: 128)
  --python PATH   the interpreter for wsgi; otherwise $VIRTUAL_ENV, .venv or
                  venv in the application's folder, python3
  --dir DIR       where the application runs, and what its paths are relative to
  --found         cgi: run what SCRIPT_FILENAME names, below PATH: the web server has
                  found it. Without it, the URL is looked up in PATH
  --dev           show errors to the client
  -h              this text

TERM and INT stop it, once the requests in hand are done.
Exit status: 0 stopped as asked, 1 failed, 2 wrong usage.
`, app.Forms())
	return err
}
