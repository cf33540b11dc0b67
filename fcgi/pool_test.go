package fcgi

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type acquired struct {
	u   *Upstream
	err error
}

func acquire(p *Pool, ctx context.Context, turn Turn) <-chan acquired {
	c := make(chan acquired, 1)
	go func() {
		// Its end is received from c.
		u, err := p.Acquire(ctx, turn)
		c <- acquired{u, err}
	}()
	return c
}

func TestPoolOrderAndBounds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := NewPool(2)
		a := &Upstream{Capacity: 1}
		p.Add(a)
		if u, err := p.Acquire(t.Context(), Turn{}); u != a || err != nil {
			t.Fatalf("first: %v, %v", u, err)
		}
		second := acquire(p, t.Context(), Turn{Timeout: time.Minute})
		synctest.Wait()
		third := acquire(p, t.Context(), Turn{Timeout: time.Second})
		synctest.Wait()
		if _, err := p.Acquire(t.Context(), Turn{}); !errors.Is(err, ErrQueueFull) {
			t.Errorf("over the queue's size: %v", err)
		}
		start := time.Now()
		if got := <-third; !errors.Is(got.err, ErrQueueTimeout) || time.Since(start) != time.Second {
			t.Errorf("third: %v after %v", got.err, time.Since(start))
		}
		fourth := acquire(p, t.Context(), Turn{})
		synctest.Wait()
		lost := acquire(p, t.Context(), Turn{Lost: a})
		synctest.Wait()
		for i, c := range []<-chan acquired{lost, second, fourth} {
			p.Release(a)
			synctest.Wait()
			select {
			case got := <-c:
				if got.u != a {
					t.Errorf("turn %d: %v", i, got.err)
				}
			default:
				t.Fatalf("turn %d was not served: a lost request goes first, then in order", i)
			}
		}
		p.Release(a)
		if s := p.Stats(); s.Busy != 0 || s.Waiting != 0 || s.Served != 4 || s.Refused != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestPoolLeastBusyThenLongestIdle(t *testing.T) {
	p := NewPool(0)
	var ups []*Upstream
	for range 3 {
		u := &Upstream{Capacity: 2}
		ups = append(ups, u)
		p.Add(u)
	}
	count := map[*Upstream]int{}
	for range 300 {
		u, err := p.Acquire(t.Context(), Turn{})
		if err != nil {
			t.Fatal(err)
		}
		count[u]++
		p.Release(u)
	}
	for i, u := range ups {
		if count[u] != 100 {
			t.Errorf("worker %d got %d of 300", i, count[u])
		}
	}
	for range 6 {
		if _, err := p.Acquire(t.Context(), Turn{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, u := range ups {
		if busy, _ := p.UpstreamStats(u); busy != 2 {
			t.Errorf("worker %d has %d in hand, want its capacity of 2", i, busy)
		}
	}
}

func TestPoolDrainAvoidFailing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := NewPool(4)
		a, b := &Upstream{Capacity: 1}, &Upstream{Capacity: 1}
		p.Add(a)
		p.Add(b)
		u, _ := p.Acquire(t.Context(), Turn{Lost: a})
		if u != b {
			t.Error("a worker that lost the request was taken although there is another")
		}
		drained := make(chan error, 1)
		go func() { drained <- p.Drain(t.Context(), b) }() // its end is received below
		synctest.Wait()
		if u, _ := p.Acquire(t.Context(), Turn{Lost: a}); u != a {
			t.Error("with the other draining, the one that lost it is better than none")
		}
		waits := acquire(p, t.Context(), Turn{})
		synctest.Wait()
		p.Release(b)
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if len(waits) != 0 {
			t.Error("a draining worker got a request")
		}
		p.Remove(b)
		p.Remove(a)
		failure := errors.New("import error")
		p.SetFailing(failure, time.Time{})
		if got := <-waits; !errors.Is(got.err, failure) {
			t.Errorf("waiting without any worker: %v", got.err)
		}
		p.Add(&Upstream{Capacity: 1})
		if _, err := p.Acquire(t.Context(), Turn{}); err != nil {
			t.Errorf("after recovery: %v", err)
		}
	})
}

// A client that leaves the queue takes no worker with it.
func TestPoolLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := NewPool(4)
		a := &Upstream{Capacity: 1}
		p.Add(a)
		p.Acquire(t.Context(), Turn{})
		ctx, cancel := context.WithCancel(t.Context())
		leaves := acquire(p, ctx, Turn{})
		stays := acquire(p, t.Context(), Turn{})
		synctest.Wait()
		cancel()
		if got := <-leaves; !errors.Is(got.err, context.Canceled) {
			t.Errorf("left: %v", got.err)
		}
		p.Release(a)
		if got := <-stays; got.u != a {
			t.Errorf("stayed: %v", got.err)
		}
		p.Release(a)
		if s := p.Stats(); s.Served != 2 {
			t.Errorf("%d served, want 2: none for the one that left", s.Served)
		}
	})
}
