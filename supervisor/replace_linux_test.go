package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestReplaceRefusesNoConnection(t *testing.T) {
	spec := childSpec(t, 2, "serve")
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("they come up", EventReady, 2)
	before := addrs(g)
	if err := g.Replace(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	after := addrs(g)
	for _, a := range before {
		if slices.Contains(after, a) {
			t.Errorf("%s is a socket of both, want new ones of their own: %q, %q", a, before, after)
		}
	}
	// Both new ones were ready before the first old one was told to stop.
	tr := r.transcript()
	ready := max(slices.Index(tr, "2.3 ready"), slices.Index(tr, "2.4 ready"), slices.Index(tr, "3.3 ready"), slices.Index(tr, "3.4 ready"))
	stop := slices.IndexFunc(tr, func(e string) bool { return strings.HasSuffix(e, "stopping") })
	if stop < ready {
		t.Errorf("an old one was stopped before all new ones were ready: %q", tr)
	}
	if left, _ := filepath.Glob(spec.SocketDir + "/*"); !slices.Equal(left, after) {
		t.Errorf("sockets %q, want those of the new ones %q", left, after)
	}
	if err := g.Replace(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if again := addrs(g); !slices.Equal(again, before) {
		t.Errorf("third ones on %q, want the free slots %q", again, before)
	}
}

func addrs(g *Group) (list []string) {
	for _, st := range g.Workers() {
		list = append(list, st.Worker.Addr)
	}
	return list
}

func TestReplaceByBrokenOneChangesNothing(t *testing.T) {
	for _, c := range []struct {
		mode string
		args []string
		want string
	}{
		{"fail", []string{"3"}, "exit status 3"},
		{"mute", nil, "not ready within"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			good := childSpec(t, 2, "serve")
			_, g, r := start(t, Options{}, good)
			r.wantEvents("they come up", EventReady, 2)
			before := g.Workers()
			broken := childSpec(t, 2, c.mode, c.args...)
			broken.SocketDir = good.SocketDir
			broken.StartTimeout = 3 * time.Second // time enough for its words
			if c.mode == "fail" {
				broken.StartTimeout = time.Minute
			} else { // a shell: it has said them long before
				broken.Path, broken.Args = "/bin/sh", []string{"sh", "-c", "echo waiting for a database that never comes >&2; exec sleep 1000"}
			}
			err := g.Replace(t.Context(), broken)
			var start *StartError
			if !errors.As(err, &start) {
				t.Fatalf("error %v, want a *StartError", err)
			}
			if len(start.Stderr) != 1 || !strings.Contains(err.Error(), start.Stderr[0]) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q and the worker's own words", err, c.want)
			}
			for i, st := range g.Workers() {
				if st.Worker != before[i].Worker || st.State != StateServing {
					t.Errorf("old worker %v is now %v in %v", before[i].Worker, st.Worker, st.State)
				}
			}
			if left, _ := filepath.Glob(good.SocketDir + "/*"); len(left) != 2 {
				t.Errorf("sockets %q, want those of the two old ones", left)
			}
			for _, e := range r.events {
				if e.Worker.Generation > 2 && alive(e.Worker.PID) {
					t.Errorf("new process %d is left", e.Worker.PID)
				}
			}
			// The group is as good as before: the next replacement works.
			if err := g.Replace(t.Context(), good); err != nil {
				t.Errorf("then by a good one: %v", err)
			}
		})
	}
}

func TestReplaceIsForAllOrNone(t *testing.T) {
	// The second new worker fails after the first is ready: all of them go.
	spec := childSpec(t, 2, "serve")
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("they come up", EventReady, 2)
	var asked atomic.Int32
	firstReady := make(chan struct{})
	spec.Ready = func(ctx context.Context, w Worker) error {
		if asked.Add(1) == 1 {
			defer close(firstReady)
			return ask(ctx, w)
		}
		<-firstReady
		return errors.New("no database")
	}
	err := g.Replace(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("error %v, want that of Ready", err)
	}
	for _, st := range g.Workers() {
		if st.Worker.Generation > 2 {
			t.Errorf("%v is left", st.Worker)
		}
	}
}

func TestStopDuringReplace(t *testing.T) {
	spec := childSpec(t, 2, "serve")
	s, g, r := start(t, Options{}, spec)
	r.wantEvents("they come up", EventReady, 2)
	mute := childSpec(t, 2, "mute")
	mute.SocketDir = spec.SocketDir
	replaced := make(chan error)
	go func() { replaced <- g.Replace(t.Context(), mute) }() // received below
	r.wantEvents("the new ones start", EventStarted, 4)
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := <-replaced; !errors.Is(err, ErrStopped) {
		t.Errorf("Replace: %v, want %v", err, ErrStopped)
	}
	for _, e := range r.events {
		if e.Kind == EventStarted && alive(e.Worker.PID) {
			t.Errorf("process %d is left", e.Worker.PID)
		}
	}
	if left, _ := filepath.Glob(spec.SocketDir + "/*"); len(left) > 0 {
		t.Errorf("sockets %q are left", left)
	}
	if _, err := s.Start(spec); !errors.Is(err, ErrStopped) {
		t.Errorf("Start after Stop: %v", err)
	}
}

func TestScale(t *testing.T) {
	_, g, r := start(t, Options{}, childSpec(t, 1, "serve"))
	r.wantEvents("it comes up", EventReady, 1)
	for _, n := range []int{4, 2, 0, 3} {
		if err := g.Scale(t.Context(), n); err != nil {
			t.Fatalf("to %d: %v", n, err)
		}
		sts := g.Workers()
		if len(sts) != n {
			t.Errorf("scaled to %d: %d slots", n, len(sts))
		}
		for i, st := range sts {
			if st.State != StateServing || st.Worker.Slot != i {
				t.Errorf("scaled to %d: slot %d is %v in %v", n, i, st.Worker, st.State)
			}
		}
	}
	if err := g.Scale(t.Context(), -1); err == nil {
		t.Error("scaled to -1")
	}
}

// A worker of more that does not come up, or for which nobody waits any more,
// leaves as many as there were, and nobody who tries on.
func TestScaleGoesBack(t *testing.T) {
	spec := childSpec(t, 1, "serve")
	asked := make(chan struct{}, 10)
	var well, hang atomic.Bool
	spec.Ready = func(ctx context.Context, w Worker) error {
		switch {
		case w.Slot < 2 || well.Load():
			return ask(ctx, w)
		case !hang.Load():
			return errors.New("no database")
		}
		asked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	_, g, r := start(t, Options{}, spec)
	r.wantEvents("it comes up", EventReady, 1)
	want := func(why string, err error, says string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v", why, err)
		}
		if n := g.Count(); n.Serving != 1 || n.Starting+len(n.Backoff) != 0 {
			t.Errorf("%s: %+v, want one worker as before", why, n)
		}
	}
	want("one of two does not come up", g.Scale(t.Context(), 3), "no database")
	if sts := g.Workers(); len(sts) != 1 {
		t.Errorf("left are %+v", sts)
	}
	hang.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends with the start
		<-asked
		cancel()
	}()
	want("who asked has gone", g.Scale(ctx, 3), "canceled")
	well.Store(true)
	if err := g.Scale(t.Context(), 3); err != nil {
		t.Errorf("the next change: %v", err)
	}
}

// Who waits for a slot's first process must not see the state before it.
func TestMarksFollowTheState(t *testing.T) {
	_, g, r := start(t, Options{}, childSpec(t, 1, "serve"))
	r.wantEvents("it comes up", EventReady, 1)
	s := newSlot(g, g.plan, nil, 1, nil)
	closed := func() bool {
		select {
		case <-s.tried:
			return true
		default:
			return false
		}
	}
	s.worker = &generation{}
	s.phase = s.serve(message{})
	if st := s.look(); closed() && st.State != StateServing {
		t.Errorf("told as tried in %v", st.State)
	}
	s.publish()
	if st := s.look(); !closed() || st.State != StateServing {
		t.Errorf("tried is %v in %v, want true in %v", closed(), st.State, StateServing)
	}
}

func TestImpossibleStarts(t *testing.T) {
	spec := childSpec(t, 1, "serve")
	s, _, r := start(t, Options{}, spec)
	r.wantEvents("it comes up", EventReady, 1)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why    string
		change func(*Spec)
		want   string
	}{
		{"the name is taken", func(s *Spec) { s.Name = "blog" }, `"blog": runs already`},
		{"a name that leaves the directory", func(s *Spec) { s.Name = "../x" }, `name "../x"`},
		{"no such program", func(s *Spec) { s.Path = "/nonexistent/x" }, "/nonexistent/x"},
		{"a program that may not be run", func(s *Spec) { s.Path = plain }, plain + " is not an executable file"},
		{"not in PATH", func(s *Spec) { s.Path = "nosuchprogram"; s.Env = []string{"PATH=/bin"} }, `"nosuchprogram" not found in PATH "/bin"`},
		{"no such directory", func(s *Spec) { s.Dir = "/nonexistent/d" }, "/nonexistent/d"},
		{"a directory that is none", func(s *Spec) { s.Dir = plain }, plain + " is not a directory"},
		{"too many", func(s *Spec) { s.Workers = 1e6 }, "workers: 1000000"},
		{"a socket's path too long", func(s *Spec) { s.SocketDir = "/tmp/" + strings.Repeat("x", 120) }, "at most 107 allowed"},
		{"a directory open to all", func(s *Spec) { s.SocketDir = "/tmp" }, "want a directory of user"},
		{"a live socket", func(s *Spec) {
			// A second program, with the same names.
			l, err := ListenUnix(filepath.Join(spec.SocketDir, "other-0.sock"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			s.SocketDir = spec.SocketDir
		}, "other-0.sock: another process listens on it"},
	} {
		bad := childSpec(t, 1, "serve")
		bad.Name = "other"
		c.change(&bad)
		if _, err := s.Start(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.why, err, c.want)
		}
	}
}
