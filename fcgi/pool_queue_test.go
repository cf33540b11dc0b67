package fcgi

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// One timer for the whole queue: each request is refused at its own time all the
// same, whoever came before it, and nobody else's time is touched.
func TestPoolQueueTimes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := NewPool(10)
		a := &Upstream{Capacity: 1}
		p.Add(a)
		if _, err := p.Acquire(t.Context(), Turn{}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		enter := func(ctx context.Context, d time.Duration) <-chan acquired {
			c := acquire(p, ctx, Turn{Timeout: d})
			synctest.Wait()
			return c
		}
		ctx, leave := context.WithCancel(t.Context())
		gone := enter(ctx, time.Second)
		unbound := enter(t.Context(), 0)
		long := enter(t.Context(), 10*time.Second)
		short := enter(t.Context(), 3*time.Second)
		middle := enter(t.Context(), 5*time.Second)
		leave()
		if got := <-gone; !errors.Is(got.err, context.Canceled) {
			t.Errorf("who left: %v", got.err)
		}
		for _, w := range []struct {
			c    <-chan acquired
			want time.Duration
		}{{short, 3 * time.Second}, {middle, 5 * time.Second}, {long, 10 * time.Second}} {
			if got := <-w.c; !errors.Is(got.err, ErrQueueTimeout) || time.Since(start) != w.want {
				t.Errorf("refused after %v with %v, want %v", time.Since(start), got.err, w.want)
			}
		}
		again := enter(t.Context(), time.Second) // in memory that others had, and behind a timer that has run out
		if got := <-again; !errors.Is(got.err, ErrQueueTimeout) || time.Since(start) != 11*time.Second {
			t.Errorf("later: %v after %v", got.err, time.Since(start))
		}
		p.Release(a)
		if got := <-unbound; got.u != a || got.err != nil {
			t.Errorf("who has no bound: %v", got.err)
		}
		p.Release(a)
		if s := p.Stats(); s.Busy != 0 || s.Waiting != 0 || s.Served != 2 || s.Refused != 5 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A queue that fills again and again makes nothing anew.
func TestPoolQueueAllocates(t *testing.T) {
	p := NewPool(1)
	a := &Upstream{Capacity: 1}
	p.Add(a)
	ctx := t.Context()
	asked, waits, got := make(chan struct{}), make(chan struct{}, 1), make(chan error)
	p.Wanted = func() { waits <- struct{}{} }
	go func() {
		for range asked {
			_, err := p.Acquire(ctx, Turn{Timeout: time.Hour})
			got <- err
		}
		close(got)
	}()
	// Its end is received from got.
	if _, err := p.Acquire(ctx, Turn{}); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(200, func() {
		asked <- struct{}{}
		<-waits
		p.Release(a)
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
	close(asked)
	<-got
	if n >= 2 { // sync.Pool may lose one to a collection
		t.Errorf("%v allocations for a request that waits", n)
	}
}
