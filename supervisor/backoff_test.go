package supervisor

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

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

// A group of many that always fails at once: it is started as rarely as one,
// and all of it is there as soon as one comes up.
func TestCrashLoopOfMany(t *testing.T) {
	const workers = 8
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
			spec := fakeSpec(workers)
			spec.Ready = func(ctx context.Context, w Worker) error {
				f.mu.Lock()
				up := repaired
				f.mu.Unlock()
				if up {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
			g, err := s.Start(spec)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			f.mu.Lock()
			n := len(f.starts)
			repaired = true
			f.mu.Unlock()
			if n < workers || n > workers+15 {
				t.Errorf("%d starts in the first minute, want each once and at most 15 more", n)
			}
			t.Logf("%d starts in the first minute", n)
			<-time.After(defaultBackoffMax)
			synctest.Wait()
			if now := g.Count(); now.Serving != workers {
				t.Errorf("15 s after the program was repaired: %+v, want all to serve", now)
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

func TestStartLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{make: func(int) (*fakeProcess, error) { return running() }}
		s := f.supervisor()
		spec := fakeSpec(6)
		spec.StartLimit = 2
		spec.Ready = func(ctx context.Context, w Worker) error {
			<-time.After(time.Second) // its start takes a second
			return nil
		}
		g, err := s.Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		for second := range 4 {
			<-time.After(time.Millisecond)
			synctest.Wait()
			f.mu.Lock()
			started := len(f.starts)
			f.mu.Unlock()
			serving := 0
			for _, st := range g.Workers() {
				if st.State == StateServing {
					serving++
				}
			}
			if want := min(2*second+2, 6); started != want || serving != 2*second {
				t.Errorf("after %d s %d are started and %d serve, want %d and %d", second, started, serving, want, 2*second)
			}
			<-time.After(time.Second)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTimeoutSaysWhatReadySaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{make: func(int) (*fakeProcess, error) { return running() }}
		s := f.supervisor()
		refused := errors.New("connection refused")
		spec := fakeNeverReady(1)
		spec.StartTimeout = 3 * time.Second
		spec.Ready = func(ctx context.Context, w Worker) error { <-ctx.Done(); return refused }
		g, err := s.Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(3*time.Second + time.Millisecond)
		synctest.Wait()
		if err := g.Workers()[0].LastErr; !errors.Is(err, refused) ||
			err.Error() != "worker fake/0 pid 1001 did not start: not ready within 3s: connection refused: killed by signal 9 (not ready) after 3s" {
			t.Errorf("it failed with %v", err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
