package supervisor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

func init() { children["switch"] = switchUser }

// switchUser is a supervisor without root but with the capabilities that
// systemd may give it: it says what its worker says, and whether it ends when told.
func switchUser([]string) {
	nobody, err := FindIdentity("nobody", "")
	if err == nil {
		err = nobody.Allowed()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	lines := make(chan string, 10)
	s := New(Options{Launcher: launcherArgs, Output: func(_ Worker, _ string, line []byte) { lines <- string(line) }})
	if _, err := s.Start(Spec{
		Name: "blog", Path: "/bin/sh", Args: []string{"sh", "-c", "echo $(id -u) $(grep Cap /proc/self/status); exec sleep 1000"},
		Env: []string{"PATH=/usr/bin:/bin"}, Workers: 1, Credential: &nobody.Credential,
	}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(<-lines)
	fmt.Println("stopped", s.Stop(context.Background()))
}

// A frontd that is not root switches users by capabilities, and its workers
// have none of them.
func TestSwitchByCapabilities(t *testing.T) {
	counterpart.NeedRoot(t, "to give capabilities away")
	daemon, err := FindIdentity("daemon", "")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "child", "switch")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &daemon.Credential, AmbientCaps: []uintptr{5, 6, 7}}
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 2 || lines[1] != "stopped <nil>" {
		t.Fatalf("%v: %s", err, out)
	}
	for _, set := range []string{"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"} {
		if !strings.HasPrefix(lines[0], "65534 ") || !strings.Contains(lines[0], set+" 0000000000000000") {
			t.Errorf("its worker has %s: %s", set, lines[0])
		}
	}
	cmd = exec.Command("/proc/self/exe", "child", "switch")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &daemon.Credential}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "without the capabilities CAP_SETUID") {
		t.Errorf("without capabilities: %v, %s", err, out)
	}
}

func TestEffectiveCapabilities(t *testing.T) {
	for status, want := range map[string]uint64{
		"Name:\tx\nCapPrm:\tff\nCapEff:\t00000000000000e0\n": 0xe0,
		"CapEff:\tnonsense\n":                                0, "": 0,
	} {
		if got := effective([]byte(status)); got != want {
			t.Errorf("%q: %x, want %x", status, got, want)
		}
	}
}
