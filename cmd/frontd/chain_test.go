package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// What a chain led to is needed until its last request has left, also one that
// came just when another chain was put in force.
func TestChainIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(daemon)
		closed := new(closes)
		before, now := &chain{idle: make(chan struct{}, 1), roots: folders{closed}}, &chain{idle: make(chan struct{}, 1)}
		d.chained.Store(before)
		first, second := d.enter(), d.enter()
		d.chained.Store(now)
		if third := d.enter(); first != before || second != before || third != now {
			t.Error("requests are not on the chain that was in force when they came")
		}
		first.leave()
		left := false
		go func() { // seen by left
			before.await(t.Context())
			left = true
		}()
		synctest.Wait()
		if left || *closed != 0 {
			t.Fatal("the chain is given up with a request on it")
		}
		second.leave()
		synctest.Wait()
		if !left || *closed != 1 {
			t.Fatalf("nobody is on the chain: given up is %v, closed %d times; want once", left, *closed)
		}

		// One that nobody is on needs no wait; a request without an end is not waited for.
		before.await(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		now.await(ctx)
		if took := time.Since(start); took != time.Minute {
			t.Errorf("waited for %v, want a minute", took)
		}
		now.leave()
		if *closed != 1 {
			t.Errorf("closed %d times, want once", *closed)
		}
	})
}

// A closes counts.
type closes int

func (c *closes) Close() error { *c++; return nil }
