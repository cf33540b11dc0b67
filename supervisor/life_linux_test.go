package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A slot that waits for its turn to start has no process: the number of the last one
// is another's, or nobody's.
func TestStatusWhileQueued(t *testing.T) {
	spec := childSpec(t, 2, "serve")
	spec.StartLimit = 1
	spec.Ready = func(ctx context.Context, w Worker) error {
		if w.Generation <= 2 {
			return ask(ctx, w)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("they come up", EventReady, 2)
	for _, st := range g.Workers() {
		syscall.Kill(st.Worker.PID, syscall.SIGKILL)
	}
	third := r.wantEvents("one starts again", EventStarted, 3).Worker
	r.wantEvents("both have ended", EventGone, 2)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var sts []Status
	for limit := time.After(patience); ; {
		sts = g.Workers()
		if len(sts) == 2 && sts[0].State == StateStarting && sts[1].State == StateStarting {
			break
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not both start: %+v", sts)
		}
	}
	for _, st := range sts {
		want := 0
		if st.Worker.Slot == third.Slot {
			want = third.PID
		}
		if st.Worker.PID != want || want == 0 && (st.RSS != 0 || !st.Worker.Started.IsZero()) {
			t.Errorf("%+v, want pid %d", st, want)
		}
	}
}

func TestLifeOfAWorker(t *testing.T) {
	_, g, r := start(t, Options{}, childSpec(t, 1, "serve"))
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	if pid, err := askPID(t.Context(), w.Addr); err != nil || pid != w.PID {
		t.Errorf("its socket answers %d, %v; want its pid %d", pid, err, w.PID)
	}
	if st := g.Workers()[0]; st.State != StateServing || st.RSS == 0 {
		t.Errorf("status %+v, want serving and its memory", st)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"0.1 started", "0.1 ready", "0.1 stopping", "0.1 gone"}
	if got := r.transcript(); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	exit := r.wantEvents("it ends", EventGone, 1).Exit
	if !strings.HasPrefix(exit.String(), "killed by signal 15 (terminated) after ") || exit.PID != w.PID {
		t.Errorf("exit %v of %d, want by signal 15 of %d", exit, exit.PID, w.PID)
	}
	if _, err := os.Lstat(w.Addr); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its socket is still there: %v", err)
	}
}

func TestKilledWorkerIsReplacedAtOnce(t *testing.T) {
	_, _, r := start(t, Options{}, childSpec(t, 1, "serve"))
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	began := time.Now()
	if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The listener outlives the process: this connection waits in its queue.
	pid, err := askPID(t.Context(), w.Addr)
	if err != nil || pid == w.PID {
		t.Errorf("right after the kill: %d, %v; want another pid and no refusal", pid, err)
	}
	t.Logf("a new process serves after %v", time.Since(began))
	exit := r.wantEvents("it is gone", EventGone, 1).Exit
	r.wantEvents("its successor comes up", EventReady, 2)
	// One that has not served for quickExit yet has the shortest pause after it.
	if d := r.longestPause(); d > defaultBackoffMin {
		t.Errorf("it came after a pause of %v, want none or the shortest: %q", d, r.transcript())
	}
	if exit.Signal != syscall.SIGKILL || exit.OOM || exit.Killed != "" || !exit.Ready {
		t.Errorf("exit %+v, want by somebody's KILL", *exit)
	}
}

func (r *record) longestPause() (d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		d = max(d, e.Delay)
	}
	return d
}

func TestKill(t *testing.T) {
	_, g, r := start(t, Options{}, childSpec(t, 1, "stubborn"))
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	if !g.Kill(w, CauseTimeout, "request timeout") {
		t.Error("Kill of a serving worker says it did nothing")
	}
	exit := r.wantEvents("it is gone", EventGone, 1).Exit
	if got := exit.String(); !strings.HasPrefix(got, "killed by signal 9 (request timeout) after ") {
		t.Errorf("exit %q", got)
	}
	r.wantEvents("the next one comes up", EventReady, 2)
	if g.Kill(w, CauseTimeout, "again") {
		t.Error("Kill of a generation that is gone says it did something")
	}
	for i := 2; i < 7; i++ { // as often as would be a crash loop
		w = r.wantEvents("it comes up", EventReady, i).Worker
		g.Kill(w, CauseTimeout, "request timeout")
	}
	r.wantEvents("and again", EventReady, 7)
	if tr := r.transcript(); slices.ContainsFunc(tr, func(e string) bool { return strings.HasSuffix(e, "backoff") }) {
		t.Errorf("our own kills count as failures: %q", tr)
	}
}

func TestRenewDrainsFirst(t *testing.T) {
	spec := childSpec(t, 1, "serve")
	drained := make(chan Worker, 1)
	spec.Drain = func(ctx context.Context, w Worker) {
		if ctx.Err() == nil && !alive(w.PID) { // at the test's end nobody waits for it
			t.Error("drained after its end")
		}
		drained <- w
	}
	_, g, r := start(t, Options{}, spec)
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	if done, err := g.Renew(t.Context(), w, CauseRequests, "10 requests"); !done || err != nil {
		t.Errorf("Renew of a serving worker: %v, %v", done, err)
	}
	if got := <-drained; got != w {
		t.Errorf("drained %v, want %v", got, w)
	}
	if e := r.wantEvents("it stops", EventStopping, 1); e.Reason != "10 requests" {
		t.Errorf("reason %q", e.Reason)
	}
	tr := r.transcript()
	if next, stop := slices.Index(tr, "1.2 ready"), slices.Index(tr, "0.1 stopping"); next < 0 || stop < next {
		t.Errorf("the old one stopped before the new one served: %q", tr)
	}
	if exit := r.wantEvents("it is gone", EventGone, 1).Exit; exit.Cause != CauseRequests {
		t.Errorf("cause %q", exit.Cause)
	}
	if n := g.Ended()[CauseRequests]; n != 1 {
		t.Errorf("%d ended for their requests, want 1", n)
	}
	if done, err := g.Renew(t.Context(), w, CauseRequests, "again"); done || err != nil {
		t.Errorf("Renew of one that is gone: %v, %v", done, err)
	}
}

func TestStopTimeoutKills(t *testing.T) {
	spec := childSpec(t, 1, "stubborn")
	spec.StopTimeout = 50 * time.Millisecond
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("it comes up", EventReady, 1)
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	exit := r.wantEvents("it ends", EventGone, 1).Exit
	if exit.Killed != "still there 50ms after TERM" {
		t.Errorf("exit %v", exit)
	}
}

func TestStopWithoutPatience(t *testing.T) {
	for _, second := range []bool{false, true} {
		_, g, r := start(t, Options{}, childSpec(t, 2, "stubborn"))
		r.wantEvents("they come up", EventReady, 2)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- g.Stop(ctx) }() // received below
		r.wantEvents("they are asked to stop", EventStopping, 2)
		if second {
			if err := g.Stop(t.Context()); err != nil {
				t.Errorf("second Stop: %v", err)
			}
			if err := <-ended; err != nil {
				t.Errorf("first Stop: %v", err)
			}
		} else {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Stop by force: %v", err)
			}
		}
		cancel()
		if exit := r.wantEvents("they end", EventGone, 2).Exit; exit.Signal != syscall.SIGKILL {
			t.Errorf("exit %v, want by KILL", exit)
		}
	}
}

func TestDescriptorsAndEnvironment(t *testing.T) {
	leak, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0) // as a shell may leave one to us
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leak)
	spec := childSpec(t, 1, "")
	const script = "echo up; sleep 1000 & wait" // a program that is loading has its libraries open
	spec.Path, spec.Args, spec.Ready = "sh", []string{"named", "-c", script}, nil
	spec.Env = []string{"PATH=" + os.Getenv("PATH"), "A=b"}
	_, _, r := start(t, Options{Guard: []string{self, "child", "guard"}}, spec)
	w := r.wantEvents("it runs", EventReady, 1).Worker
	r.until("it is loaded", func() bool { return slices.Contains(r.lines, "stdout: up") })
	proc := fmt.Sprintf("/proc/%d", w.PID)
	entries, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	var fds []string
	for _, e := range entries {
		fds = append(fds, e.Name())
		b, err := os.ReadFile(proc + "/fdinfo/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		flags, _, _ := strings.Cut(string(b[strings.Index(string(b), "flags:")+6:]), "\n")
		if n, err := strconv.ParseInt(strings.TrimSpace(flags), 8, 64); err != nil || n&syscall.O_NONBLOCK != 0 {
			t.Errorf("fd %s has flags %s, %v; want blocking mode", e.Name(), flags, err)
		}
	}
	if !slices.Equal(fds, []string{"0", "1", "2"}) {
		t.Errorf("open descriptors %v, want 0, 1, 2", fds)
	}
	for i, kind := range []string{"socket:", "pipe:", "pipe:"} {
		if to, _ := os.Readlink(fmt.Sprintf("%s/fd/%d", proc, i)); !strings.HasPrefix(to, kind) {
			t.Errorf("fd %d is %s, want %s", i, to, kind)
		}
	}
	if b, _ := os.ReadFile(proc + "/cmdline"); string(b) != "named\x00-c\x00"+script+"\x00" {
		t.Errorf("argv %q", b)
	}
	b, _ := os.ReadFile(proc + "/environ")
	env := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	if len(env) != 3 || env[1] != "A=b" || !strings.HasPrefix(env[2], "FRONTD_GUARD=") {
		t.Errorf("environment %q", env)
	}
	if pgid, _ := syscall.Getpgid(w.PID); pgid != w.PID {
		t.Errorf("process group %d, want its own %d", pgid, w.PID)
	}
}

func TestGroupDiesWithItsLeader(t *testing.T) {
	_, _, r := start(t, Options{Guard: []string{self, "child", "guard"}}, childSpec(t, 1, "family"))
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	var kids []int
	r.until("it names its children", func() bool {
		kids = nil
		for _, l := range r.lines {
			if pid, ok := strings.CutPrefix(l, "stderr: child "); ok {
				n, _ := strconv.Atoi(pid)
				kids = append(kids, n)
			}
		}
		return len(kids) == 2
	})
	if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Its end is noticed although the other child still holds its stderr open.
	r.wantEvents("it is gone", EventGone, 1)
	wantDead(t, "the child in its group", kids[0])
	if !alive(kids[1]) {
		t.Error("the child in a session of its own died too: this test shows nothing")
	}
	syscall.Kill(kids[1], syscall.SIGKILL)
}

func TestNothingOutlivesTheSupervisor(t *testing.T) {
	for _, c := range []struct {
		why  string
		args []string
	}{
		{"the supervisor was killed", nil},
		{"its guard was, and then the supervisor", []string{"guard killed"}},
	} {
		cmd := exec.Command(self, append([]string{"child", "supervise", socketDir(t)}, c.args...)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pids []int
		for _, l := range readLines(t, out, "up") {
			pid, err := strconv.Atoi(l)
			if err != nil || !alive(pid) {
				t.Errorf("it says %q; want a process that lives", l)
			}
			pids = append(pids, pid)
		}
		if len(pids) != 7 { // two workers with two children each, and the guard
			t.Errorf("processes %v, want 7", pids)
		}
		began := time.Now()
		cmd.Process.Kill()
		cmd.Wait()
		for _, pid := range pids {
			wantDead(t, c.why, pid)
		}
		t.Logf("%s: all gone after %v", c.why, time.Since(began))
	}
}

func TestStopTakesDaemonsAlong(t *testing.T) {
	s, _, r := start(t, Options{Guard: []string{self, "child", "guard"}}, childSpec(t, 1, "family"))
	r.wantEvents("it comes up", EventReady, 1)
	var kids []int
	r.until("it names its children", func() bool {
		kids = nil
		for _, l := range r.lines {
			if pid, ok := strings.CutPrefix(l, "stderr: child "); ok {
				n, _ := strconv.Atoi(pid)
				kids = append(kids, n)
			}
		}
		return len(kids) == 2
	})
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pid := range kids { // killed, and not ours to wait for
		wantDead(t, "after Stop, its child", pid)
	}
}

func TestGuardIsReplaced(t *testing.T) {
	s, _, r := start(t, Options{Guard: []string{self, "child", "guard"}}, childSpec(t, 1, "serve"))
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	first := guardProcess(s)
	first.Kill()
	if next := nextGuard(s, first); !alive(next.Pid) {
		t.Error("the next guard is dead")
	}
	if !alive(w.PID) {
		t.Error("the worker died with the guard")
	}
}

func TestStopWhileStarting(t *testing.T) {
	dir := socketDir(t)
	runs := 200
	for i := range runs {
		r := newRecord(t)
		s := New(Options{Events: r.event})
		spec := childSpec(t, 2, "serve")
		spec.SocketDir = dir
		if i%2 == 0 { // a fast one and one that takes its time
			spec.Path, spec.Args, spec.Ready = "/bin/sleep", []string{"sleep", "1000"}, nil
		}
		if _, err := s.Start(spec); err != nil {
			t.Fatal(err)
		}
		offset := time.Duration(i) * 50 * time.Microsecond
		<-time.After(offset)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.events {
			if e.Kind == EventStarted && alive(e.Worker.PID) {
				t.Errorf("stopped after %v: process %d is left", offset, e.Worker.PID)
			}
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Fatalf("stopped after %v: %v are left", offset, left)
		}
	}
}
