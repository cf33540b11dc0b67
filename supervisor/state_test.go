package supervisor

import (
	"context"
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

func (p *fakeProcess) dump() {}

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
	m := message{input: in, reason: "test"}
	if in == inForked {
		m.made = forkedByTemplate(f)
	}
	s.phase = table[ph][in](s, m)
	hasProcess := s.phase >= phaseStarting && s.phase <= phaseKilling
	if hasProcess != (s.worker != nil) {
		t.Errorf("in %v with process %v", s.phase, s.worker != nil)
	}
	for i := range inputCount {
		if armed(s, i) == isNever(s.phase, i) {
			t.Errorf("then in %v, where %v can come: %v; the table says never: %v", s.phase, i, armed(s, i), isNever(s.phase, i))
		}
	}
	holds := s.phase == phaseForking || s.phase == phaseStarting
	if turns := len(s.plan.turns); holds != (turns == 0) {
		t.Errorf("in %v with %d turns to start left, want it to hold the one while starting", s.phase, turns)
	}
	switch {
	case ph == phaseForking && (in == inHalt || in == inStop):
		if s.phase != ph { // until it is known what was made
			t.Errorf("%v leads to %v", in, s.phase)
		}
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

// forkedByTemplate is what a template has made.
func forkedByTemplate(f *fakes) made {
	f.last = &fakeProcess{ends: make(chan Exit, 1)}
	return made{proc: f.last, pid: 1000}
}

// TestForkingEnds walks what the table's cells alone do not show: how a slot
// ends that was asked to while its process was made.
func TestForkingEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		asked bool
		made  func(*fakes) made
		want  phase
	}{
		{"not made", false, func(*fakes) made { return made{err: os.ErrNotExist} }, phaseBackoff},
		{"not made, and not wanted", true, func(*fakes) made { return made{err: context.Canceled} }, phaseGone},
		{"made, and not wanted", true, forkedByTemplate, phaseKilling},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakes{}
				s := slotIn(t, f, phaseForking)
				if c.asked {
					s.retire = true
					s.phase = table[s.phase][inStop](s, message{input: inStop, cause: CauseStopped})
				}
				s.phase = table[s.phase][inForked](s, message{input: inForked, made: c.made(f)})
				if s.phase != c.want || s.forked != nil {
					t.Errorf("in %v, want %v", s.phase, c.want)
				}
				if turns := len(s.plan.turns); turns != 1 {
					t.Errorf("%d turns to start left, want its own back", turns)
				}
				for _, e := range f.events {
					if c.asked && e.Kind == EventFailing {
						t.Error("what was asked for is told as a failure")
					}
				}
				if s.worker != nil {
					f.last.end()
					s.worker.close()
				}
			})
		})
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
	case inForked:
		return s.forked != nil
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
	case inPassed:
		return s.passed != nil
	case inKill:
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
	s := newSlot(g, g.plan, nil, 0, nil)
	if ph == phaseProved {
		s.trial = newTrial()
	}
	s.row.failures = 3 // so that the next one has to wait
	s.phase = s.queue(message{})
	way := map[phase][]input{
		phaseStarting: {inTurn}, phaseProved: {inTurn, inReady}, phaseServing: {inTurn, inReady},
		phaseDraining: {inTurn, inReady, inStop}, phaseTerminating: {inTurn, inStop}, phaseKilling: {inTurn, inKill},
		phaseBackoff: {inTurn, inExited}, phaseGone: {inHalt},
	}
	if ph == phaseForking { // without a template, which is a process
		<-s.turn
		s.turn, s.forked, s.giveUp, s.phase = nil, make(chan made, 1), func() {}, phaseForking
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
