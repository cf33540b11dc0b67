package main

import (
	"testing"
	"testing/synctest"
)

// Nothing starts when it is waited for: a WaitGroup's Go beside its Wait may panic,
// and what starts after Wait outlives the daemon.
func TestErrandsTakeNobodyWhenTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e errands
		end, waited := make(chan struct{}), make(chan struct{})
		if !e.Go(func() { <-end }) {
			t.Error("one that nobody waits for yet takes nobody")
		}
		go func() { // received below
			e.Wait()
			close(waited)
		}()
		synctest.Wait()
		if e.Go(func() { t.Error("it runs") }) {
			t.Error("took somebody while it was waited for")
		}
		select {
		case <-waited:
			t.Error("Wait did not wait")
		default:
		}
		close(end)
		<-waited
		if e.Go(func() { t.Error("it runs") }) {
			t.Error("took somebody at its end")
		}
	})
}
