package fcgi

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// While no worker can be started, a request waits only if the next start
// comes within its time.
func TestPoolParksWhileFailing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := NewPool(2)
		failure := errors.New("import error")
		p.SetFailing(failure, time.Now().Add(2*time.Second))
		began := time.Now()
		if _, err := p.Acquire(t.Context(), Turn{Timeout: time.Second}); err != failure || time.Since(began) != 0 {
			t.Errorf("its time is over before the next start: %v after %v, want the failure at once", err, time.Since(began))
		}
		first := acquire(p, t.Context(), Turn{Timeout: 5 * time.Second})
		second := acquire(p, t.Context(), Turn{Timeout: 3 * time.Second})
		synctest.Wait()
		if _, err := p.Acquire(t.Context(), Turn{Timeout: 5 * time.Second}); err != failure {
			t.Errorf("over the queue's size: %v, want the failure", err)
		}
		p.SetFailing(failure, time.Now().Add(4*time.Second)) // it failed again
		if got := <-second; got.err != failure || time.Since(began) != 0 {
			t.Errorf("hopeless by now: %v after %v", got.err, time.Since(began))
		}
		if got := <-first; got.err != failure || time.Since(began) != 5*time.Second {
			t.Errorf("not started within its time: %v after %v, want the failure and not a queue timeout", got.err, time.Since(began))
		}
		third := acquire(p, t.Context(), Turn{Timeout: 5 * time.Second})
		synctest.Wait()
		u := &Upstream{Capacity: 1}
		p.Add(u)
		if got := <-third; got.u != u {
			t.Errorf("started within its time: %v", got.err)
		}
		p.Remove(u)
		fourth := acquire(p, t.Context(), Turn{Timeout: time.Second})
		if got := <-fourth; !errors.Is(got.err, ErrQueueTimeout) {
			t.Errorf("the failure is over: %v", got.err)
		}
	})
}

// A worker in doubt that is seen to live gets requests at once, if it has lost no
// other connection since it was asked.
func TestPoolTrust(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := NewPool(4)
		told := 0
		a := &Upstream{Capacity: 4, Doubted: func() { told++ }}
		p.Add(a)
		began := time.Now()
		p.Trust(a, p.Loss(a)) // nothing is lost yet
		p.Suspect(a)
		first := p.Loss(a)
		p.Suspect(a)
		if told != 1 {
			t.Errorf("told %d times that it is in doubt, want once until that is over", told)
		}
		waits := acquire(p, t.Context(), Turn{})
		p.Trust(a, first)
		synctest.Wait()
		if p.Waiting() != 1 {
			t.Error("it got a request, although it was asked before its last loss")
		}
		p.Trust(a, p.Loss(a))
		if got := <-waits; got.u != a || time.Since(began) != 0 {
			t.Errorf("seen to live: got %v, %v after %v, want it at once", got.u, got.err, time.Since(began))
		}
		if loss := p.Loss(a); loss != 0 {
			t.Errorf("it is in no doubt any more, and that is called %d", loss)
		}
		time.Sleep(2 * doubtful) // the doubt that was ended ends nothing more
		if !p.Borrow(&Upstream{}) || p.Borrow(a) {
			t.Error("it has a request in hand, which is not known")
		}
		p.Suspect(a)
		p.Remove(a)
		if told != 2 || p.Loss(a) != 0 {
			t.Errorf("told %d times, want twice; gone, it is in doubt for %d", told, p.Loss(a))
		}
		time.Sleep(2 * doubtful)
	})
}

// A worker that has lost a connection gets nothing until it is known to be
// gone, or, if it is not, for a moment.
func TestPoolSuspect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := NewPool(4)
		a, b := &Upstream{Capacity: 2}, &Upstream{Capacity: 2}
		p.Add(a)
		p.Add(b)
		p.Suspect(a)
		for range 2 {
			if u, _ := p.Acquire(t.Context(), Turn{}); u != b {
				t.Error("a suspected worker got a request")
			}
		}
		p.Retire(b)
		began := time.Now()
		again := acquire(p, t.Context(), Turn{Lost: a})
		if got := <-again; got.u != a || time.Since(began) != doubtful {
			t.Errorf("got %v, %v after %v, want it back after %v", got.u, got.err, time.Since(began), doubtful)
		}
		p.Suspect(a)
		waits := acquire(p, t.Context(), Turn{Lost: a})
		synctest.Wait()
		p.Remove(a)
		c := &Upstream{Capacity: 1}
		p.Add(c)
		if got := <-waits; got.u != c {
			t.Errorf("the successor: %v", got.err)
		}
		synctest.Wait()
	})
}

func TestPoolLookAndTired(t *testing.T) {
	p := NewPool(4)
	tired := 0
	a := &Upstream{Capacity: 2, Limit: 3, Tired: func() { tired++ }}
	b := &Upstream{Capacity: 2}
	p.Add(a)
	p.Add(b)
	take := func() *Upstream {
		u, err := p.Acquire(t.Context(), Turn{})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	first, second, third := take(), take(), take()
	p.Release(third)
	l := p.Look()
	if l.Busy != 2 || l.Peak != 3 || l.Waiting != 0 || len(l.Workers) != 2 || l.Workers[0].Busy+l.Workers[1].Busy != 2 {
		t.Errorf("%+v, want 2 in hand after a peak of 3", l)
	}
	if l = p.Look(); l.Peak != 2 {
		t.Errorf("the next peak is %d, want 2", l.Peak)
	}
	p.Release(first)
	p.Release(second)
	p.Retire(b)
	for range 4 {
		if u := take(); u != a {
			t.Error("a retired worker got a request")
		} else {
			p.Release(u)
		}
	}
	if tired != 1 {
		t.Errorf("tired %d times, want once, after the third", tired)
	}
	if l = p.Look(); !l.Workers[1].Draining || l.Workers[0].Served != 6 {
		t.Errorf("%+v", l.Workers)
	}
}
