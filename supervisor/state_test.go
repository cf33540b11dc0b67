package supervisor

import (
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeProcess ends when the test says so.
type fakeProcess struct {
	mu      sync.Mutex
	signals []syscall.Signal
	dies    bool // of KILL and TERM, as most do
	ends    chan Exit
}

func (p *fakeProcess) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signals = append(p.signals, sig)
	if p.dies {
		p.dies = false
		p.ends <- Exit{Signal: sig}
	}
}

// end ends it, whatever it was told before.
func (p *fakeProcess) end() {
	select {
	case p.ends <- Exit{}:
	default:
	}
}

func (p *fakeProcess) run(func(string, []byte)) Exit { return <-p.ends }

// fakes is a supervisor whose processes are made by the test.
type fakes struct {
	mu     sync.Mutex
	starts []time.Time
	make   func(n int) (*fakeProcess, error) // n counts from 1
	events []Event
	last   *fakeProcess
}

func (f *fakes) supervisor() *Supervisor {
	s := New(Options{Rand: func() float64 { return 0 }, Events: func(e Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	}})
	s.launch = func(*Spec, *os.File) (process, int, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.starts = append(f.starts, time.Now())
		p, err := f.make(len(f.starts))
		if err != nil {
			return nil, 0, err
		}
		f.last = p
		return p, 1000 + len(f.starts), nil
	}
	return s
}

func fakeSpec(workers int) Spec { return Spec{Name: "fake", Path: "/bin/sh", Workers: workers} }

func running() (*fakeProcess, error) {
	return &fakeProcess{dies: true, ends: make(chan Exit, 1)}, nil
}

func ended(e Exit) (*fakeProcess, error) {
	p := &fakeProcess{ends: make(chan Exit, 1)}
	p.ends <- e
	return p, nil
}

// TestEveryCombination walks the table: each cell is considered, what is never
// to happen has no channel to come from, and each action keeps the promises
// that all of them make.
func TestEveryCombination(t *testing.T) {
	for ph := range phaseCount {
		for in := range inputCount {
			act := table[ph][in]
			if act == nil {
				t.Errorf("%v × %v was not considered", ph, in)
				continue
			}
			t.Run(ph.String()+" × "+in.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { walk(t, ph, in) })
			})
		}
	}
}

func walk(t *testing.T, ph phase, in input) {
	f := &fakes{}
	s := slotIn(t, f, ph)
	defer func() { // what began ends
		if s.worker != nil {
			s.worker.close()
		}
		if f.last != nil {
			f.last.end()
		}
	}()
	if armed(s, in) == isNever(ph, in) {
		t.Fatalf("it can come: %v; the table says never: %v", armed(s, in), isNever(ph, in))
	}
	if isNever(ph, in) {
		return
	}
	switch in {
	case inStop, inHalt:
		s.retire = true // as next does
	case inTurn:
		<-s.turn
	}
	was := s.worker
	s.phase = table[ph][in](s, message{input: in, reason: "test"})
	hasProcess := s.phase >= phaseStarting && s.phase <= phaseKilling
	if hasProcess != (s.worker != nil) {
		t.Errorf("in %v with process %v", s.phase, s.worker != nil)
	}
	for i := range inputCount {
		if armed(s, i) == isNever(s.phase, i) {
			t.Errorf("then in %v, where %v can come: %v; the table says never: %v", s.phase, i, armed(s, i), isNever(s.phase, i))
		}
	}
	if turns := len(s.plan.turns); (s.phase == phaseStarting) != (turns == 0) {
		t.Errorf("in %v with %d turns to start left, want it to hold the one while starting", s.phase, turns)
	}
	switch {
	case in == inHalt && was != nil && s.phase != phaseKilling, in == inHalt && was == nil && s.phase != phaseGone:
		t.Errorf("halt leads to %v", s.phase)
	case s.phase == phaseKilling && !slices.Contains(f.last.signals, syscall.SIGKILL):
		t.Error("killing, and no KILL was sent")
	case s.phase == phaseTerminating && !slices.Contains(f.last.signals, syscall.SIGTERM):
		t.Error("terminating, and no TERM was sent")
	case in == inExited && s.worker != nil:
		t.Error("the process ended and is still there")
	}
}

func isNever(ph phase, in input) bool {
	return reflect.ValueOf(table[ph][in]).Pointer() == reflect.ValueOf(never).Pointer()
}

// armed reports whether an input has a channel to come from.
func armed(s *slot, in input) bool {
	w := s.worker
	if w == nil {
		w = &generation{}
	}
	switch in {
	case inTurn:
		return s.turn != nil
	case inReady, inUnready:
		return w.ready != nil
	case inStartTimeout:
		return w.startTimer != nil
	case inExited:
		return w.exited != nil
	case inDrained:
		return w.drained != nil
	case inDeadline:
		return w.deadline != nil
	case inLost:
		return w.lost != nil
	case inRetry:
		return s.retry != nil
	case inRecycle, inKill:
		return s.worker != nil
	}
	return s.phase != phaseGone // stop, halt
}

// slotIn brings a slot into a phase, by the table, without its loop.
func slotIn(t *testing.T, f *fakes, ph phase) *slot {
	t.Helper()
	spec, err := fakeSpec(1).normalized()
	if err != nil {
		t.Fatal(err)
	}
	spec.StartLimit = 1
	spec.Ready = func(ctx context.Context, w Worker) error { <-ctx.Done(); return ctx.Err() }
	spec.Drain = func(ctx context.Context, w Worker) { <-ctx.Done() }
	f.make = func(int) (*fakeProcess, error) { return &fakeProcess{ends: make(chan Exit, 1)}, nil }
	g := newGroup(f.supervisor(), "fake")
	g.plan = newPlan(spec)
	s := newSlot(g, g.plan, 0, nil)
	s.row.failures = 3 // so that the next one has to wait
	s.phase = s.queue(message{})
	way := map[phase][]input{
		phaseStarting: {inTurn}, phaseServing: {inTurn, inReady}, phaseDraining: {inTurn, inReady, inRecycle},
		phaseTerminating: {inTurn, inRecycle}, phaseKilling: {inTurn, inKill},
		phaseBackoff: {inTurn, inExited}, phaseGone: {inHalt},
	}
	for _, in := range way[ph] {
		switch in {
		case inTurn:
			<-s.turn
		case inHalt:
			s.retire = true
		}
		s.phase = table[s.phase][in](s, message{input: in})
	}
	if s.phase != ph {
		t.Fatalf("in %v, want %v", s.phase, ph)
	}
	return s
}

// TestCrashLoop counts the forks of a program that always fails at once.
func TestCrashLoop(t *testing.T) {
	for _, random := range []float64{0, 0.999} {
		synctest.Test(t, func(t *testing.T) {
			repaired := false
			f := &fakes{make: func(int) (*fakeProcess, error) {
				if repaired {
					return running()
				}
				return ended(Exit{Code: 1})
			}}
			s := f.supervisor()
			s.options.Rand = func() float64 { return random }
			g, err := s.Start(fakeNeverReady(1))
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			f.mu.Lock()
			n := len(f.starts)
			repaired = true
			f.mu.Unlock()
			if n < 10 || n > 20 {
				t.Errorf("%d starts in the first minute, want 10 to 20", n)
			}
			t.Logf("%d starts in the first minute", n)
			<-time.After(defaultBackoffMax)
			if st := g.Workers()[0].State; st != StateStarting {
				t.Errorf("%v, 15 s after the program was repaired; want its process to run", st)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// fakeNeverReady has a Ready that waits for ever, and a start that may take so long.
func fakeNeverReady(workers int) Spec {
	spec := fakeSpec(workers)
	spec.Ready = func(ctx context.Context, w Worker) error { <-ctx.Done(); return ctx.Err() }
	spec.StartTimeout = time.Hour
	return spec
}

func TestPauses(t *testing.T) {
	failed, quick, intended := &Exit{Code: 1}, &Exit{Age: time.Millisecond}, &Exit{Age: time.Minute}
	b := Backoff{Jitter: -1}.normalized()
	type end struct {
		why    string
		exit   *Exit
		served time.Duration
		want   time.Duration
	}
	for _, test := range []struct {
		why  string
		ends []end
	}{
		{"a worker that always fails waits longer and longer", []end{
			{"first", failed, 0, 0}, {"second", failed, 0, 100 * time.Millisecond}, {"third", failed, 0, 200 * time.Millisecond}}},
		{"no process could be started: as a failure", []end{
			{"first", nil, 0, 0}, {"second", nil, 0, 100 * time.Millisecond}}},
		{"exit status 0 is as intended", []end{
			{"first", intended, 0, 0}, {"second", intended, 0, 0}, {"third", intended, 0, 0}}},
		{"unless it comes too quickly", []end{
			{"first", quick, 0, 0}, {"second", quick, 0, 100 * time.Millisecond}}},
		{"a long service ends the row", []end{
			{"first", failed, 0, 0}, {"second", failed, 0, 100 * time.Millisecond},
			{"after a long service", failed, healthyAge, 0}, {"the one after", failed, 0, 100 * time.Millisecond}}},
	} {
		var r row
		for _, e := range test.ends {
			if got := r.next(b, e.exit, e.served, 0); got != e.want {
				t.Errorf("%s: %s: pause %v, want %v", test.why, e.why, got, e.want)
			}
		}
	}
	for n := range 100 { // no overflow, and never over Max
		if d := (Backoff{}).normalized().delay(n, 0); d > defaultBackoffMax || n > 9 && d != defaultBackoffMax {
			t.Errorf("after %d failures: %v", n, d)
		}
	}
}

func TestNoForkDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{make: func(int) (*fakeProcess, error) { return running() }}
		s := f.supervisor()
		good, err := s.Start(fakeSpec(2))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f.mu.Lock()
		f.make = func(n int) (*fakeProcess, error) {
			if n < 8 {
				return nil, syscall.EAGAIN
			}
			return running()
		}
		f.mu.Unlock()
		spec := fakeSpec(1)
		spec.Name = "unlucky"
		bad, err := s.Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		st := bad.Workers()[0]
		if st.State != StateBackoff || !errors.Is(st.LastErr, syscall.EAGAIN) || time.Until(st.Until) <= 0 {
			t.Errorf("status %+v, want it to wait because of EAGAIN", st)
		}
		<-time.After(time.Minute)
		if st := bad.Workers()[0]; st.State != StateServing || st.LastErr != nil {
			t.Errorf("when processes can be had again: %+v", st)
		}
		for _, st := range good.Workers() {
			if st.State != StateServing || st.Restarts != 0 {
				t.Errorf("the other group was disturbed: %+v", st)
			}
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestStartTimeoutAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &fakeProcess{ends: make(chan Exit, 1)}
		f := &fakes{make: func(n int) (*fakeProcess, error) {
			if n == 1 {
				return stuck, nil // it hangs in the kernel
			}
			return running()
		}}
		s := f.supervisor()
		spec := fakeNeverReady(1)
		spec.StartTimeout = 3 * time.Second
		if _, err := s.Start(spec); err != nil {
			t.Fatal(err)
		}
		<-time.After(3*time.Second + lostAfter + time.Millisecond)
		synctest.Wait()
		f.mu.Lock()
		var kinds []EventKind
		for _, e := range f.events {
			kinds = append(kinds, e.Kind)
		}
		want := []EventKind{EventStarted, EventStopping, EventFailing, EventGone, EventStarted}
		if !slices.Equal(kinds, want) {
			t.Errorf("events %v, want %v", kinds, want)
		} else if e := f.events[2]; !e.Exit.Lost || e.Err.Error() != "worker fake/0 pid 1001 did not start: not ready within 3s: "+
			"still not dead after KILL, given up (not ready) after 8s" {
			t.Errorf("failing with %v", e.Err)
		}
		f.mu.Unlock()
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		stuck.end()
	})
}
