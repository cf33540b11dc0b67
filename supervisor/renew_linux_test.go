package supervisor

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A new worker that is ready before the others of its trial serves no request:
// it would be lost with the trial.
func TestNoneServesBeforeAllAreReady(t *testing.T) {
	spec := childSpec(t, 2, "serve")
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("they come up", EventReady, 2)
	var asked atomic.Int32
	answered, waits := make(chan struct{}), make(chan struct{})
	spec.Ready = func(ctx context.Context, w Worker) error {
		if asked.Add(1) == 1 {
			defer close(answered)
			return ask(ctx, w)
		}
		<-answered
		close(waits)
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	prepared := make(chan error, 1)
	go func() { _, err := g.Prepare(ctx, spec); prepared <- err }() // received below
	<-waits
	cancel()
	if err := <-prepared; !errors.Is(err, context.Canceled) {
		t.Errorf("Prepare: %v", err)
	}
	if tr := r.transcript(); slices.Contains(tr, "2.3 ready") || slices.Contains(tr, "3.4 ready") {
		t.Errorf("one on trial took over: %q", tr)
	}
	if n := g.Count(); n.Serving != 2 {
		t.Errorf("%+v, want the two old ones", n)
	}
}

// A worker of one group that ends between Prepare and TakeOver keeps those of the
// others from serving.
func TestTakeOverOfSeveralIsAllOrNothing(t *testing.T) {
	blog := childSpec(t, 1, "serve")
	shop := blog
	shop.Name = "shop"
	s, g, r := start(t, Options{}, blog)
	h, err := s.Start(shop)
	if err != nil {
		t.Fatal(err)
	}
	r.wantEvents("they come up", EventReady, 2)
	before := append(addrs(g), addrs(h)...)
	var changes []*Change
	for g, spec := range map[*Group]Spec{g: blog, h: shop} {
		c, err := g.Prepare(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, c)
	}
	syscall.Kill(changes[1].fresh[0].look().Worker.PID, syscall.SIGKILL)
	r.wantEvents("a new one ends", EventGone, 1)
	<-changes[1].fresh[0].done // its trial knows
	err = TakeOver(changes...)
	if err == nil || !strings.Contains(err.Error(), "the old workers stay") {
		t.Errorf("TakeOver: %v", err)
	}
	for _, c := range changes {
		c.Abort()
	}
	if after := append(addrs(g), addrs(h)...); !slices.Equal(after, before) {
		t.Errorf("after it %q, before %q", after, before)
	}
	for _, e := range r.events {
		if e.Kind == EventReady && e.Worker.Generation > 1 {
			t.Errorf("%v took over", e.Worker)
		}
	}
	for g, spec := range map[*Group]Spec{g: blog, h: shop} {
		if err := g.Replace(t.Context(), spec); err != nil {
			t.Errorf("the next change: %v", err)
		}
	}
}

func TestAbort(t *testing.T) {
	spec := childSpec(t, 2, "serve")
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("they come up", EventReady, 2)
	before := addrs(g)
	c, err := g.Prepare(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	c.Abort()
	if after := addrs(g); !slices.Equal(after, before) {
		t.Errorf("after Abort %q, before %q", after, before)
	}
	if err := g.Replace(t.Context(), spec); err != nil {
		t.Errorf("the next change: %v", err)
	}
}

// With Surge a replacement goes in steps, and never are there more processes
// than that beyond the number of workers.
func TestSurge(t *testing.T) {
	spec := childSpec(t, 4, "serve")
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("they come up", EventReady, 4)
	spec.Surge = 1
	if err := g.Replace(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	live, most := 0, 0
	for _, e := range r.events {
		switch e.Kind {
		case EventStarted:
			live++
		case EventGone:
			live--
		}
		most = max(most, live)
	}
	if n := g.Count(); most != 5 || n.Serving != 4 || len(g.Workers()) != 4 {
		t.Errorf("%d processes at most, want 5; in the end %+v", most, n)
	}
	if n := g.Ended()[CauseReplaced]; n != 4 {
		t.Errorf("%d were replaced, want 4", n)
	}
}

// Where a later step fails, workers of the old kind take the places that were
// taken over already.
func TestSurgeGoesBack(t *testing.T) {
	spec := childSpec(t, 3, "serve")
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("they come up", EventReady, 3)
	next := spec
	next.Surge = 1
	var asked atomic.Int32
	next.Ready = func(ctx context.Context, w Worker) error {
		if asked.Add(1) == 2 {
			return errors.New("no database")
		}
		return ask(ctx, w)
	}
	err := g.Replace(t.Context(), next)
	if err == nil || !strings.Contains(err.Error(), "no database") || !strings.Contains(err.Error(), "as before serve again") {
		t.Errorf("error %v", err)
	}
	if n := g.Count(); n.Serving != 3 || len(g.Workers()) != 3 || asked.Load() != 2 {
		t.Errorf("%+v after %d new ones, want three of the old kind", n, asked.Load())
	}
}

// A worker that is evicted is replaced at once, drained, and killed soon
// after TERM however long StopTimeout is.
func TestEvict(t *testing.T) {
	spec := childSpec(t, 1, "stubborn")
	spec.StopTimeout = time.Minute
	release := make(chan struct{})
	spec.Drain = func(ctx context.Context, w Worker) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
	_, g, r := start(t, Options{}, spec)
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	if !g.Evict(w, CauseTimeout, "request x took too long") {
		t.Error("Evict says it did nothing")
	}
	r.wantEvents("the next one comes up while the old one drains", EventReady, 2)
	if g.Evict(w, CauseTimeout, "again") {
		t.Error("it was evicted twice")
	}
	if n := g.Count(); n.Serving != 1 || n.Leaving != 1 {
		t.Errorf("%+v, want one that serves and one that leaves", n)
	}
	close(release)
	exit := r.wantEvents("it is gone", EventGone, 1).Exit
	if exit.Cause != CauseTimeout || exit.Killed != "still there 1s after TERM" {
		t.Errorf("exit %+v", *exit)
	}
	if n := g.Ended()[CauseTimeout]; n != 1 {
		t.Errorf("%d ended for a timeout, want 1", n)
	}
}

func TestGrowAndDismiss(t *testing.T) {
	_, g, r := start(t, Options{}, childSpec(t, 0, "serve"))
	if n := g.Count(); n.Serving+n.Starting != 0 {
		t.Errorf("%+v, want none", n)
	}
	if err := g.Grow(2); err != nil {
		t.Fatal(err)
	}
	w := r.wantEvents("they come up", EventReady, 2).Worker
	if !g.Dismiss(w, "idle") || g.Dismiss(w, "idle") {
		t.Error("want it dismissed once")
	}
	exit := r.wantEvents("it is gone", EventGone, 1).Exit
	if exit.Cause != CauseScaled || exit.PID != w.PID {
		t.Errorf("exit %+v", *exit)
	}
	if n := g.Count(); n.Serving != 1 {
		t.Errorf("%+v, want one left", n)
	}
}

// A slot that waits for its next start and is dismissed says that there will be none.
func TestLeavesBackoff(t *testing.T) {
	spec := childSpec(t, 1, "fail", "3")
	spec.Ready = func(ctx context.Context, _ Worker) error { <-ctx.Done(); return ctx.Err() }
	spec.Backoff = Backoff{Min: time.Hour, Max: time.Hour, Jitter: -1}
	_, g, r := start(t, Options{}, spec)
	w := r.wantEvents("it waits", EventBackoff, 1).Worker
	if err := g.Scale(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left := r.wantEvents("it leaves", EventLeft, 1).Worker; left.Slot != w.Slot {
		t.Errorf("%v left, want slot %d", left, w.Slot)
	}
}

// Ends are counted by what they were.
func TestEnded(t *testing.T) {
	spec := childSpec(t, 1, "fail", "3")
	spec.Ready = nil // so that it counts as one that served
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("it ends by itself", EventGone, 2)
	if n := g.Ended(); n[CauseExit] < 2 || n[CauseSignal] != 0 {
		t.Errorf("%v", n)
	}
	bad := childSpec(t, 1, "fail", "3")
	bad.Ready = func(ctx context.Context, _ Worker) error { <-ctx.Done(); return ctx.Err() }
	_, g, r = start(t, Options{}, bad)
	r.wantEvents("it does not come up", EventGone, 2)
	if n := g.Ended(); n[CauseStartFailed] < 2 || n[CauseExit] != 0 {
		t.Errorf("%v", n)
	}
}

func TestResidentTree(t *testing.T) {
	alone := ResidentTree(os.Getpid())
	if own := residentBytes(os.Getpid()); alone < own/2 || own == 0 {
		t.Errorf("tree %d, own %d", alone, own)
	}
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	out.Read(make([]byte, 1)) // the child is there
	sh := childrenOf(cmd.Process.Pid)
	if len(sh) != 1 || ResidentTree(cmd.Process.Pid) <= residentBytes(cmd.Process.Pid) {
		t.Errorf("children %v: %d is not more than %d", sh, ResidentTree(cmd.Process.Pid), residentBytes(cmd.Process.Pid))
	}
	for _, pid := range sh {
		if p, err := os.FindProcess(pid); err == nil {
			defer p.Kill()
		}
	}
}

// Kills by others slow a worker down by a little, and never more.
func TestForeignKillIsNoCrashLoop(t *testing.T) {
	b := Backoff{Jitter: -1}.normalized()
	var r row
	killed := &Exit{Signal: syscall.SIGKILL, Ready: true}
	for i := range 100 {
		want := b.Min
		if i == 0 {
			want = 0 // one alone costs nothing
		}
		if d := r.next(b, killed, 100*time.Millisecond, 0); d != want {
			t.Fatalf("kill %d: a pause of %v, want %v", i, d, want)
		}
	}
	if d := r.next(b, killed, time.Minute, 0); d != 0 {
		t.Errorf("after a minute's service: a pause of %v", d)
	}
	for i, d := range []time.Duration{0, b.Min, 2 * b.Min} {
		if got := r.next(b, &Exit{Signal: syscall.SIGKILL, Ready: true, OOM: true}, 0, 0); got != d {
			t.Errorf("out of memory, %d: a pause of %v, want %v", i, got, d)
		}
	}
}
