package main

import (
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
)

// What a worker breaks off while it lives on, and says why, is told at once:
// the client's answer breaks off when the incident is known, not after a wait
// for a death that does not come.
func TestBrokenAnswerAwaitsNoDeath(t *testing.T) {
	c := config.Default()
	c.Incidents.Directory = t.TempDir()
	log, err := openLogbook(c.Log, io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	in, err := openIncidents(c, log, "test", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	t.Cleanup(in.close)
	in.apps = new(registry)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	in.deaths.tell(dead.Process.Pid, "its-death")
	for _, tt := range []struct {
		why, stderr string
		pid         int
		id          string // "": one of its own
		awaited     bool
	}{
		{"lives and said why", "ValueError: late\n", os.Getpid(), "", false},
		{"died, whatever it said", "ValueError: late\n", dead.Process.Pid, "its-death", true},
		{"lives, or is one of several processes", "", os.Getpid(), "", true},
	} {
		known := len(in.deaths.list)
		x := &front.Exchange{ID: tt.why, Cause: front.WorkerDied, Detail: "connection lost", Stderr: []byte(tt.stderr), Worker: front.Worker{PID: tt.pid}, Settings: new(front.Settings)}
		i := in.failed(front.Failure{Exchange: x, Request: httptest.NewRequest("GET", "/", nil), Status: 502})
		if i == nil {
			t.Fatalf("%s: no incident", tt.why)
		}
		if tt.id != "" && i.ID != tt.id {
			t.Errorf("%s: incident %s, want that of the death", tt.why, i.ID)
		}
		in.kept.Flush()
		if kept, err := in.kept.Get(i.ID); tt.id == "" && (err != nil || kept.Title() != "connection lost") {
			t.Errorf("%s: %v, told as %+v", tt.why, err, kept)
		}
		if more := len(in.deaths.list) > known; tt.id == "" && more != tt.awaited {
			t.Errorf("%s: awaited: %v", tt.why, more)
		}
	}
}
