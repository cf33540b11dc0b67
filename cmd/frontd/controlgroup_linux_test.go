package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A delegation is a control group that is frontd's as systemd would make it:
// it has the mark, the controllers, and frontd is started in it.
type delegation struct {
	t    *testing.T
	path string
}

// delegate makes one, or skips the test where this system has no group of
// version 2 with the controllers that hold limits, or lets nobody make one.
func delegate(t *testing.T) *delegation {
	t.Helper()
	const root = "/sys/fs/cgroup"
	b, err := os.ReadFile(filepath.Join(root, "cgroup.subtree_control"))
	on := strings.Fields(string(b))
	for _, c := range []string{"memory", "cpu", "pids"} {
		if err != nil || !slices.Contains(on, c) {
			counterpart.Unable(t, fmt.Sprintf("no control groups of version 2 with the controllers memory, cpu and pids here; FRONTD_LONG=1 has TestMachine boot a kernel with them (%q, %v)", b, err))
		}
	}
	d := &delegation{t, filepath.Join(root, fmt.Sprintf("frontd-test-%d-%s", os.Getpid(), filepath.Base(t.Name())))}
	if err := os.Mkdir(d.path, 0o755); err != nil {
		counterpart.Unable(t, fmt.Sprint("may make no control group: ", err))
	}
	t.Cleanup(d.remove)
	if err := syscall.Setxattr(d.path, "user.delegate", []byte("1"), 0); err != nil {
		t.Fatalf("mark %s: %v", d.path, err)
	}
	return d
}

// remove expects that of all groups only frontd's own is left, with nobody in it.
func (d *delegation) remove() {
	if left := d.groups(); len(left) > 0 && !d.t.Failed() {
		d.t.Errorf("left are the groups %q", left)
	}
	err := os.Remove(filepath.Join(d.path, "daemon"))
	if err = errors.Join(err, os.Remove(d.path)); err != nil && !d.t.Failed() {
		d.t.Errorf("something is left in the control group: %v", err)
	}
}

// groups are those of applications and workers.
func (d *delegation) groups() []string {
	var all []string
	for _, within := range []string{"app-*", "app-*/*", "app-*/*/*"} {
		found, _ := filepath.Glob(filepath.Join(d.path, within)) // fails only on a bad pattern
		all = append(all, slices.DeleteFunc(found, func(path string) bool {
			fi, err := os.Stat(path)
			return err != nil || !fi.IsDir()
		})...)
	}
	return all
}

// bounds is the group of a worker's settings, which holds their limits.
func (d *delegation) bounds(pid int) string {
	d.t.Helper()
	return strings.TrimPrefix(filepath.Dir(d.groupOf(pid)), d.path)
}

// read reads a file of a group within.
func (d *delegation) read(name ...string) string {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{d.path}, name...)...))
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// events is a number in a file of "NAME NUMBER" lines.
func (d *delegation) events(name, event string) (n int) {
	d.t.Helper()
	for line := range strings.Lines(d.read(name)) {
		if value, ok := strings.CutPrefix(line, event+" "); ok {
			n, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return n
}

// serve runs frontd in the group, with the application that misbehaves under
// limits, and its neighbour. It starts where systemd would start it: in the group
// itself, which it leaves, or in the one that DelegateSubgroup= names.
func (d *delegation) serve(more string) *running {
	d.t.Helper()
	where := filepath.Join(d.path, "daemon")
	if _, err := os.Stat(where); err != nil {
		where = d.path
	}
	group, err := os.Open(where)
	if err != nil {
		d.t.Fatal(err)
	}
	defer group.Close()
	dir := counterpart.Dir(d.t)
	layMisbehave(d.t, dir)
	args := configure(d.t, dir, strings.Replace(jsonLog, "[log]", "[metrics]\nlisten = \"127.0.0.1:0\"\n[log]", 1)+`
[app.good]
kind = "demo"
workers = 1
[app.bad]
kind = "go"
target = "./misbehave"
workers = 2
`+more+`
[[route]]
path = "/good/"
app = "good"
mount = "/good"
[[route]]
app = "bad"
`)
	r := &running{t: d.t, dir: dir, control: filepath.Join(dir, "control.sock"), client: newClient(d.t)}
	cmd := command(d.t, dir, append([]string{"serve", "--control", r.control}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	r.Process = counterpart.Start(d.t, cmd)
	r.url = r.AwaitLine(`msg"?[:=]"?listening"?.*address"?[:=]"?(https?://[^ "]+)`, patience)[1]
	r.AwaitLine(`workers run in control groups.*\(.*memory.*\)`, patience)
	r.awaitServing("good", 1)
	r.awaitServing("bad", 2)
	if strings.Contains(r.Log(), "limits are not held as meant") {
		d.t.Error("with a control group it says that limits are not held")
	}
	return r
}

// stop ends frontd, after which no group of a worker's may be left.
func (d *delegation) stop(r *running) {
	d.t.Helper()
	r.Signal(syscall.SIGTERM)
	if code := r.AwaitExit(patience).ExitCode(); code != 0 {
		d.t.Errorf("frontd's exit status is %d", code)
	}
	if left := d.groups(); len(left) > 0 {
		d.t.Errorf("left are the groups %q", left)
	}
}

// kill kills a worker as the machine's owner would, and waits for its successor.
func (r *running) killAndAwait(app string, pid, n int) {
	r.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	counterpart.Await(r.t, fmt.Sprintf("a successor of worker %d", pid), patience, func() error {
		s, err := r.tryStatus()
		if err != nil {
			return err
		}
		now, err := servingPIDs(s, app)
		if err == nil && (len(now) != n || slices.Contains(now, pid)) {
			err = fmt.Errorf("serving are %v", now)
		}
		return err
	})
}

// Control groups with all their controllers, held by a kernel: what the files
// of a group only promise.
func TestDelegatedGroup(t *testing.T) {
	t.Run("memory", testGroupMemory)
	t.Run("processes", testGroupProcesses)
	t.Run("cpu", testGroupCPU)
	t.Run("descendants", testGroupDescendants)
	t.Run("crash", testGroupCrash)
}

// A worker over its application's memory is killed by the kernel, and that is
// told everywhere: to the client, in the log, the numbers and the incident.
func testGroupMemory(t *testing.T) {
	d := delegate(t)
	const limit = 200 << 20
	r := d.serve(fmt.Sprintf("limits = { memory = \"%dB\" }", limit))
	numbers := "http://" + r.AwaitLine(`"numbers listen","address":"([^"]+)"`, patience)[1]
	before := r.awaitServing("bad", 2)
	if got := d.read(d.bounds(before[0]), "memory.max"); got != strconv.Itoa(limit) {
		t.Errorf("memory.max is %s, want %d", got, limit)
	}
	mark := r.Mark()
	if a := r.do(http.MethodPost, "/eat", "", nil); a.status != http.StatusBadGateway || !strings.Contains(a.body, "worker-died") {
		t.Errorf("answered with %d %.200q, want 502 with worker-died", a.status, a.body)
	}
	r.AwaitLineAfter(mark, `worker gone.*"exit":"killed by signal 9 \(out of memory\).*/eat`, patience)
	if n := d.events("app-bad/memory.events", "oom_kill"); n < 1 { // with those of the groups within
		t.Errorf("the kernel counts %d kills for want of memory", n)
	}
	counterpart.Await(t, "another worker, and the count of the kill", patience, func() error {
		page := r.fetchNumbers(numbers + "/metrics").body
		if want := `frontd_worker_restarts_total{app="bad",cause="oom"} 1` + "\n"; !strings.Contains(page, want) {
			return fmt.Errorf("no %s in\n%s", want, page)
		}
		return nil
	})
	after := r.awaitServing("bad", 2)
	lost := slices.DeleteFunc(slices.Clone(before), func(pid int) bool { return slices.Contains(after, pid) })
	if len(lost) != 1 {
		t.Errorf("workers were %v and are %v: one was to be killed", before, after)
	}
	incidentOfMemory(t, r, lost[0])
	for _, path := range []string{"/hello", "/good/hello"} {
		if a := r.get(path); a.body != "hello\n" {
			t.Errorf("%s: %d %q", path, a.status, a.body)
		}
	}
	// Less than its workers can live on: refused, and those that serve have what they had.
	if out, err := r.reconfigure(fmt.Sprintf("{ memory = \"%dB\" }", limit), "{ memory = \"32MiB\" }\nenv = { HOARD = \"1\" }"); err == nil || !strings.Contains(out, "out of memory") {
		t.Errorf("reload with too little memory: %v\n%s", err, out)
	}
	if now := r.awaitServing("bad", 2); !slices.Equal(now, after) {
		t.Errorf("after a reload that was refused workers are %v, were %v", now, after)
	}
	d.stop(r)
}

// reconfigure changes the configuration's text and reloads it.
func (r *running) reconfigure(before, after string) (string, error) {
	r.t.Helper()
	path := filepath.Join(r.dir, "frontd.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.Contains(string(b), before) {
		r.t.Fatalf("no %q in\n%s", before, b)
	}
	write(r.t, path, strings.Replace(string(b), before, after, 1))
	return r.command("reload")
}

// incidentOfMemory expects the incident of a worker that was killed for want
// of memory, with the request that it had in hand.
func incidentOfMemory(t *testing.T, r *running, pid int) {
	t.Helper()
	ask := func(to any, args ...string) {
		t.Helper()
		out, err := r.command(append([]string{"incidents", "--json"}, args...)...)
		if err != nil {
			t.Fatalf("frontd incidents: %v\n%s", err, out)
		}
		if err := json.Unmarshal([]byte(out), to); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
	}
	var list []struct{ ID, App string }
	ask(&list, "list")
	if len(list) != 1 || list[0].App != "bad" {
		t.Fatalf("incidents: %+v, want the one", list)
	}
	var i struct {
		Kind   string
		Worker struct {
			PID          int
			OOM          bool
			Signal, Exit string
		}
		InFlight []string `json:"in_flight"`
	}
	ask(&i, "show", list[0].ID)
	if i.Kind != "crash" || i.Worker.PID != pid || !i.Worker.OOM || i.Worker.Signal != "SIGKILL" ||
		!strings.Contains(i.Worker.Exit, "out of memory") || len(i.InFlight) != 1 || !strings.HasPrefix(i.InFlight[0], "POST /eat ") {
		t.Errorf("the incident of worker %d is %+v", pid, i)
	}
}

// An application that forks is refused by its group, whatever user it has,
// and the others of the same user are not.
func testGroupProcesses(t *testing.T) {
	d := delegate(t)
	const most = 100
	r := d.serve(fmt.Sprintf("limits = { processes = %d }", most))
	group := d.bounds(r.awaitServing("bad", 2)[0])
	a := r.get("/fork")
	n, why, _ := strings.Cut(strings.TrimSpace(a.body), " ")
	if started, err := strconv.Atoi(n); err != nil || started < 1 || started >= most || why != syscall.EAGAIN.Error() {
		t.Errorf("it could start %.200q, want fewer than %d and then %v", a.body, most, syscall.EAGAIN)
	}
	if n, _ := strconv.Atoi(d.read(group, "pids.current")); n > most {
		t.Errorf("in the group are %d processes and threads, of %d", n, most)
	}
	refusals := 0 // counted where the bound is, before Linux 6.11 where the process is
	for _, g := range d.groups() {
		refusals += d.events(strings.TrimPrefix(g, d.path)+"/pids.events", "max")
	}
	if refusals < 1 {
		t.Error("the kernel counts no refusal")
	}
	if out, err := exec.Command("sleep", "0").CombinedOutput(); err != nil {
		t.Errorf("outside of the group a fork is refused as well: %v %s", err, out)
	}
	if a := r.get("/good/hello"); a.body != "hello\n" {
		t.Errorf("the neighbour: %d %q", a.status, a.body)
	}
	for _, pid := range r.awaitServing("bad", 2) {
		r.killAndAwait("bad", pid, 2)
	}
	// What they had started went with them.
	if b, err := exec.Command("ps", "-C", "sleep", "-o", "pid=,args=").Output(); err == nil && strings.Contains(string(b), "sleep 1000") {
		t.Errorf("left are\n%s", b)
	}
	if a := r.get("/hello"); a.body != "hello\n" {
		t.Errorf("it serves no more: %d %q", a.status, a.body)
	}
	d.stop(r)
}

// An application that computes gets its share of the processors and no more.
func testGroupCPU(t *testing.T) {
	d := delegate(t)
	r := d.serve("limits = { cpus = 0.4 }")
	pids := r.awaitServing("bad", 2)
	group := d.bounds(pids[0])
	if got := d.read(group, "cpu.max"); got != "40000 100000" || d.bounds(pids[1]) != group {
		t.Errorf("cpu.max is %q; the groups are %s and %s", got, group, d.bounds(pids[1]))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/spin", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	counterpart.Await(t, "the kernel to hold it back 20 times", patience, func() error {
		if n := d.events(group+"/cpu.stat", "nr_throttled"); n < 20 {
			return fmt.Errorf("%d times so far", n)
		}
		return nil
	})
	periods, used := d.events(group+"/cpu.stat", "nr_periods"), d.events(group+"/cpu.stat", "usage_usec")
	t.Logf("%d of %d periods held back, %d µs used", d.events(group+"/cpu.stat", "nr_throttled"), periods, used)
	if a := r.get("/good/hello"); a.body != "hello\n" {
		t.Errorf("the neighbour: %d %q", a.status, a.body)
	}
	resp.Body.Close()
	// Another share by a reload, beside the old one until that has ended.
	if out, err := r.reconfigure("cpus = 0.4", "cpus = 1.5, processes = 90"); err != nil {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	now := d.bounds(r.awaitServing("bad", 2)[0])
	if cpu, most := d.read(now, "cpu.max"), d.read(now, "pids.max"); cpu != "150000 100000" || most != "90" {
		t.Errorf("after a reload cpu.max is %q and pids.max %q", cpu, most)
	}
	if _, err := os.Stat(filepath.Join(d.path, group)); err == nil {
		t.Errorf("the group of the old settings, %s, is still there", group)
	}
	d.stop(r)
}

// What a worker has started ends with it, also what left for a session of its
// own, with an empty environment, and whose parent is gone.
func testGroupDescendants(t *testing.T) {
	d := delegate(t)
	r := d.serve("")
	for range 2 {
		grandchild := r.leaveGrandchild()
		if got, leaf := d.groupOf(grandchild), d.path+"/app-bad/"; !strings.HasPrefix(got, leaf) {
			t.Errorf("the grandchild is in %s, want it in %s", got, leaf)
		}
		owner := 0
		for _, pid := range r.awaitServing("bad", 2) {
			if d.groupOf(pid) == d.groupOf(grandchild) {
				owner = pid
			}
		}
		if owner == 0 {
			t.Fatalf("no worker is in the grandchild's group %s", d.groupOf(grandchild))
		}
		r.killAndAwait("bad", owner, 2)
		counterpart.Await(t, "its grandchild to be gone, while frontd lives", patience, func() error { return alivePIDs([]int{grandchild}) })
	}
	d.stop(r)
}

// Whoever kills frontd itself leaves no worker and nothing that one has
// started; the next frontd finds a clean group.
func testGroupCrash(t *testing.T) {
	d := delegate(t)
	r := d.serve("")
	pids := append(r.awaitServing("bad", 2), r.awaitServing("good", 1)...)
	pids = append(pids, r.leaveGrandchild())
	r.Signal(syscall.SIGKILL)
	r.AwaitExit(patience)
	counterpart.Await(t, "workers and what they have started to be gone", patience, func() error { return alivePIDs(pids) })
	r = d.serve("")
	others, _ := filepath.Glob(filepath.Join(d.path, "app-*", "*-*")) // fails only on a bad pattern
	for _, g := range others {
		if !strings.HasSuffix(g, fmt.Sprintf("-%d", r.PID())) {
			t.Errorf("left is the group %s, of another than %d", g, r.PID())
		}
	}
	d.stop(r)
}

// leaveGrandchild has a worker leave something behind, and returns its pid.
func (r *running) leaveGrandchild() int {
	r.t.Helper()
	a := r.get("/leave?clear=1")
	pid, err := strconv.Atoi(strings.TrimSpace(a.body))
	if err != nil {
		r.t.Fatalf("leave: %d %q", a.status, a.body)
	}
	return pid
}

// groupOf is the folder of a process's control group.
func (d *delegation) groupOf(pid int) string {
	d.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return "/sys/fs/cgroup" + path
		}
	}
	return ""
}
