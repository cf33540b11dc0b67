package main

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/supervisor"
)

// A worker that ends after it has told of its mishap by an answer that was none
// makes one incident of both; one that says something else at its end, another one.
func TestEndAfterTheLastAnswer(t *testing.T) {
	const die = "no funds at /srv/app.pl line 7.\n"
	for _, c := range []struct {
		why    string
		pid    int // that ends; 4711 has answered
		cause  supervisor.Cause
		said   string // at its end
		merged bool
	}{
		{"it says nothing", 4711, supervisor.CauseExit, "", true},
		{"it says nothing of use", 4711, supervisor.CauseExit, "bye", true},
		{"it says why", 4711, supervisor.CauseExit, "no disk at /srv/app.pl line 12.", false},
		{"it is killed", 4711, supervisor.CauseOOM, "", false},
		{"it is another one", 4712, supervisor.CauseExit, "", false},
	} {
		in, err := openIncidents(&config.Config{Incidents: config.Incidents{Directory: t.TempDir()}},
			&logbook{Logger: slog.New(slog.DiscardHandler)}, "test", false)
		if err != nil {
			t.Fatal(err)
		}
		in.apps = new(registry)
		r, err := http.NewRequest(http.MethodGet, "http://h/pay", nil)
		if err != nil {
			t.Fatal(err)
		}
		x := &front.Exchange{ID: "r1", App: "perl", Cause: front.BadResponse, Settings: new(front.Settings),
			Worker: front.Worker{PID: 4711}, Stderr: []byte(die), Start: time.Now()}
		first := in.failed(front.Failure{Exchange: x, Request: r, Status: http.StatusBadGateway})
		if first == nil {
			t.Fatalf("%s: no incident", c.why)
		}
		w := supervisor.Worker{PID: c.pid, App: "perl"}
		if c.said != "" {
			in.tails.wrote(w, "stderr", []byte(c.said))
		}
		in.gone("perl", incident.Policy{}, supervisor.Event{Worker: w, Exit: &supervisor.Exit{PID: c.pid, Code: 2, Cause: c.cause}}, 3, nil)
		in.kept.Flush()
		want := 2
		if c.merged {
			want = 1
		}
		if list := in.kept.List(); len(list) != want {
			t.Errorf("%s: %d incidents, want %d: %+v", c.why, len(list), want, list)
		}
		if i, err := in.kept.Get(first.ID); err != nil || (i.Worker.Exit != "") != c.merged || i.Traceback == nil {
			t.Errorf("%s: the incident is %+v, %v", c.why, i, err)
		}
		if id := in.deaths.await(c.pid, patience); c.merged && id != first.ID {
			t.Errorf("%s: the end is incident %q, want %q", c.why, id, first.ID)
		}
		in.close()
	}
}
