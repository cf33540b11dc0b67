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
	bootTimeout    = 60 * time.Second
	commandTimeout = 60 * time.Second
)

// A container is a booted systemd over a copy of this system, in which
// nothing that is written lasts. It has a network of its own.
type container struct {
	cmd    *exec.Cmd
	leader int // the pid of its process 1, as we see it
	log    *bytes.Buffer
}

// boot starts a container in which the files of stage lie over the system's.
// All its mounts are in a mount namespace of its own, and it dies with this
// process: nothing stays behind, whatever happens.
func boot(t *testing.T, stage string) *container {
	t.Helper()
	if os.Geteuid() != 0 {
		counterpart.Missing(t, "the right to boot a container: run it as root")
	}
	counterpart.Find(t, "systemd-nspawn")
	counterpart.Find(t, "nsenter")
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
	c := &container{cmd: exec.Command(self, dir, stage), log: new(bytes.Buffer)}
	c.cmd.Env = append(os.Environ(), role+"=boot", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
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

// awaitBoot reads what systemd-nspawn tells: the pid of its process 1, then
// READY=1 when that has started everything.
func (c *container) awaitBoot(notify *net.UnixConn) error {
	if err := notify.SetReadDeadline(time.Now().Add(bootTimeout)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			return err
		}
		ready := false
		for line := range strings.SplitSeq(string(buf[:n]), "\n") {
			if pid, ok := strings.CutPrefix(line, "X_NSPAWN_LEADER_PID="); ok {
				if c.leader, err = strconv.Atoi(pid); err != nil {
					return err
				}
			}
			ready = ready || line == "READY=1"
		}
		if ready && c.leader > 0 {
			return nil
		}
	}
}

// end kills the container and removes its control groups.
func (c *container) end(t *testing.T) {
	c.cmd.Process.Kill()
	c.cmd.Wait() // killed: an error for sure
	for _, dir := range cgroups(c.cmd.Process.Pid) {
		counterpart.Await(t, "remove "+dir, 10*time.Second, func() error { return removeTree(dir) })
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
	dir, stage := os.Args[1], os.Args[2]
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
		"--notify-ready=yes", "systemd.unit=basic.target"}, os.Environ())
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
func cgroups(pid int) []string {
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
				list = append(list, filepath.Join(dir, fmt.Sprintf("frontd-test-%d", pid)))
				break
			}
		}
	}
	return list
}

func enterCgroups() error {
	for _, dir := range cgroups(os.Getpid()) {
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
