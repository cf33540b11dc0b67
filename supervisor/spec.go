package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Spec says what a group of workers runs and how. It is copied when given;
// changing it afterwards changes nothing.
type Spec struct {
	// Name is the application's name, unique within a Supervisor. It becomes
	// part of socket paths: letters, digits, '.', '_' and '-' only, and no
	// leading '.' or '-'.
	Name string

	// Path is the executable. Without a slash it is looked up in the PATH of
	// Env; with one, a relative path is relative to Dir.
	Path string

	// Args is the whole argv, Args[0] included. Empty: the base name of Path,
	// as FastCGI §2.1 wants it.
	Args []string

	// Dir is the working directory, "" for our own. A symbolic link is
	// followed anew at every start of a worker.
	Dir string

	// Env is the worker's complete environment. One variable is added when
	// the supervisor has a guard: FRONTD_GUARD.
	Env []string

	// Credential is the user and groups to run as. nil: our own. With
	// Options.Launcher, Dir, Path and Needs are tried as that user before
	// anything is started or replaced.
	Credential *syscall.Credential

	// NoNewPrivileges takes their effect from set-user-ID programs, for the
	// worker and all that it starts.
	NoNewPrivileges bool

	// Needs are files and folders that the worker has to be able to read.
	Needs []string

	// Umask, Nice and Bounds, if they are set, need Options.Launcher and Linux.
	Umask  *int // nil: our own
	Nice   int  // added to our own, -20 to 19
	Bounds Bounds

	// Preload has the program run once, as a template that loads what all workers
	// need and forks them, so that they share that memory: template.go has the
	// protocol. It has the socket of its orders on fd 0, and is started as
	// a worker would be, when the first one is needed. It takes StartTimeout to
	// load; an error of it is that of the worker. It ends when the group does,
	// or when another Spec is in force; without workers it stays. If it dies,
	// workers stay, and the next start begins with another.
	//
	// For that this process becomes the parent of orphans among its descendants
	// (PR_SET_CHILD_SUBREAPER), and reaps them. Linux only.
	Preload bool

	// Workers is how many run, 0 or more.
	Workers int

	// SocketDir gives each worker's slot a listener of its own,
	// SocketDir/NAME-SLOT.sock, mode 0600, made here and kept open here: it
	// outlives the process, so a crash refuses no connection. The directory
	// is created with mode 0700; an existing one must be ours and private.
	SocketDir string

	// Listener, instead of SocketDir, is one listening socket that all
	// workers share. It is set to blocking mode once, before the first
	// worker starts, for that is what programs on fd 0 expect (a Go program sets
	// it to non-blocking itself, for all of them); it has to be a file whose mode
	// package os does not touch, as os.NewFile makes one of a descriptor: nobody may accept on it through Go's net
	// package in this process. The caller closes it, after Stop.
	// With neither, the worker's fd 0 is /dev/null.
	Listener *os.File

	// Ready asks a starting worker whether it serves; it is called once for
	// each process and returns nil once the worker does. Its ctx ends when the
	// process dies, when the worker is stopped or after StartTimeout, and then
	// it must return; what it returns after StartTimeout is told as the cause.
	// nil: a worker serves as soon as its process exists.
	Ready func(ctx context.Context, w Worker) error

	// Drain is called before a serving worker gets its TERM, after the
	// Stopping event; it returns when nothing is in the worker's hands any
	// more. Its ctx ends after StopTimeout, when the worker dies or when it is
	// to be killed, and then it must return. nil: TERM at once.
	Drain func(ctx context.Context, w Worker)

	StartTimeout time.Duration // from the start of the process until Ready; 0: 30 s
	StopTimeout  time.Duration // for Drain, and again from TERM until KILL; 0: 30 s

	// Surge is how many new workers Replace starts beside the old ones at once.
	// 0: all, so that none of the old leaves before all of the new are ready.
	Surge int

	Backoff Backoff

	// StartLimit is how many workers of the group may be starting at once.
	// 0: the number of CPUs, at least 2.
	StartLimit int
}

// Bounds and defaults of a Spec.
const (
	DefaultStartTimeout = 30 * time.Second
	DefaultStopTimeout  = 30 * time.Second

	maxWorkers = 4096 // a typing error, not a machine
)

var errNoPreload = errors.New("preload works on Linux only: elsewhere no process becomes the parent of what a template forks")

// normalized returns a copy of s with its defaults filled in, or what is
// impossible about it.
func (s Spec) normalized() (Spec, error) {
	var errs []error
	if err := checkName(s.Name); err != nil {
		errs = append(errs, err)
	}
	if s.Workers < 0 || s.Workers > maxWorkers {
		errs = append(errs, fmt.Errorf("workers: %d, want 0 to %d", s.Workers, maxWorkers))
	}
	if s.SocketDir != "" && s.Listener != nil {
		errs = append(errs, errors.New("both a socket directory and a shared listener"))
	}
	if s.Preload && !canPreload {
		errs = append(errs, errNoPreload)
	}
	errs = append(errs, s.Bounds.check())
	if s.Dir != "" {
		if err := checkDir(s.Dir); err != nil {
			errs = append(errs, err)
		}
	}
	if _, err := s.executable(); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return s, fmt.Errorf("app %q: %w", s.Name, err)
	}
	s.Args = slices.Clone(s.Args)
	if len(s.Args) == 0 {
		s.Args = []string{filepath.Base(s.Path)}
	}
	s.Env = slices.Clone(s.Env)
	if s.StartTimeout <= 0 {
		s.StartTimeout = DefaultStartTimeout
	}
	if s.StopTimeout <= 0 {
		s.StopTimeout = DefaultStopTimeout
	}
	if s.StartLimit <= 0 {
		s.StartLimit = max(2, runtime.NumCPU())
	}
	s.Backoff = s.Backoff.normalized()
	return s, nil
}

func checkName(name string) error {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	if name == "" || name[0] == '.' || name[0] == '-' || strings.ContainsFunc(name, func(r rune) bool { return !ok(r) }) {
		return fmt.Errorf("name %q: letters, digits, '.', '_' and '-' are allowed, not starting with '.' or '-'", name)
	}
	return nil
}

func checkDir(dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("working directory: %s is not a directory", dir)
	}
	return nil
}

// executable finds the file to run. It is asked again at every start, so that
// a program that appears later is found.
func (s Spec) executable() (string, error) {
	switch {
	case s.Path == "":
		return "", errors.New("no executable given")
	case filepath.IsAbs(s.Path):
		return s.Path, checkExecutable(s.Path)
	case strings.Contains(s.Path, "/"):
		path, err := filepath.Abs(filepath.Join(s.Dir, s.Path))
		if err != nil {
			return "", err
		}
		return path, checkExecutable(path)
	}
	list := lookupEnv(s.Env, "PATH")
	for _, dir := range filepath.SplitList(list) {
		// A relative entry would run whatever lies in the working directory.
		if path := filepath.Join(dir, s.Path); filepath.IsAbs(dir) && checkExecutable(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("executable %q not found in PATH %q", s.Path, list)
}

func checkExecutable(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("executable: %w", err)
	}
	if fi.IsDir() || fi.Mode()&0o111 == 0 {
		return fmt.Errorf("executable: %s is not an executable file (mode %v)", path, fi.Mode())
	}
	return nil
}

// lookupEnv returns the value that execve's reader of env would see: the last.
func lookupEnv(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}
