package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

const (
	// For what comes at once unless the machine is busy, or reads all of it from the disk.
	bootTimeout    = 3 * time.Minute
	commandTimeout = 3 * time.Minute
	patience       = time.Minute

	target = "basic.target" // all that is needed; a system's other services stay out
)

// A container is a booted systemd over a copy of this system, in which
// nothing that is written lasts. It has a network of its own.
type container struct {
	cmd    *exec.Cmd
	dir    string // mount point, in the container's mount namespace
	leader int    // the pid of its process 1, as we see it
	log    *bytes.Buffer
}

// needBoot skips the test, by name, where no container can be booted.
func needBoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		counterpart.Missing(t, "the right to boot a container: run it as root")
	}
	counterpart.Find(t, "systemd-nspawn")
	counterpart.Find(t, "nsenter")
}

// boot starts a container in which the files of stage lie over the system's.
// Its mounts are in a mount namespace of its own and its processes in a PID
// namespace, of which systemd-nspawn is process 1 and dies with this process:
// no process and no mount stays behind, whatever happens.
func boot(t *testing.T, stage string) *container {
	t.Helper()
	dir := counterpart.Dir(t)
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &container{dir: dir, cmd: exec.Command(self, dir, stage), log: new(bytes.Buffer)}
	c.cmd.Env = append(os.Environ(), role+"=boot", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.end(t) })
	if err := c.awaitBoot(notify); err != nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		t.Fatalf("no system has come up: %v\n%s", err, c.log)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := c.try("journalctl", "--no-pager", "-b", "-n", "150", "-o", "short-precise")
			t.Logf("the journal:\n%s", out)
		}
	})
	return c
}

// awaitBoot waits until the system inside tells that it is up.
func (c *container) awaitBoot(notify *net.UnixConn) error {
	if err := notify.SetReadDeadline(time.Now().Add(bootTimeout)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for ready := false; !ready; {
		n, err := notify.Read(buf)
		if err != nil {
			return err
		}
		ready = strings.Contains("\n"+string(buf[:n])+"\n", "\nREADY=1\n")
	}
	var err error
	c.leader, err = onlyChild(c.cmd.Process.Pid)
	return err
}

// onlyChild is the child of a process; what systemd-nspawn tells is its number
// in the inner PID namespace.
func onlyChild(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// end kills the container and removes its control groups.
func (c *container) end(t *testing.T) {
	c.cmd.Process.Kill()
	c.cmd.Wait() // killed: an error for sure
	for _, dir := range cgroups(c.dir) {
		counterpart.Await(t, "remove "+dir, patience, func() error { return removeTree(dir) })
	}
}

// try runs a command in the container.
func (c *container) try(args ...string) (string, error) { return c.feed("", args...) }

func (c *container) feed(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(c.leader),
		"-m", "-u", "-i", "-n", "-p", "-C", "--"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=cat"}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run is try for what has to succeed.
func (c *container) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// bootMain becomes systemd-nspawn. It runs in a mount namespace of its own,
// which is why nothing needs to be unmounted.
func bootMain() error {
	// Below: a mount at os.Args[1] itself would hide the socket for the readiness.
	dir, stage := filepath.Join(os.Args[1], "system"), os.Args[2]
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc of the new PID namespace: %w", err)
	}
	// Not the disk's file system: an overlay's upper layer may not lie in its lower one.
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	root := filepath.Join(dir, "root")
	for _, name := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", dir, dir)
	if err := syscall.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	if err := lay(root, stage); err != nil {
		return err
	}
	if err := enterCgroups(); err != nil {
		return err
	}
	path, err := exec.LookPath("systemd-nspawn")
	if err != nil {
		return err
	}
	return syscall.Exec(path, []string{path, "-q", "-D", root, "-b", "--private-network", "--register=no", "--keep-unit",
		"--notify-ready=yes", "systemd.unit=" + target}, os.Environ())
}

// lay copies the files of stage over root.
func lay(root, stage string) error {
	return filepath.WalkDir(stage, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(root, strings.TrimPrefix(path, stage))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.WriteFile(to, b, info.Mode().Perm())
	})
}

// cgroups are the container's control groups: one in each hierarchy that a
// systemd manages. Without its own it would take that of this test's caller.
func cgroups(name string) []string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	var list []string
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		var mounts []string
		switch {
		case len(f) == 3 && f[1] == "":
			mounts = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
		case len(f) == 3 && f[1] == "name=systemd":
			mounts = []string{"/sys/fs/cgroup/systemd"}
		}
		for _, m := range mounts {
			dir := filepath.Join(m, f[2])
			if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
				list = append(list, filepath.Join(dir, "frontd-test-"+filepath.Base(name)))
				break
			}
		}
	}
	return list
}

func enterCgroups() error {
	for _, dir := range cgroups(os.Args[1]) {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("enter control group: %w", err)
		}
	}
	return nil
}

// removeTree removes control groups, the innermost first; their files are not
// to be removed. It fails while a process is in one.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return syscall.Rmdir(dir)
}
