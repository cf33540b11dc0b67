package main

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A pool takes the commands that a daemon takes, found by itself.
func TestPoolControl(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	p := counterpart.Start(t, command(t, dir, "pool", "demo", "-l", "unix:"+dir+"/pool.sock", "-w", "2"))
	p.AwaitLine("worker ready.*slot=0", patience)
	p.AwaitLine("worker ready.*slot=1", patience)
	frontd := func(args ...string) (string, error) {
		out, err := command(t, dir, args...).CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := frontd(args...)
		if err != nil {
			t.Fatalf("frontd %s: %v\n%s\nlog:\n%s", strings.Join(args, " "), err, out, p.Log())
		}
		return out
	}
	pids := func() (list []int) {
		t.Helper()
		var workers []appWorker
		if err := json.Unmarshal([]byte(must("workers", "--json")), &workers); err != nil {
			t.Fatal(err)
		}
		for _, w := range workers {
			if w.App != "demo" || w.State != "serving" || w.RSS == 0 {
				t.Errorf("worker %+v", w)
			}
			list = append(list, w.PID)
		}
		return list
	}

	if out := must("status"); !strings.Contains(out, "demo  demo") || strings.Count(out, "serving") != 2 {
		t.Errorf("status:\n%s", out)
	}
	before := pids()
	must("restart", "demo")
	after := pids()
	if len(after) != 2 || slices.Contains(after, before[0]) || slices.Contains(after, before[1]) {
		t.Errorf("workers %v were replaced by %v", before, after)
	}
	must("scale", "demo", "3")
	must("reload")
	if got := pids(); len(got) != 3 {
		t.Errorf("after scale to 3 and a reload there are %v", got)
	}
	for _, wrong := range [][]string{{"restart", "nope"}, {"scale", "nope", "1"}, {"scale", "demo", "0"}, {"workers", "nope"}} {
		if out, err := frontd(wrong...); err == nil || !strings.Contains(out, "no such application") && !strings.Contains(out, "want 1 to 1024") {
			t.Errorf("%v: %v %s", wrong, err, out)
		}
	}
	must("stop")
	if code := p.AwaitExit(patience).ExitCode(); code != 0 {
		t.Errorf("exit status is %d, want 0", code)
	}
	left, err := os.ReadDir(dir + "/frontd")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A pool keeps the ends of its workers as incidents, for the same command.
func TestPoolIncidents(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	p := counterpart.Start(t, command(t, dir, "pool", "demo", "-l", "unix:"+dir+"/pool.sock", "-w", "1"))
	pid := p.AwaitLine(`worker ready.*pid=(\d+)`, patience)[1]
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(n, syscall.SIGKILL)
	id := p.AwaitLine(`new incident.* incident=(\w+) .*kind=crash`, patience)[1]
	out, err := command(t, dir, "incidents", "show", id).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "signal 9") || !strings.Contains(string(out), "pid: "+pid) {
		t.Errorf("%v\n%s", err, out)
	}
}

// A stop waits neither for a restart that waits for a worker which does not end, nor
// for the reload behind it: who asks for a stop at once gets one.
func TestPoolStopsBesideChanges(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	m := newManager(t, dir)
	cmd := command(t, dir, "pool", "demo", "-l", "unix:"+dir+"/pool.sock", "-w", "1")
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path)
	p := counterpart.Start(t, cmd)
	pid := p.AwaitLine(`worker ready.*pid=(\d+)`, patience)[1]
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	m.await("it is up", "READY=1")
	syscall.Kill(n, syscall.SIGSTOP)
	counterpart.Start(t, command(t, dir, "restart", "demo"))
	p.AwaitLine("worker stopping.*pid="+pid, patience)
	p.Signal(syscall.SIGHUP)
	m.await("the reload", "RELOADING=1")
	p.Signal(syscall.SIGTERM)
	p.AwaitLine("msg=stopping ", patience)
	p.Signal(syscall.SIGTERM)
	p.AwaitLine("worker gone.*pid="+pid+` .*killed by signal 9 \(stop\)`, patience)
	if code := p.AwaitExit(patience).ExitCode(); code != 0 {
		t.Errorf("exit status is %d, want 0", code)
	}
}
