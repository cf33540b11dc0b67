package counterpart_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

func TestProcessLog(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `echo one; echo two >&2; read x; echo "got $x"; exit 3`)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = r
	p := counterpart.Start(t, cmd)
	r.Close()
	p.AwaitLine("^one$", time.Minute)
	p.AwaitLine("^two$", time.Minute)
	mark := p.Mark()
	if _, err := w.WriteString("it\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if m := p.AwaitLineAfter(mark, "^got (.*)$", time.Minute); m[1] != "it" {
		t.Errorf("submatches are %q", m)
	}
	if got := p.AwaitExit(time.Minute).ExitCode(); got != 3 {
		t.Errorf("exit status is %d, want 3", got)
	}
	if n := p.Count("^(one|two)$"); n != 2 {
		t.Errorf("%d lines, want 2:\n%s", n, p.Log())
	}
}

// What the process started goes with it: nobody holds its output any more.
func TestStopTakesTheGroup(t *testing.T) {
	p := counterpart.Start(t, exec.Command("/bin/sh", "-c", `sleep 1000 & echo up; wait`))
	p.AwaitLine("^up$", time.Minute)
	p.Stop()
	if err := p.AwaitOutputEnd(time.Minute); err != nil {
		t.Error(err)
	}
}

func TestPollGivesTheLastError(t *testing.T) {
	n, last := 0, errors.New("last")
	if err := counterpart.Poll(20*time.Millisecond, func() error { n++; return last }); !errors.Is(err, last) || n < 2 {
		t.Errorf("Poll is %v after %d calls", err, n)
	}
	if err := counterpart.Poll(0, func() error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestFind(t *testing.T) {
	if path := counterpart.Find(t, "no-such-program-anywhere", "sh"); filepath.Base(path) != "sh" {
		t.Errorf("found %q", path)
	}
}

// A port is one test's until its end, and not one that the kernel gives away.
func TestFreePort(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port := counterpart.FreePort(t)
		if seen[port] {
			t.Errorf("port %d twice", port)
		}
		seen[port] = true
	}
}

// A recorder is a test that only notes what it is told.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Skipf(string, ...any)  { r.skipped = true }
func (r *recorder) Fatalf(string, ...any) { r.failed = true }

func TestMissing(t *testing.T) {
	t.Setenv(counterpart.NoSkip, "")
	r := &recorder{TB: t}
	if counterpart.Find(r, "no-such-program-anywhere"); !r.skipped || r.failed {
		t.Errorf("without %s: skipped %v, failed %v", counterpart.NoSkip, r.skipped, r.failed)
	}
	t.Setenv(counterpart.NoSkip, "1")
	r = &recorder{TB: t}
	if counterpart.Find(r, "no-such-program-anywhere"); !r.failed {
		t.Errorf("with %s=1 it did not fail", counterpart.NoSkip)
	}
}
