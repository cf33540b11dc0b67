package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// OpenCgroup takes a control group (version 2) into use. path is the folder of
// one that is ours alone, and that holds no processes; "" is the one that
// systemd has delegated to us (Delegate=yes). Then this process moves into a
// group "daemon" within, as the kernel wants processes in leaves only, unless
// systemd has started it there (DelegateSubgroup=daemon).
//
// The error says why there is none. What is missing of its controllers, Has
// tells.
func OpenCgroup(path string) (*Cgroup, error) {
	own := path == ""
	if own {
		var err error
		if path, err = delegated(); err != nil {
			return nil, err
		}
	}
	available, err := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	c := &Cgroup{path: path}
	for _, name := range strings.Fields(string(available)) {
		if slices.Contains(cgroupControllers, name) {
			c.controllers = append(c.controllers, name)
		}
	}
	if own {
		if err := stepInto(path); err != nil {
			return nil, fmt.Errorf("control group: %w", err)
		}
	}
	if err := c.enable(path); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	c.close() // what a predecessor has left
	return c, nil
}

// daemonGroup is where we are ourselves, within a group that is ours.
const daemonGroup = "daemon"

// delegated finds the group that systemd has made ours. It marks it with an
// attribute, for those who ask as we do.
func delegated() (string, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("control group: %w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("control group: %w", err)
	}
	path, err := ownGroup(groups, mounts)
	if err != nil {
		return "", err
	}
	if filepath.Base(path) == daemonGroup && isDelegated(filepath.Dir(path)) {
		path = filepath.Dir(path)
	}
	if !isDelegated(path) {
		return "", fmt.Errorf("control group %s is not delegated to frontd (Delegate=yes in its unit)", path)
	}
	return path, nil
}

// ownGroup finds our group's folder: what /proc/self/cgroup says of version 2,
// below where /proc/self/mountinfo says that it is mounted.
func ownGroup(groups, mounts []byte) (string, error) {
	group, ok := "", false
	for line := range bytes.Lines(groups) {
		if g, is := bytes.CutPrefix(bytes.TrimSpace(line), []byte("0::")); is {
			group, ok = string(g), true
		}
	}
	if !ok {
		return "", errors.New("this system has no control groups of version 2")
	}
	for line := range bytes.Lines(mounts) {
		// ID PARENT DEVICE ROOT POINT OPTIONS … - TYPE SOURCE …
		f, kind, _ := strings.Cut(string(line), " - ")
		fields := strings.Fields(f)
		if len(fields) < 5 || !strings.HasPrefix(kind, "cgroup2 ") {
			continue
		}
		if rest, ok := strings.CutPrefix(group, strings.TrimSuffix(fields[3], "/")); ok {
			return filepath.Join(fields[4], rest), nil
		}
	}
	return "", errors.New("control groups of version 2 are not mounted")
}

// isDelegated reads systemd's mark: user.delegate on kernels that have it.
func isDelegated(path string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var value [1]byte
		if n, err := syscall.Getxattr(path, name, value[:]); err == nil && n == 1 && value[0] == '1' {
			return true
		}
	}
	return false
}

// stepInto moves all processes of a group, us and our guard, into the one
// where they do not stand in the way of its controllers.
func stepInto(path string) error {
	below := filepath.Join(path, daemonGroup)
	if err := os.Mkdir(below, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	pids, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(pids)) {
		if err := writeCgroup(below, "cgroup.procs", pid); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// leafWait is how long the processes of a group that was killed may take to
// be gone; one that hangs in the kernel keeps its group.
const leafWait = time.Second

// remove removes the group, once what was killed in it is gone.
func (l *leaf) remove() {
	defer l.gone()
	events, err := os.Open(filepath.Join(l.path, "cgroup.events"))
	if err != nil {
		return // it is gone
	}
	defer events.Close()
	for limit := time.Now().Add(leafWait); time.Until(limit) > 0; {
		b := make([]byte, 512)
		n, err := events.ReadAt(b, 0)
		if n == 0 && err != nil || !bytes.Contains(b[:n], []byte("populated 1")) {
			break
		}
		awaitEvent(events, time.Until(limit))
	}
	os.Remove(l.path) // close tries again
}

// Of poll(2).
const pollPriority = 2

// awaitEvent waits until the kernel says that a file of a group has changed
// since it was last read.
func awaitEvent(f *os.File, within time.Duration) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) {
		p := struct {
			fd              int32
			events, revents int16
		}{fd: int32(fd), events: pollPriority} // struct pollfd
		limit := syscall.NsecToTimespec(within.Nanoseconds())
		syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	})
}
