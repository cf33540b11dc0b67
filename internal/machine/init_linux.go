package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// Main is the body of process 1 in a machine. It does not return.
func Main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, InitName+" is process 1 of a test's machine")
		os.Exit(2)
	}
	if err := live(); err != nil {
		fmt.Println("machine:", err)
	}
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // the machine is going off
}

// live makes a system of the kernel, and runs the commands in it.
func live() error {
	if err := furnish(); err != nil {
		return err
	}
	b, err := os.ReadFile(commandsFile)
	if err != nil {
		return err
	}
	var commands [][]string
	if err := json.Unmarshal(b, &commands); err != nil {
		return err
	}
	for _, argv := range commands {
		status, err := run(argv)
		if err != nil {
			return err
		}
		fmt.Printf("\n%s%d\n", saysEnded, status)
		if status != 0 {
			return nil
		}
	}
	return nil
}

// furnish mounts what programs expect, raises the loopback interface and hands
// the controllers of control groups to the groups below the first.
func furnish() error {
	for _, m := range []struct{ kind, path string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"cgroup2", "/sys/fs/cgroup"},
	} {
		if err := syscall.Mount(m.kind, m.path, m.kind, 0, ""); err != nil && !errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	if err := os.Chmod("/tmp", 0o1777); err != nil {
		return err
	}
	if err := raiseLoopback(); err != nil {
		return fmt.Errorf("loopback interface: %w", err)
	}
	const root = "/sys/fs/cgroup"
	b, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(b)) {
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+name), 0); err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
	}
	return nil
}

// raiseLoopback brings "lo" up, which gives it its address (netdevice(7)).
func raiseLoopback() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	request := struct { // struct ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

// run runs a command to its end, and meanwhile reaps whatever else has died, as process 1 has to.
func run(argv []string) (status int, err error) {
	os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, err
	}
	p, err := os.StartProcess(path, argv, &os.ProcAttr{
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=/tmp", "LANG=C.UTF-8"}, Dir: "/tmp",
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, err
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		case pid == p.Pid && ws.Signaled():
			return 128 + int(ws.Signal()), nil
		case pid == p.Pid:
			return ws.ExitStatus(), nil
		}
	}
}
