package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// controlGroup makes a real one for a test, below wherever version 2 is mounted.
func controlGroup(t testing.TB) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	root, err := ownGroup([]byte("0::/\n"), mounts)
	if err != nil {
		counterpart.Unable(t, err.Error())
	}
	path := filepath.Join(root, fmt.Sprintf("frontd-test-%d-%s", os.Getpid(), t.Name()))
	if err := os.Mkdir(path, 0o755); err != nil {
		counterpart.Unable(t, fmt.Sprint("may make no control group: ", err))
	}
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Errorf("something is left in the control group: %v", err)
		}
	})
	return path
}

// What a worker has started dies with it, in whatever session, with whatever
// environment; and no group is left.
func TestCgroupTakesAllAlong(t *testing.T) {
	base := controlGroup(t)
	cg, err := OpenCgroup(base)
	if err != nil {
		t.Fatal(err)
	}
	// Two sessions and no environment: neither the group nor the mark finds it.
	spec := shellSpec(t, "env -i setsid setsid sh -c 'echo $$; exec sleep 1000' &")
	spec.Umask = pointer(0o77) // by the launcher too it begins within
	s, g, r := start(t, Options{Cgroup: cg, Launcher: launcherArgs}, spec)
	w := r.wantEvents("it runs", EventReady, 1).Worker
	orphan, err := strconv.Atoi(r.wantLine("it leaves an orphan", "stdout: "))
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{w.PID, orphan} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil || !strings.Contains(string(b), filepath.Base(base)+fmt.Sprintf("/app-blog/1-%d/1", os.Getpid())) {
			t.Errorf("process %d is in %s, %v", pid, b, err)
		}
	}
	g.Kill(w, CauseTimeout, "test")
	r.wantEvents("it is killed and replaced", EventReady, 2)
	wantDead(t, "what it had started", orphan)
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(base, "app-*")); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

// fakeCgroup has the files of a control group with all controllers, which here
// nothing stands behind: it shows what is written.
func fakeCgroup(t testing.TB, dirs ...string) *Cgroup {
	t.Helper()
	base := t.TempDir()
	for _, dir := range append(dirs, ".") {
		dir = filepath.Join(base, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"cgroup.subtree_control", "memory.max", "cpu.max", "cpu.weight.nice", "pids.max", "memory.oom.group", "cgroup.kill"} {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte("cpuset cpu io memory pids\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cg, err := OpenCgroup(base)
	if err != nil {
		t.Fatal(err)
	}
	return cg
}

func TestCgroupBounds(t *testing.T) {
	cg := fakeCgroup(t, "app-blog")
	if !cg.Has("memory") || !cg.Has("cpu") || !cg.Has("pids") || cg.Has("io") {
		t.Errorf("it has %v", cg)
	}
	app := filepath.Join(cg.path, "app-blog")
	files := func(want string) {
		t.Helper()
		var got []string
		for _, f := range []string{"memory.max", "cpu.max", "pids.max", "cgroup.subtree_control"} {
			b, err := os.ReadFile(filepath.Join(app, f))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(b))
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("written is %q, want %q", s, want)
		}
	}
	if err := cg.bound(app, Bounds{Memory: 1 << 30, CPUs: 1.5, Processes: 64}); err != nil {
		t.Fatal(err)
	}
	if err := cg.enable(app); err != nil {
		t.Fatal(err)
	}
	files("1073741824; 150000 100000; 64; +cpu +memory +pids")
	for _, f := range []string{"memory.max", "cpu.max", "pids.max"} { // a real one is not appended to
		os.Truncate(filepath.Join(app, f), 0)
	}
	if err := cg.bound(app, Bounds{}); err != nil {
		t.Fatal(err)
	}
	files("max; max 100000; max; +cpu +memory +pids")
	if _, err := cg.leaf(&Spec{Name: "other"}, 1); err == nil || !strings.Contains(err.Error(), "control group: ") {
		t.Errorf("a group without its files is used: %v", err)
	}
}

// An application that is nice is so to other applications: the group has its
// weight by it. New settings that may be refused take nothing from what runs, and
// leave nothing behind.
func TestCgroupIsNice(t *testing.T) {
	cg := fakeCgroup(t, "app-blog")
	file := filepath.Join(cg.path, "app-blog", "cpu.weight.nice")
	if err := os.WriteFile(file, []byte("0\n"), 0o644); err != nil { // as the kernel has it; a longer number is never written over
		t.Fatal(err)
	}
	specs := map[string]*Spec{}
	for name, nice := range map[string]int{"usual": 0, "nice": 5, "nicer": 10, "nicest": 30} {
		specs[name] = &Spec{Name: "blog", Nice: nice}
	}
	cg.specs = map[*Spec]*specGroup{}
	for _, c := range []struct{ does, spec, want string }{
		{"makes", "usual", "0"},
		{"makes", "nice", "0"},
		{"ends", "usual", "5"},
		{"makes", "usual", "0"},
		{"ends", "usual", "5"}, // refused
		{"makes", "nicer", "5"},
		{"ends", "nice", "10"},
		{"makes", "nicest", "10"},
		{"ends", "nicer", "19"},
		{"ends", "nicest", "19"}, // and the group goes
	} {
		spec := specs[c.spec]
		if c.does == "makes" {
			if err := cg.weighLocked("blog", spec); err != nil {
				t.Fatal(err)
			}
			cg.specs[spec] = &specGroup{path: filepath.Join(cg.path, "none")}
		} else {
			cg.tidyLocked(spec)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(b)); got != c.want {
			t.Errorf("after it %s a group of the %s spec: %q, want %q", c.does, c.spec, got, c.want)
		}
	}
}

// The kernel's word of a worker's end is that of its own group alone.
func TestLeafOutOfMemory(t *testing.T) {
	l := &leaf{path: t.TempDir(), memory: true}
	for events, want := range map[string]bool{
		"low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\noom_group_kill 0\n": false,
		"low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 1\n": true,
	} {
		if err := os.WriteFile(filepath.Join(l.path, "memory.events"), []byte(events), 0o600); err != nil {
			t.Fatal(err)
		}
		if l.outOfMemory() != want {
			t.Errorf("%q: out of memory is not %v", events, want)
		}
	}
}

func TestOwnGroup(t *testing.T) {
	const mount = "36 25 0:31 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	for _, c := range []struct{ why, groups, mounts, want string }{
		{"version 2 alone", "0::/system.slice/frontd.service\n", mount, "/sys/fs/cgroup/system.slice/frontd.service"},
		{"both versions", "4:memory:/x\n0::/a\n", "9 1 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
			"10 1 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified/a"},
		{"a container that sees its own part only", "0::/docker/1/x\n", "36 25 0:31 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/sys/fs/cgroup/x"},
		{"version 1", "4:memory:/x\n", mount, ""},
		{"not mounted", "0::/a\n", "9 1 0:1 / / rw - ext4 /dev/x rw\n", ""},
	} {
		got, err := ownGroup([]byte(c.groups), []byte(c.mounts))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", c.why, got, err, c.want)
		}
	}
	if _, err := OpenCgroup(t.TempDir()); err == nil {
		t.Error("a folder is taken for a control group")
	}
}

func FuzzOwnGroup(f *testing.F) {
	f.Add([]byte("0::/a\n"), []byte("36 25 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"))
	f.Add([]byte("0::\n"), []byte("a b c d e - cgroup2 \n"))
	f.Fuzz(func(t *testing.T, groups, mounts []byte) {
		if path, err := ownGroup(groups, mounts); err == nil && path == "" {
			t.Error("no group and no error")
		}
	})
}

func TestShortfall(t *testing.T) {
	b := Bounds{Memory: 1 << 30, CPUs: 1, Processes: 10}
	if got := b.shortfall(nil, false); len(got) != 3 || !strings.Contains(got[2], "frontd's own user") {
		t.Errorf("without a control group %q", got)
	}
	if got := b.shortfall(&Cgroup{controllers: []string{"cpu"}}, true); len(got) != 2 || !strings.Contains(got[1], "RLIMIT_NPROC") {
		t.Errorf("with one for the CPU %q", got)
	}
	if got := b.shortfall(&Cgroup{controllers: cgroupControllers}, false); got != nil {
		t.Errorf("with all of them %q", got)
	}
	if got := (Bounds{}).shortfall(nil, false); got != nil {
		t.Errorf("nothing is asked for: %q", got)
	}
}
