package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/frontd/frontd/config"
)

// Who asked for an upgrade and leaves when the new frontd has been told to serve,
// and may have requests in hand, does not have it ended.
func TestUpgradeIsNotGivenUpWhenTheHeirServes(t *testing.T) {
	log := &logbook{Logger: slog.New(slog.DiscardHandler)}
	c := &config.Config{Incidents: config.Incidents{Directory: t.TempDir()}}
	in, err := openIncidents(c, log, "test", false)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	control, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	d := &daemon{log: log, config: c, incidents: in, control: &controlServer{listener: control}}

	ours, theirs := net.Pipe()
	defer ours.Close()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	h := &heir{cmd: &exec.Cmd{Process: self}, conn: ours, in: json.NewDecoder(ours), out: json.NewEncoder(ours)}
	ctx, leave := context.WithCancel(t.Context())
	said := make(chan string, 2)
	go func() { // ends with theirs, of which said tells
		defer theirs.Close()
		defer close(said)
		in, out := json.NewDecoder(theirs), json.NewEncoder(theirs)
		out.Encode(handoverMessage{State: stateReady})
		for _, state := range []string{stateServing, ""} {
			var m handoverMessage
			if in.Decode(&m) != nil {
				return
			}
			said <- m.State
			leave()
			if state != "" {
				out.Encode(handoverMessage{State: state})
			}
		}
	}()
	if _, err := h.inherit(ctx, d); err != nil {
		t.Errorf("given up: %v", err)
	}
	ours.Close()
	var heard []string
	for s := range said {
		heard = append(heard, s)
	}
	if len(heard) != 2 || heard[0] != stateServe || heard[1] != stateYours || d.fate.Load() != fateHandedOver {
		t.Errorf("it heard %q, fate %d", heard, d.fate.Load())
	}
}
