package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
	"github.com/frontd/frontd/worker"
)

// misbehave is an application that does each of the things that an application
// must not be able to hurt others with, at a URL each.
func misbehave() {
	if os.Getenv("HOARD") != "" {
		eatMemory(nil, nil)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	mux.HandleFunc("/eat", eatMemory)
	mux.HandleFunc("/fork", forkUntilRefused)
	mux.HandleFunc("/open", openUntilRefused)
	mux.HandleFunc("/leave", leaveGrandchild)
	mux.HandleFunc("/spin", spin)
	mux.HandleFunc("/flood", func(w http.ResponseWriter, r *http.Request) {
		lines := bytes.Repeat([]byte(strings.Repeat("flood ", 20)+"\n"), 64)
		n, _ := strconv.Atoi(r.FormValue("bytes"))
		sent := 0
		for ; sent < n; sent += len(lines) {
			os.Stderr.Write(lines)
		}
		fmt.Fprintln(w, sent/len(lines)*64)
	})
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { select {} })
	if err := worker.Serve(mux); err != nil && !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "misbehave:", err)
		os.Exit(1)
	}
	if os.Getenv("STUBBORN") != "" {
		select {} // it was told to end
	}
}

func eatMemory(http.ResponseWriter, *http.Request) {
	var eaten [][]byte
	for {
		b := make([]byte, 16<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		eaten = append(eaten, b)
		if len(eaten) > 128 { // 2 GiB: nobody stops it
			os.Exit(99)
		}
	}
}

// refused is how many times something went well before it was refused, at most
// 10000, and by what.
func refused(w http.ResponseWriter, try func() error) {
	for n := range 10000 {
		if err := try(); err != nil {
			var errno syscall.Errno
			errors.As(err, &errno)
			fmt.Fprintf(w, "%d %v\n", n, errno)
			return
		}
	}
	fmt.Fprintln(w, "10000 nobody")
}

func forkUntilRefused(w http.ResponseWriter, _ *http.Request) {
	refused(w, func() error { return exec.Command("/bin/sleep", "1000").Start() })
}

// spin computes until nobody wants it any more.
func spin(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).Flush()
	for r.Context().Err() == nil {
	}
}

func openUntilRefused(w http.ResponseWriter, _ *http.Request) {
	var all []*os.File
	refused(w, func() error {
		f, err := os.Open(os.DevNull)
		all = append(all, f)
		return err
	})
	for _, f := range all {
		f.Close()
	}
}

// leaveGrandchild starts a process in a session of its own, of whose parent
// nothing is known any more, and says its number.
func leaveGrandchild(w http.ResponseWriter, r *http.Request) {
	clear := ""
	if r.FormValue("clear") != "" {
		clear = "env -i " // and without our mark
	}
	out, err := exec.Command("/bin/sh", "-c", clear+"setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' &").Output()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(out)
}

// layMisbehave puts the program where workers of any user can run it.
func layMisbehave(t testing.TB, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Link(self, filepath.Join(dir, "misbehave"))); err != nil {
		t.Fatal(err)
	}
}

// neighbours serves two applications: one that misbehaves, with more settings
// of its own, and one that has nothing to do with it.
func neighbours(t testing.TB, more string) *running {
	t.Helper()
	dir := counterpart.Dir(t)
	layMisbehave(t, dir)
	r := serve(t, dir, configure(t, dir, jsonLog+`
[app.good]
kind = "demo"
workers = 2
[app.bad]
kind = "go"
target = "./misbehave"
workers = 2
timeout = { stop = "1s" }
nice = 5
`+more+`
[[route]]
path = "= /hang"
app = "bad"
timeout.request = "3s"
[[route]]
path = "/good/"
app = "good"
mount = "/good"
[[route]]
app = "bad"
`)...)
	r.awaitServing("good", 2)
	r.awaitServing("bad", 2)
	return r
}

// quiet is how long the neighbour is measured before.
const quiet = 300

// quantile returns the p-th of 100 parts of what was measured.
func (l *load) quantile(p int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := slices.Sorted(slices.Values(l.slowest))
	return times[(len(times)-1)*p/100]
}

// beside measures the neighbour before, during and after a fault: none of its
// requests may fail, and its p99 is told. That of the worse of the two quiet
// times is compared only where the machine is ours alone (FRONTD_LONG=1).
func (r *running) beside(t testing.TB, what string, fault func()) {
	t.Helper()
	n := int64(quiet)
	long := os.Getenv("FRONTD_LONG") == "1"
	if long {
		n *= 20
	}
	measure := func(during func()) time.Duration {
		l := startLoad(t, r.client, 1, http.MethodGet, r.url+"/good/hello", "", "hello\n")
		during()
		l.awaitMore(t, n)
		l.clean(t, what)
		return l.quantile(99)
	}
	before := measure(func() {})
	during := measure(fault)
	before = max(before, measure(func() {}))
	t.Logf("%s: the neighbour's p99 is %v without and %v during it (%+.0f %%)", what, before, during, 100*(float64(during)/float64(before)-1))
	if long && during > before*6/5 {
		t.Errorf("%s: the neighbour's p99 grew from %v to %v, more than 20 %%", what, before, during)
	}
}

// descriptorsOf is how many descriptors a process has open.
func descriptorsOf(t testing.TB, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// Each misbehaviour is contained, named in the log with its cause, and its
// worker replaced; the neighbour does not notice.
func TestMisbehaviour(t *testing.T) {
	memory := "256MiB"
	if memoryFactor > 1 {
		memory = "0B" // the detector's own memory is no application's
	}
	r := neighbours(t, `limits = { open_files = 200, memory = "`+memory+`", core = 0 }`)
	for _, c := range []struct {
		what, path string
		status     int
		body, log  string
		replaced   bool
	}{
		{"it opens files", "/open", 200, "too many open files", "", false},
		{"it eats memory", "/eat", 502, "worker-died", `worker gone.*"exit":"exit status 2 .*/eat`, true},
		{"it never answers", "/hang", 504, "request-timeout", `worker stopping.*took longer than 3s`, true},
	} {
		t.Run(strings.ReplaceAll(c.what, " ", "-"), func(t *testing.T) {
			if memoryFactor > 1 && c.path == "/eat" {
				t.Skip("no limit of memory under the race detector")
			}
			before := r.awaitServing("bad", 2)
			mark := r.Mark()
			r.beside(t, c.what, func() {
				a := r.do(http.MethodPost, c.path, "", nil)
				if a.status != c.status || !strings.Contains(a.body, c.body) {
					t.Errorf("answered with %d %.200q, want %d with %q", a.status, a.body, c.status, c.body)
				}
			})
			if c.log != "" {
				r.AwaitLineAfter(mark, c.log, patience)
			}
			after := r.awaitServing("bad", 2)
			if gone := !slices.Equal(before, after); gone != c.replaced {
				t.Errorf("its workers were %v and are %v", before, after)
			}
			if a := r.get("/hello"); a.body != "hello\n" {
				t.Errorf("it serves no more: %d %q", a.status, a.body)
			}
		})
	}
}

// A flood on stderr holds up nobody but its writer, and every line of it is in
// the log or counted there: by the supervisor, which takes 4 MiB of its first second
// and 256 KiB of each one after it, or by the log.
func TestFloodOfStderr(t *testing.T) {
	r := neighbours(t, `
[[route]]
path = "/flood"
app = "bad"
timeout.request = "10m" # for a busy machine; the worker is nice
`)
	mark := r.Mark()
	var written int
	r.beside(t, "it floods stderr", func() {
		a := r.do(http.MethodPost, fmt.Sprintf("/flood?bytes=%d", 100_000_000/memoryFactor), "", nil)
		var err error
		if written, err = strconv.Atoi(strings.TrimSpace(a.body)); err != nil || a.status != http.StatusOK {
			t.Fatalf("answered with %d %.200q", a.status, a.body)
		}
	})
	dropped := regexp.MustCompile(`\[dropped (\d+) lines, \d+ bytes: more than (?:4 MiB a second|256 KiB a second of a flood that goes on)(?:; the worker was held up at 16 MiB a second, for \S+)?\]|log lines were lost.*"lines":(\d+)`)
	counterpart.Await(t, "every line to be told of", patience, func() error {
		told := 0
		for _, l := range r.Lines(mark) {
			if m := dropped.FindStringSubmatch(l); m != nil {
				n, _ := strconv.Atoi(m[1] + m[2])
				told += n
			} else if strings.Contains(l, "flood flood") {
				told++
			}
		}
		if told < written {
			return fmt.Errorf("%d of %d", told, written)
		}
		return nil
	})
	if a := r.get("/hello"); a.body != "hello\n" {
		t.Errorf("it serves no more: %d %q", a.status, a.body)
	}
}

// A worker that ignores TERM is killed at stop's end; what it has started in
// another session goes with it, by its mark.
func TestStubbornWorkerIsReplaced(t *testing.T) {
	r := neighbours(t, `env = { STUBBORN = "1" }`)
	before := r.awaitServing("bad", 2)
	grandchild, err := strconv.Atoi(strings.TrimSpace(r.get("/leave").body))
	if err != nil {
		t.Fatal(err)
	}
	mark := r.Mark()
	r.beside(t, "it ignores TERM", func() {
		f := controlFlag{path: r.control}
		if err := f.call(t.Context(), http.MethodPost, "/restart?app=bad", nil); err != nil {
			t.Errorf("restart: %v", err)
		}
	})
	r.AwaitLineAfter(mark, `worker gone.*still there 1s after TERM`, patience)
	if after := r.awaitServing("bad", 2); slices.ContainsFunc(after, func(p int) bool { return slices.Contains(before, p) }) {
		t.Errorf("its workers were %v and are %v", before, after)
	}
	r.Signal(syscall.SIGTERM)
	r.AwaitExit(patience)
	counterpart.Await(t, "its grandchild to be gone", patience, func() error { return alivePIDs([]int{grandchild}) })
}

// An application that forks without end is stopped by the limit of its user.
func TestForkingIsBounded(t *testing.T) {
	counterpart.NeedRoot(t, "RLIMIT_NPROC is of a user, and root has none")
	r := neighbours(t, `
user = "games"
limits = { processes = 100 }`)
	r.beside(t, "it forks", func() {
		a := r.get("/fork")
		n, why, _ := strings.Cut(strings.TrimSpace(a.body), " ")
		if started, err := strconv.Atoi(n); err != nil || started > 100 || why != syscall.EAGAIN.Error() {
			t.Errorf("it could start %.200q, want at most 100", a.body)
		}
	})
	mark := r.Mark()
	pids := r.awaitServing("bad", 2)
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	r.AwaitLineAfter(mark, `worker gone.*killed by signal 9`, patience)
	// What they have started goes with them, or there would be no room for others.
	counterpart.Await(t, "new workers", patience, func() error {
		s, err := r.tryStatus()
		if err != nil {
			return err
		}
		if now, err := servingPIDs(s, "bad"); err != nil || len(now) != 2 || now[0] == pids[0] {
			return fmt.Errorf("%v %v", now, err)
		}
		return nil
	})
}

// In a control group even what cleared its environment and left for a session
// of its own ends with its worker.
func TestControlGroupOfWorkers(t *testing.T) {
	t.Parallel()
	base := "/sys/fs/cgroup/unified" // where version 1 is there too
	if _, err := os.Stat(base); err != nil {
		base = "/sys/fs/cgroup"
	}
	base = filepath.Join(base, fmt.Sprintf("frontd-test-%d", os.Getpid()))
	if err := os.Mkdir(base, 0o755); err != nil {
		counterpart.Unable(t, fmt.Sprint("may make no control group: ", err))
	}
	if _, err := os.Stat(filepath.Join(base, "cgroup.kill")); err != nil {
		os.Remove(base)
		counterpart.Unable(t, fmt.Sprint("no control groups of version 2: ", err))
	}
	t.Cleanup(func() {
		if err := os.Remove(base); err != nil {
			t.Errorf("something is left in the control group: %v", err)
		}
	})
	dir := counterpart.Dir(t)
	layMisbehave(t, dir)
	r := serve(t, dir, configure(t, dir, strings.Replace(jsonLog, "[log]", "cgroup = \""+base+"\"\n[log]", 1)+`
[app.bad]
kind = "go"
target = "./misbehave"
workers = 1
`)...)
	pid := r.awaitServing("bad", 1)[0]
	grandchild, err := strconv.Atoi(strings.TrimSpace(r.get("/leave").body))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", grandchild)); err != nil || !strings.Contains(string(b), filepath.Base(base)+"/app-bad/1-") {
		t.Errorf("the grandchild is in %s, %v", b, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	counterpart.Await(t, "its grandchild to be gone, while frontd lives", patience, func() error { return alivePIDs([]int{grandchild}) })
	r.Signal(syscall.SIGTERM)
	r.AwaitExit(patience)
	if left, _ := filepath.Glob(filepath.Join(base, "*", "")); slices.ContainsFunc(left, func(p string) bool { return strings.HasPrefix(filepath.Base(p), "app-") }) {
		t.Errorf("left are %q", left)
	}
}
