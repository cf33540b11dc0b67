package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
	"github.com/frontd/frontd/internal/machine"
)

// machineTime is how long the machine may run: without KVM each of its
// processors is a program.
const machineTime = 15 * time.Minute

// kernelFiles are where a kernel may be; that of FRONTD_KERNEL goes before.
var kernelFiles = []string{"/boot/vmlinuz-*", "/var/cache/frontd-test/boot/vmlinuz-*"}

// The tests of control groups, and that of a clock that is set, run on a kernel of
// which all is ours: this system's may have given the controllers to version 1, or to
// nobody, and others go by its clock.
func TestMachine(t *testing.T) {
	if os.Getenv("FRONTD_LONG") != "1" {
		t.Skip("boots a kernel in qemu, without KVM for minutes: FRONTD_LONG=1 does it")
	}
	qemu := counterpart.Find(t, "qemu-system-x86_64")
	counterpart.Find(t, "ldd")
	m := machine.Machine{
		Kernel: kernel(t), Memory: 2048,
		Programs: []string{"/bin/sh", "/bin/sleep", "env", "setsid", "ps"},
		Files:    map[string]string{"/etc/passwd": "/etc/passwd", "/etc/group": "/etc/group", clockIsOurs: "/etc/group"},
	}
	dir := t.TempDir()
	for _, p := range []struct{ folder, tests string }{
		{"../../supervisor", "Cgroup|Guard|OutOfMemory"},
		{".", "TestDelegatedGroup|TestControlGroupOfWorkers|TestClockIsSet"},
	} {
		abs, err := filepath.Abs(p.folder)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(abs) + ".test"
		program := filepath.Join(dir, name)
		build := exec.CommandContext(t.Context(), counterpart.Find(t, "go"), "test", "-c", "-ldflags", "-s -w", "-o", program, ".")
		build.Dir, build.Env = abs, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
		m.Files["/bin/"+name] = program
		m.Commands = append(m.Commands, []string{name, "-test.v", "-test.run", p.tests, "-test.timeout", machineTime.String()})
		m.Init = program // the last is this package's
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), machineTime, errors.New("the machine took longer than "+machineTime.String()))
	defer cancel()
	var console strings.Builder
	err := m.Run(ctx, qemu, io.MultiWriter(&console, os.Stderr))
	if err != nil {
		t.Fatalf("%v; its console:\n%s", err, &console)
	}
	for _, test := range []string{
		"TestCgroupTakesAllAlong", "TestDelegatedGroup/memory", "TestDelegatedGroup/processes", "TestDelegatedGroup/cpu",
		"TestDelegatedGroup/descendants", "TestDelegatedGroup/crash", "TestControlGroupOfWorkers", "TestClockIsSet",
	} { // not skipped for want of something
		if !strings.Contains(console.String(), "--- PASS: "+test+" ") {
			t.Errorf("%s has not passed; the console:\n%s", test, &console)
		}
	}
}

func kernel(t *testing.T) string {
	t.Helper()
	for _, pattern := range append([]string{os.Getenv("FRONTD_KERNEL")}, kernelFiles...) {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	counterpart.Missing(t, "a kernel: "+strings.Join(kernelFiles, " or ")+", or FRONTD_KERNEL=FILE")
	return ""
}
