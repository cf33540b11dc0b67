package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/supervisor"
)

// Nobody waits for the start of a slot that is no more: requests are refused until
// the next start of one that is.
func TestNextStartIsOfThoseThatStay(t *testing.T) {
	a := newApplication(&config.App{Name: "blog", Kind: config.KindDemo, Workers: 2}, 10, false,
		&logbook{Logger: slog.New(slog.DiscardHandler)})
	worker := func(slot int) supervisor.Worker { return supervisor.Worker{App: "blog", Slot: slot} }
	a.event(supervisor.Event{Kind: supervisor.EventBackoff, Worker: worker(0), Delay: time.Nanosecond})
	a.event(supervisor.Event{Kind: supervisor.EventBackoff, Worker: worker(1), Delay: time.Hour})
	next := func() time.Duration {
		a.mu.Lock()
		defer a.mu.Unlock()
		return time.Until(a.nextStart())
	}
	if d := next(); d > time.Minute {
		t.Errorf("one starts now, and the next start is in %v", d)
	}
	a.event(supervisor.Event{Kind: supervisor.EventLeft, Worker: worker(0)})
	if d := next(); d < time.Minute {
		t.Errorf("the other one starts in an hour, and the next start is in %v", d)
	}
}
