package main

import (
	"log/slog"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A log that takes nothing holds up its own opening, and no other signal: the channel
// that they come by is not long.
func TestReopenHoldsUpNoSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &sink{path: "log", reopens: make(chan chan error), done: make(chan struct{})}
		d := &daemon{log: &logbook{Logger: slog.New(slog.DiscardHandler), sink: stuck}}
		signals := make(chan os.Signal)
		asked := make(chan os.Signal, 1)
		go func() {
			s, _ := d.wait(t.Context(), signals)
			asked <- s // received below
		}()
		start := time.Now()
		signals <- syscall.SIGUSR1
		signals <- syscall.SIGTERM
		if took := time.Since(start); took != 0 {
			t.Errorf("TERM is taken after %v", took)
		}
		if s := <-asked; s != syscall.SIGTERM {
			t.Errorf("asked to stop by %v", s)
		}
		d.serving.Wait()
	})
}
