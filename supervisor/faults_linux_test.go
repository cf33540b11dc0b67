package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

func TestProcessOneReapsOrphans(t *testing.T) {
	cmd := exec.Command(self, "child", "init")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		counterpart.Unable(t, "needs the right to make a pid namespace")
	}
	if err != nil || string(out) != "reaped 1\n" {
		t.Errorf("%v, %q", err, out)
	}
}

func TestOutOfMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.events")
	count := func(n int) {
		if err := os.WriteFile(path, fmt.Appendf(nil, "low 0\noom 9\noom_kill %d\noom_group_kill 7\n", n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	count(3)
	w := oomWatch{path: path, older: 3, recent: 3}
	if w.happened() {
		t.Error("an old kill is taken for a new one")
	}
	count(4)
	w.sample() // between the kill and the end of the process
	if !w.happened() {
		t.Error("a kill is missed because a sample came between")
	}
	if w.happened() {
		t.Error("one kill is counted for two workers")
	}
	count(6)
	if !w.happened() || !w.happened() || w.happened() {
		t.Error("two kills, want two workers")
	}
	count(7)
	w.sample()
	w.sample()
	if w.happened() {
		t.Error("a kill of long ago is taken for a new one")
	}
	os.Remove(path)
	if w.happened() {
		t.Error("no counter, and yet a kill")
	}
	if n := readOOMCounter("/proc/vmstat"); n < 0 {
		t.Error("no oom_kill in /proc/vmstat")
	}
}

func TestSharedListener(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := tcp.(*net.TCPListener).File() // nonblocking, as Go has it
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tcp.Close()
	spec := childSpec(t, 3, "")
	spec.SocketDir, spec.Listener, spec.Ready = "", f, nil
	spec.Path, spec.Args = "sleep", []string{"sleep", "1000"}
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("they run", EventReady, 3)
	var inodes []string
	for _, st := range g.Workers() {
		proc := fmt.Sprintf("/proc/%d/", st.Worker.PID)
		to, err := os.Readlink(proc + "fd/0")
		if err != nil || st.Worker.Addr != "" {
			t.Errorf("fd 0 is %s, %v, address %q", to, err, st.Worker.Addr)
		}
		inodes = append(inodes, to)
		if b, _ := os.ReadFile(proc + "fdinfo/0"); !strings.Contains(string(b), "flags:\t02\n") {
			t.Errorf("fdinfo of fd 0: %q, want a descriptor in blocking mode", b)
		}
	}
	if inodes[0] != inodes[1] || inodes[1] != inodes[2] || !strings.HasPrefix(inodes[0], "socket:") {
		t.Errorf("fds 0 are %q, want one socket", inodes)
	}
}

func TestNextProcessFindsItsListenerBlocking(t *testing.T) {
	spec := childSpec(t, 1, "")
	spec.Path, spec.Args, spec.Ready = "sleep", []string{"sleep", "1000"}, nil
	_, g, r := start(t, Options{}, spec)
	w := r.wantEvents("it runs", EventReady, 1).Worker
	// As a worker in Go does it to the socket that it shares with the next one.
	if err := syscall.SetNonblock(int(g.all()[0].socket.File().Fd()), true); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(w.PID, syscall.SIGKILL)
	next := r.wantEvents("the next one runs", EventReady, 2).Worker
	if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/0", next.PID)); !strings.Contains(string(b), "flags:\t02\n") {
		t.Errorf("fdinfo of fd 0: %q, want a descriptor in blocking mode", b)
	}
}

func TestFloodingWorkerServes(t *testing.T) {
	_, g, r := start(t, Options{}, childSpec(t, 1, "flood"))
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	r.wantLine("what is too much is counted", "stderr: [dropped ")
	if _, err := askPID(t.Context(), w.Addr); err != nil {
		t.Errorf("it serves no more: %v", err)
	}
	if tail := g.Workers()[0].Stderr; len(tail) != tailLines {
		t.Errorf("%d last lines, want %d", len(tail), tailLines)
	}
}

func TestCrashingGroupDisturbsNoOther(t *testing.T) {
	s, good, r := start(t, Options{}, childSpec(t, 2, "serve"))
	r.wantEvents("they come up", EventReady, 2)
	bad := childSpec(t, 1, "fail", "7") // many take turns: TestCrashLoopOfMany
	bad.Name = "broken"
	g, err := s.Start(bad)
	if err != nil {
		t.Fatal(err)
	}
	e := r.wantEvents("it fails for the second time and waits", EventBackoff, 1)
	if e.Worker.App != "broken" || e.Delay <= 0 || e.Delay > 100*time.Millisecond {
		t.Errorf("backoff %v of %v", e.Delay, e.Worker)
	}
	failing := r.wantEvents("it says why", EventFailing, 1)
	if !strings.Contains(failing.Err.Error(), "exit status 7 after") || len(failing.Stderr) != 1 ||
		failing.Stderr[0] != "Traceback: no module named blog" {
		t.Errorf("failing: %v", failing.Err)
	}
	if st := g.Workers()[e.Worker.Slot]; st.LastExit == nil || st.LastExit.Code != 7 || st.Restarts == 0 {
		t.Errorf("status %+v, want the last exit", st)
	}
	for _, st := range good.Workers() {
		if st.State != StateServing || st.Restarts != 0 {
			t.Errorf("a worker of the other group: %+v", st)
		}
	}
}

func TestProgramAppearsLater(t *testing.T) {
	// A deployment in progress: the program goes, and comes back.
	dir := t.TempDir()
	prog := filepath.Join(dir, "prog")
	write := func() {
		if err := os.WriteFile(prog, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write()
	spec := childSpec(t, 1, "")
	spec.Path, spec.Args, spec.Ready, spec.Dir = "./prog", nil, nil, dir
	_, _, r := start(t, Options{}, spec)
	w := r.wantEvents("it runs", EventReady, 1).Worker
	if err := os.Remove(prog); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(w.PID, syscall.SIGKILL)
	if e := r.wantEvents("it cannot be started", EventFailing, 1); !errors.Is(e.Err, os.ErrNotExist) ||
		!strings.Contains(e.Err.Error(), prog) || e.Worker.PID != 0 || e.Exit != nil {
		t.Errorf("failing: %+v", e)
	}
	write()
	r.wantEvents("it runs again", EventReady, 2)
}

func TestCrashesLeakNothing(t *testing.T) {
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	spec := childSpec(t, 1, "")
	spec.Path, spec.Args, spec.Ready = "sleep", []string{"sleep", "1000"}, nil
	_, g, r := start(t, Options{}, spec)
	w := r.wantEvents("it runs", EventReady, 1).Worker
	before := count()
	ours := map[int]bool{}
	crashes := 100
	if os.Getenv("FRONTD_LONG") != "" {
		crashes = 1000
	}
	for i := range crashes {
		ours[w.PID] = true
		g.Kill(w, CauseTimeout, "test")
		w = r.wantEvents("the next one runs", EventReady, i+2).Worker
	}
	// Fewer there are where something of another test was still being closed before.
	if after := count(); after > before {
		t.Errorf("%d descriptors open after %d crashes, %d before", after, crashes, before)
	}
	for _, z := range zombies(os.Getpid()) {
		if ours[z.pid] { // not one that a test with a template let us adopt
			t.Errorf("process %d was not reaped", z.pid)
		}
	}
}
