package supervisor

import (
	"errors"
	"fmt"
	"math"
	"syscall"
)

// Bounds are what the workers of a group may take of the machine. 0 is no
// bound. With a Cgroup that has the controller, Memory, CPUs and Processes are
// of all workers of the group together, with what they start; see
// Supervisor.Shortfall for what becomes of them without.
type Bounds struct {
	OpenFiles int     // descriptors of a process (RLIMIT_NOFILE)
	Memory    int64   // bytes; without a Cgroup the data of each process (RLIMIT_DATA)
	CPUs      float64 // processor time, 1.5 is one CPU and a half
	Processes int     // and threads; without a Cgroup of the user (RLIMIT_NPROC), if Credential names another than ours
	FileSize  int64   // bytes of a file that a process writes (RLIMIT_FSIZE: SIGXFSZ)
	Core      *int64  // bytes of a core dump (RLIMIT_CORE), 0 is none; nil: as this process
}

func (b Bounds) check() error {
	if b.OpenFiles < 0 || b.Memory < 0 || b.CPUs < 0 || b.Processes < 0 || b.FileSize < 0 ||
		b.Core != nil && *b.Core < 0 || math.IsNaN(b.CPUs) || math.IsInf(b.CPUs, 0) {
		return fmt.Errorf("bounds: negative or no number: %+v", b)
	}
	return nil
}

// Shortfall says, a sentence each, which of a spec's Bounds are not held as
// they were meant, for want of a control group or of its controllers.
func (s *Supervisor) Shortfall(spec *Spec) []string {
	return spec.Bounds.shortfall(s.options.Cgroup, spec.Credential != nil)
}

func (b Bounds) shortfall(cg *Cgroup, otherUser bool) []string {
	var list []string
	if b.Memory > 0 && !cg.Has("memory") {
		list = append(list, "memory holds for each process by itself (RLIMIT_DATA), not for all workers together")
	}
	if b.CPUs > 0 && !cg.Has("cpu") {
		list = append(list, "cpus is not held")
	}
	switch {
	case b.Processes == 0 || cg.Has("pids"):
	case otherUser:
		list = append(list, "processes holds for all processes of the workers' user (RLIMIT_NPROC)")
	default:
		list = append(list, "processes is not held: the workers have frontd's own user")
	}
	return list
}

// confined reports whether something has to be set between fork and exec that
// package os cannot set.
func (s *Spec) confined() bool {
	b := s.Bounds
	return s.Umask != nil || s.Nice != 0 || s.NoNewPrivileges ||
		b.OpenFiles > 0 || b.Memory > 0 || b.Processes > 0 || b.FileSize > 0 || b.Core != nil
}

// A launchError is a program that could not be run, as the process says that
// was to become it.
type launchError struct {
	text  string
	errno syscall.Errno // 0 if there was none
}

func (e *launchError) Error() string { return e.text }
func (e *launchError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

var errNoLauncher = errors.New("umask, nice and limits can be set on Linux only")
