package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
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

// Who reads the log ends, and the server goes on.
func TestOutlivesTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"serve", "pool"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := counterpart.Dir(t)
			r := &running{t: t, dir: dir, control: filepath.Join(dir, "control.sock")}
			cmd := command(t, dir, what, "demo", "-w", "1", "-l", "unix:"+dir+"/s", "--control", r.control)
			cmd.Args = append([]string{"sh", "-c", `"$0" "$@" 2>&1 | head -n 1`}, cmd.Args...)
			cmd.Path = "/bin/sh"
			r.Process = counterpart.Start(t, cmd)
			counterpart.Await(t, "a worker", patience, func() error {
				_, err := r.tryStatus()
				return err
			})
			for range 3 {
				if out, err := r.command("restart", "demo"); err != nil {
					t.Fatalf("restart: %v\n%s", err, out)
				}
			}
			if out, err := r.command("stop"); err != nil {
				t.Errorf("stop: %v\n%s", err, out)
			}
			r.AwaitExit(patience)
		})
	}
}
