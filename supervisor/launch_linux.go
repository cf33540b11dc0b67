package supervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// canLaunch is whether LaunchMain does anything here.
const canLaunch = true

// Of prctl(2) and getrlimit(2): package syscall does not have them all.
const (
	prSetPdeathsig  = 1
	prSetNoNewPrivs = 38
	prCapAmbient    = 47
	rlimitNproc     = 6

	prCapAmbientClearAll = 4

	schedOther = 0
	schedBatch = 3
)

// workerOOMScore is added to frontd's own for a worker's badness: where the machine runs out of
// memory, a worker goes before frontd does, in 1000ths of the memory.
const workerOOMScore = 300

// LaunchMain is the whole body of a process that is about to become a worker:
// it takes its order from descriptor 3, sets what can only be set from
// within, gives up its rights and executes the worker. It returns only if
// that did not work, which it has told then, and the process is to exit.
func LaunchMain() {
	// Priority and PDEATHSIG are of a thread, and the one that executes stays.
	runtime.LockOSThread()
	socket := os.NewFile(launchFD, "launch")
	syscall.CloseOnExec(launchFD)
	line, err := bufio.NewReader(socket).ReadBytes('\n')
	if err != nil {
		return // whoever was to give an order is gone
	}
	var order launchOrder
	if err = json.Unmarshal(line, &order); err == nil {
		err = order.run()
	}
	if err != nil {
		socket.WriteString(formatLaunchError(err))
	}
	socket.Close()
}

// run does what is ordered, in the only order that works: what needs our
// rights, the rights, what they would have undone, what the new user is able
// to, and the memory last, of which we need some ourselves.
func (o *launchOrder) run() error {
	// clone3(2) could start us there, but RestrictNamespaces= of systemd forbids it.
	if o.Cgroup != "" {
		if err := writeCgroup(o.Cgroup, "cgroup.procs", "0"); err != nil {
			return fmt.Errorf("go into the control group: %w", err)
		}
	}
	if o.Umask != nil {
		syscall.Umask(*o.Umask)
	}
	if err := o.renice(); err != nil {
		return err
	}
	adjustOOMScore("self", o.Parent)
	if err := o.limit(); err != nil {
		return err
	}
	if err := o.become(); err != nil {
		return err
	}
	if err := o.access(); err != nil || o.OnlyCheck {
		return err
	}
	if o.DataMemory && o.Bounds.Memory > 0 {
		if err := setLimit("memory", syscall.RLIMIT_DATA, uint64(o.Bounds.Memory)); err != nil {
			return err
		}
	}
	err := syscall.Exec(o.Path, o.Args, o.Env)
	return fmt.Errorf("uid %d cannot run %s: %w", syscall.Getuid(), o.Path, err)
}

func (o *launchOrder) renice() error {
	if o.Nice == 0 {
		return nil
	}
	now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0) // 20 - nice, as the kernel has it
	if err != nil {
		return fmt.Errorf("nice: %w", err)
	}
	want := min(max(20-now+o.Nice, -20), 19)
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, want); err != nil {
		return fmt.Errorf("nice %d: %w", o.Nice, err)
	}
	if o.Nice > 0 {
		yield()
	}
	return nil
}

// yield has what runs in this thread, and what it starts, wake up without taking
// the CPU from who has it (SCHED_BATCH, sched(7)): a forking worker delays
// others somewhat less by it. nice alone is a share of the time, and who has used up
// less than its own comes first. It is refused by filters of system calls only, and
// nice holds without it; who was started with another policy keeps that.
func yield() {
	policy, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	if errno == 0 && policy == schedOther {
		var priority int32 // struct sched_param
		syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedBatch, uintptr(unsafe.Pointer(&priority)))
	}
}

func (o *launchOrder) limit() error {
	b := o.Bounds
	var errs []error
	set := func(name string, resource int, n int64) {
		if n > 0 {
			errs = append(errs, setLimit(name, resource, uint64(n)))
		}
	}
	set("open_files", syscall.RLIMIT_NOFILE, int64(b.OpenFiles))
	set("file_size", syscall.RLIMIT_FSIZE, b.FileSize)
	if o.UserProcesses {
		set("processes", rlimitNproc, int64(b.Processes))
	}
	if b.Core != nil {
		errs = append(errs, setLimit("core", syscall.RLIMIT_CORE, uint64(*b.Core)))
	}
	return errors.Join(errs...)
}

// setLimit sets both limits, so that the worker cannot raise its own again.
func setLimit(name string, resource int, n uint64) error {
	if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		var now syscall.Rlimit
		if syscall.Getrlimit(resource, &now) == nil && n > now.Max {
			return fmt.Errorf("limits.%s: %d is over what frontd was started with, %d: %w", name, n, now.Max, err)
		}
		return fmt.Errorf("limits.%s: %d: %w", name, n, err)
	}
	return nil
}

// become changes to the worker's user, for good.
func (o *launchOrder) become() error {
	if c := o.Credential; c != nil {
		groups := make([]int, len(c.Groups))
		for i, g := range c.Groups {
			groups[i] = int(g)
		}
		if err := syscall.Setgroups(groups); err != nil && !c.NoSetGroups {
			return fmt.Errorf("cannot take the groups of uid %d: %w", c.Uid, err)
		}
		if err := syscall.Setresgid(int(c.Gid), int(c.Gid), int(c.Gid)); err != nil {
			return fmt.Errorf("cannot become gid %d: %w", c.Gid, err)
		}
		if err := syscall.Setresuid(int(c.Uid), int(c.Uid), int(c.Uid)); err != nil {
			return fmt.Errorf("cannot become uid %d: %w", c.Uid, err)
		}
		if err := dropCapabilities(); err != nil {
			return fmt.Errorf("give up capabilities: %w", err)
		}
	}
	if o.OnlyCheck {
		return nil // whoever asked sees to our end
	}
	// The change has taken it from us; and it counts from now on only.
	if err := prctl(prSetPdeathsig, uintptr(syscall.SIGKILL)); err != nil {
		return fmt.Errorf("ask to die with frontd: %w", err)
	}
	if os.Getppid() != o.Parent {
		return errors.New("frontd is gone")
	}
	if o.NoNewPrivileges {
		if err := prctl(prSetNoNewPrivs, 1); err != nil {
			return fmt.Errorf("give up new privileges: %w", err)
		}
	}
	return nil
}

// dropCapabilities gives up all there are. The kernel does when root becomes
// another; who was another already, and was able to change users by
// capabilities that systemd gave it, keeps them and hands them on.
func dropCapabilities() error {
	if err := prctl(prCapAmbient, prCapAmbientClearAll); err != nil {
		return err
	}
	header := struct {
		version uint32
		pid     int32
	}{version: 0x20080522} // _LINUX_CAPABILITY_VERSION_3
	var none [2]struct{ effective, permitted, inheritable uint32 }
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0); errno != 0 {
		return errno
	}
	return nil
}

func prctl(option, value uintptr) error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, value, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Of access(2).
const (
	mayExecute = 1
	mayRead    = 4
)

// access tries what the worker needs, to tell which path it is that its user
// is kept out of.
func (o *launchOrder) access() error {
	if o.Dir != "" {
		if err := syscall.Chdir(o.Dir); err != nil {
			return o.denied("enter the working directory", o.Dir, err)
		}
	}
	for _, path := range o.Needs {
		if err := syscall.Access(path, mayRead); err != nil {
			return o.denied("read", path, err)
		}
	}
	if err := syscall.Access(o.Path, mayExecute); err != nil {
		return o.denied("run", o.Path, err)
	}
	return nil
}

// denied names the path, and the folder above it that is the reason.
func (o *launchOrder) denied(what, path string, err error) error {
	why := ""
	if errors.Is(err, fs.ErrPermission) {
		why = blame(path)
	}
	return fmt.Errorf("uid %d cannot %s %s: %w%s", syscall.Getuid(), what, path, err, why)
}

// blame finds the first folder on the way to path that cannot be searched.
func blame(path string) string {
	var ways []string
	for dir := filepath.Dir(filepath.Clean(path)); ; dir = filepath.Dir(dir) {
		ways = append(ways, dir)
		if dir == "/" || dir == "." {
			break
		}
	}
	for _, dir := range slices.Backward(ways) {
		if syscall.Access(dir, mayExecute) != nil {
			fi, err := os.Stat(dir)
			if err != nil {
				return ""
			}
			return fmt.Sprintf(" (%s has mode %s)", dir, strings.TrimPrefix(fi.Mode().String(), "d"))
		}
	}
	return ""
}

// adjustOOMScore makes a process a worker in the eyes of the kernel's
// out-of-memory killer: it goes before its parent does, whatever that one's
// score was set to. That it may not be is no reason not to run it.
func adjustOOMScore(pid string, parent int) {
	own, err := os.ReadFile("/proc/" + strconv.Itoa(parent) + "/oom_score_adj")
	if err != nil {
		return
	}
	os.WriteFile("/proc/"+pid+"/oom_score_adj", strconv.AppendInt(nil, int64(oomScore(own)), 10), 0)
}

// maxOOMScore is the kernel's OOM_SCORE_ADJ_MAX.
const maxOOMScore = 1000

// oomScore is that of a worker whose parent's is own, as /proc has it.
func oomScore(own []byte) int {
	n, _ := strconv.Atoi(strings.TrimSpace(string(own))) // 0 if it cannot be read
	return min(n+workerOOMScore, maxOOMScore)
}
