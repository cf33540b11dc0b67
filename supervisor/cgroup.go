package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Cgroup is a control group (version 2) in which a Supervisor makes groups
// of its own: one for each application, which holds Bounds for all its workers,
// and in it one for each worker, in which the worker is killed with all that
// it has started, whatever sessions and process groups that has made, and
// which tells whether the kernel killed it for want of memory.
//
//	BASE/app-NAME/SERIAL-PID    PID is ours: two daemons may share BASE for a while
//
// A nil *Cgroup is none.
type Cgroup struct {
	// Immutable.
	path        string
	controllers []string // of those we use, which there are
}

// cgroupControllers are those that hold Bounds.
var cgroupControllers = []string{"memory", "cpu", "pids"}

const appPrefix = "app-"

// Has reports whether there is a controller: "memory", "cpu" or "pids".
func (c *Cgroup) Has(controller string) bool {
	return c != nil && slices.Contains(c.controllers, controller)
}

// String is the path, and which controllers there are.
func (c *Cgroup) String() string {
	if c == nil {
		return "no control group"
	}
	if len(c.controllers) == 0 {
		return c.path + " (no controllers)"
	}
	return c.path + " (" + strings.Join(c.controllers, ", ") + ")"
}

// enable turns the controllers on for the groups within dir.
func (c *Cgroup) enable(dir string) error {
	var on []string
	for _, name := range c.controllers {
		on = append(on, "+"+name)
	}
	if len(on) == 0 {
		return nil
	}
	return writeCgroup(dir, "cgroup.subtree_control", strings.Join(on, " "))
}

// leaf makes the group of one worker, within its application's, whose bounds
// are set to b.
func (c *Cgroup) leaf(app string, b Bounds, serial uint64) (*leaf, error) {
	dir := filepath.Join(c.path, appPrefix+app)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("control group: %w", err)
	}
	if err := c.bound(dir, b); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	if err := c.enable(dir); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%d-%d", serial, os.Getpid()))
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	if c.Has("memory") {
		// A worker that lost its child, or a child its worker, is of no use.
		if err := writeCgroup(path, "memory.oom.group", "1"); err != nil {
			os.Remove(path)
			return nil, fmt.Errorf("control group: %w", err)
		}
	}
	return &leaf{path: path, memory: c.Has("memory")}, nil
}

// cpuPeriod is the kernel's default: a worker over its share waits for the
// rest of it, in microseconds.
const cpuPeriod = 100_000

// bound sets the bounds of an application.
func (c *Cgroup) bound(dir string, b Bounds) error {
	most := func(n int64) string {
		if n == 0 {
			return "max"
		}
		return strconv.FormatInt(n, 10)
	}
	var errs []error
	set := func(controller, file, value string) {
		if c.Has(controller) {
			errs = append(errs, writeCgroup(dir, file, value))
		}
	}
	set("memory", "memory.max", most(b.Memory))
	set("cpu", "cpu.max", fmt.Sprintf("%s %d", most(int64(b.CPUs*cpuPeriod)), cpuPeriod))
	set("pids", "pids.max", most(int64(b.Processes)))
	return errors.Join(errs...)
}

// close removes the groups of applications that are empty: those of ours, and
// those that a predecessor has left.
func (c *Cgroup) close() {
	if c == nil {
		return
	}
	apps, _ := filepath.Glob(filepath.Join(c.path, appPrefix+"*")) // fails only on a bad pattern
	for _, dir := range apps {
		leaves, _ := filepath.Glob(filepath.Join(dir, "*-*"))
		for _, path := range leaves {
			os.Remove(path) // fails where there is a process: it is not ours
		}
		os.Remove(dir)
	}
}

// writeCgroup writes a file of a group. It has to be there: in another file
// system one would be made.
func writeCgroup(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// A leaf is the group of one worker.
type leaf struct {
	path   string
	memory bool
}

// kill ends all that is in it.
func (l *leaf) kill() error { return writeCgroup(l.path, "cgroup.kill", "1") }

// outOfMemory reports whether the kernel killed something in it for want of memory.
func (l *leaf) outOfMemory() bool {
	return l.memory && readOOMCounter(filepath.Join(l.path, "memory.events")) > 0
}
