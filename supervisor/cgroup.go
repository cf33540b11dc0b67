package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A Cgroup is a control group (version 2) in which a Supervisor makes groups
// of its own: one for each application, in it one for each Spec that it has had,
// which holds the Bounds of that for all workers together, and in that one for
// each worker, in which the worker is killed with all that it has started,
// whatever sessions and process groups that has made, and which tells whether
// the kernel killed it for want of memory.
//
//	BASE/app-NAME/SPEC-PID/SERIAL    PID is ours: two daemons may share BASE for a while
//
// While new workers take over from old ones, each side has its own Bounds: those
// of new settings, which may yet be refused, touch nothing that runs, and there is
// room for both.
//
// A nil *Cgroup is none.
type Cgroup struct {
	// Immutable.
	path        string
	controllers []string // of those we use, which there are

	mu    sync.Mutex // guards the fields below, and the groups of specs
	specs map[*Spec]*specGroup
	made  uint64 // groups of specs
}

// A specGroup is there while workers of the Spec are.
type specGroup struct {
	path   string
	leaves int
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

// leaf makes the group of one worker, within that of its spec.
func (c *Cgroup) leaf(spec *Spec, serial uint64) (*leaf, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, err := c.groupLocked(spec)
	if err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	path := filepath.Join(g.path, strconv.FormatUint(serial, 10))
	err = os.Mkdir(path, 0o755)
	if err == nil && c.Has("memory") {
		// A worker that lost its child, or a child its worker, is of no use.
		if err = writeCgroup(path, "memory.oom.group", "1"); err != nil {
			os.Remove(path)
		}
	}
	if err != nil {
		c.tidyLocked(spec)
		return nil, fmt.Errorf("control group: %w", err)
	}
	g.leaves++
	return &leaf{path: path, memory: c.Has("memory"), gone: func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		g.leaves--
		c.tidyLocked(spec)
	}}, nil
}

// groupLocked finds the group of a spec, or makes it, with its bounds. c.mu is held.
func (c *Cgroup) groupLocked(spec *Spec) (*specGroup, error) {
	if g := c.specs[spec]; g != nil {
		return g, nil
	}
	app := filepath.Join(c.path, appPrefix+spec.Name)
	c.made++
	g := &specGroup{path: filepath.Join(app, fmt.Sprintf("%d-%d", c.made, os.Getpid()))}
	err := os.MkdirAll(g.path, 0o755) // also where another daemon removes the application's meanwhile
	for _, step := range []func() error{
		func() error { return c.enable(app) },
		func() error { return c.bound(g.path, spec.Bounds) },
		func() error { return c.enable(g.path) },
		func() error { return c.weighLocked(spec.Name, spec) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		os.Remove(g.path)
		return nil, err
	}
	if c.specs == nil {
		c.specs = make(map[*Spec]*specGroup)
	}
	c.specs[spec] = g
	return g, nil
}

// tidyLocked removes the group of a spec that has no workers. c.mu is held.
func (c *Cgroup) tidyLocked(spec *Spec) {
	if g := c.specs[spec]; g != nil && g.leaves == 0 {
		os.Remove(g.path) // where a worker is lost in the kernel, close tries again
		delete(c.specs, spec)
		c.weighLocked(spec.Name, nil) // settings that were refused hold no longer; fails where the group is gone
	}
}

// weighLocked sets the share of the CPU that an application's group has against
// frontd's own and other applications'. Within groups that the kernel weighs, a process is nice
// only to those of its own. While new settings are tried the less nice ones hold:
// they may be refused. c.mu is held; spec, if not nil, is about to get a group.
func (c *Cgroup) weighLocked(app string, spec *Spec) error {
	if !c.Has("cpu") {
		return nil
	}
	var nice []int
	if spec != nil {
		nice = append(nice, spec.Nice)
	}
	for s := range c.specs {
		if s.Name == app {
			nice = append(nice, s.Nice)
		}
	}
	if len(nice) == 0 {
		return nil
	}
	want := strconv.Itoa(min(max(slices.Min(nice), -20), 19))
	dir, file := filepath.Join(c.path, appPrefix+app), "cpu.weight.nice"
	now, err := os.ReadFile(filepath.Join(dir, file)) // another daemon may have left it otherwise
	if got := strings.TrimSpace(string(now)); got == want || err != nil && want == "0" {
		return nil
	}
	return writeCgroup(dir, file, want)
}

// cpuPeriod is the kernel's default: a worker over its share waits for the
// rest of it, in microseconds.
const cpuPeriod = 100_000

// bound sets the bounds of a spec.
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

// close removes the groups that are empty: ours, and those that a predecessor
// has left. What one that is dead has left in them, and its guard has not
// ended, is killed.
func (c *Cgroup) close() {
	if c == nil {
		return
	}
	for _, app := range appGroups(c.path) {
		for _, g := range specGroups(app) {
			if g.daemon != os.Getpid() && syscall.Kill(g.daemon, 0) == syscall.ESRCH {
				killGroup(g.path)
			}
			for _, worker := range subgroups(g.path) {
				os.Remove(worker) // fails where there is a process: it is not ours
			}
			os.Remove(g.path)
		}
		os.Remove(app)
	}
}

// killLeaves kills all that is in the groups of one daemon's workers.
func killLeaves(base string, daemon int) {
	for _, app := range appGroups(base) {
		for _, g := range specGroups(app) {
			if g.daemon == daemon {
				killGroup(g.path)
			}
		}
	}
}

// subgroups are the groups within one. It reads folders, for systemd's names
// have backslashes ("system-frontd\x2dpool.slice"), which filepath.Glob takes for its own.
func subgroups(path string) (paths []string) {
	entries, _ := os.ReadDir(path) // what is not there has none
	for _, e := range entries {
		if e.IsDir() {
			paths = append(paths, filepath.Join(path, e.Name()))
		}
	}
	return paths
}

// appGroups are the groups of applications.
func appGroups(base string) []string {
	return slices.DeleteFunc(subgroups(base), func(path string) bool {
		return !strings.HasPrefix(filepath.Base(path), appPrefix)
	})
}

// An ownedGroup is a spec's group, and the pid of the daemon that made it.
type ownedGroup struct {
	path   string
	daemon int
}

func specGroups(app string) (list []ownedGroup) {
	for _, path := range subgroups(app) {
		_, pid, ok := strings.Cut(filepath.Base(path), "-")
		if n, err := strconv.Atoi(pid); ok && err == nil && n > 0 {
			list = append(list, ownedGroup{path, n})
		}
	}
	return list
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
	gone   func() // called once it is removed, or given up
}

// kill ends all that is in it.
func (l *leaf) kill() { killGroup(l.path) }

// killGroup ends all that is in a group and in the groups within.
func killGroup(path string) { writeCgroup(path, "cgroup.kill", "1") } // fails where it is gone

// outOfMemory reports whether the kernel killed something in it for want of memory.
func (l *leaf) outOfMemory() bool {
	return l.memory && readOOMCounter(filepath.Join(l.path, "memory.events")) > 0
}
