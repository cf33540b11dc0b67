package app

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// goConcurrency is how many requests at once a worker in Go is given by
// default: each costs a goroutine, not a thread or a process.
const goConcurrency = 128

// Options say how a worker is to be run. The zero value of a field is its default.
type Options struct {
	Threads  int      // requests a worker serves at once; 0: as the kind does by default, see Command.Concurrency
	Python   string   // the interpreter for wsgi; "": $VIRTUAL_ENV, then .venv or venv in Dir, then python3
	Self     string   // path of this binary, appworker or frontd; needed for demo and cgi
	SelfArgs []string // what makes Self a worker: nil for appworker, ["appworker"] for frontd
	CacheDir string   // where wsgi keeps what it unpacks; "": a private temporary folder
	Dev      bool     // show errors to the client
	// Found says that the web server before the workers has found each script that
	// it names in SCRIPT_FILENAME, as a file (php, cgi). One that takes the name from
	// the URL has not.
	Found bool

	// These are for wsgi; see wsgi.Options.
	Middleware []string
	Settings   map[string]string
	Tracebacks bool
	Template   bool
}

// A Command runs one worker. Its standard input is to be the listening
// socket (FastCGI §2.2).
type Command struct {
	Path        string
	Args        []string // without the program's own name
	Dir         string
	Env         []string // NAME=VALUE, to be added to the worker's environment
	Concurrency int      // requests at once that such a worker can serve
}

// ErrNotHosted is what Command returns for an fcgi application: the server
// at its address was started by someone else.
var ErrNotHosted = errors.New("a FastCGI server already running is not ours to start")

// ErrFolder is what Command returns for a folder, which is as many applications
// as it has kinds of program: see FolderApp.
var ErrFolder = errors.New("one worker cannot host a folder of several kinds of program; frontd serve can")

// Command returns the command that runs a as a FastCGI worker. Programs are
// looked for now, so that a missing one is an error before anything starts.
func (a App) Command(o Options) (Command, error) {
	var c Command
	var err error
	switch a.Kind {
	case Demo, CGI:
		c, err = a.selfCommand(o)
	case WSGI:
		c, err = a.wsgiCommand(o)
	case PHP:
		c, err = a.phpCommand(o)
	case Exec:
		c, err = a.execCommand(o)
	case Go:
		c = Command{Path: inDir(a.Dir, a.Target), Concurrency: threadsOr(o.Threads, goConcurrency)}
	case Folder:
		err = ErrFolder
	case FCGI:
		err = ErrNotHosted
	default:
		err = fmt.Errorf("unknown kind of application %q", a.Kind)
	}
	if err != nil {
		return Command{}, fmt.Errorf("%s: %w", a, err)
	}
	c.Dir = a.Dir
	return c, nil
}

// selfCommand runs this binary again. A CGI worker starts one process for
// each request in hand, so its default is that of a one-request worker.
func (a App) selfCommand(o Options) (Command, error) {
	if o.Self == "" {
		return Command{}, errors.New("the path of this program is not known")
	}
	n := threadsOr(o.Threads, goConcurrency)
	if a.Kind == CGI {
		n = threadsOr(o.Threads, 1)
	}
	args := append(slices.Clone(o.SelfArgs), a.String(), "--threads", strconv.Itoa(n))
	if a.Kind == CGI && o.Found {
		args = append(args, "--found")
	}
	return Command{Path: o.Self, Args: args, Concurrency: n}, nil
}

func (a App) execCommand(o Options) (Command, error) {
	if len(a.Args) == 0 { // not made by Parse
		if err := parseExec(&a); err != nil {
			return Command{}, err
		}
	}
	path, err := lookProgram(a.Args[0], a.Dir)
	if err != nil {
		return Command{}, err
	}
	return Command{Path: path, Args: slices.Clone(a.Args[1:]), Concurrency: threadsOr(o.Threads, 1)}, nil
}

// lookProgram finds a program: a name in $PATH, anything with a slash from dir.
func lookProgram(name, dir string) (string, error) {
	if filepath.Base(name) == name {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("program %q: not found in $PATH (%s)", name, os.Getenv("PATH"))
		}
		return filepath.Abs(path)
	}
	path := inDir(dir, name)
	fi, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("program: %w", err)
	}
	return path, checkExecutable(path, fi)
}

func threadsOr(set, byDefault int) int {
	if set > 0 {
		return set
	}
	return byDefault
}
