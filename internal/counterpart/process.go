package counterpart

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// StartTimeout is how long a program may take until it answers.
const StartTimeout = time.Minute

// A Process is a running program whose output is kept line by line.
type Process struct {
	// Immutable.
	t      testing.TB
	cmd    *exec.Cmd
	logged chan struct{} // closed at the end of its output
	gone   chan struct{} // closed when it has ended

	mu    sync.Mutex // guards the fields below
	lines []string
	more  chan struct{} // closed, and replaced, at each line
}

// Start starts cmd in a process group of its own, with standard output and
// error kept together. The test's end kills what is left of the group; a
// failed test shows the output.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Stdout == nil {
		cmd.Stdout = w
	}
	cmd.Stderr = w
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	p := &Process{t: t, cmd: cmd, logged: make(chan struct{}), gone: make(chan struct{}), more: make(chan struct{})}
	go p.read(r)
	// Stop receives its end, by p.logged.
	go func() {
		// Stop receives its end, by p.gone.
		defer close(p.gone)
		cmd.Wait()
	}()
	t.Cleanup(p.cleanup)
	return p
}

// read keeps lines until the last process that has the pipe ends.
func (p *Process) read(r *os.File) {
	defer close(p.logged)
	defer r.Close()
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); line != "" || err == nil {
			p.add(line)
		}
		if err != nil {
			return
		}
	}
}

func (p *Process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	close(p.more)
	p.more = make(chan struct{})
}

// Name is the program's, for messages.
func (p *Process) Name() string { return filepath.Base(p.cmd.Args[0]) }

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns all that was printed so far.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// Mark returns the number of lines so far, for AwaitLineAfter.
func (p *Process) Mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// AwaitLine waits for a line that matches and returns its submatches. Lines
// from the beginning on count.
func (p *Process) AwaitLine(pattern string, within time.Duration) []string {
	p.t.Helper()
	return p.AwaitLineAfter(0, pattern, within)
}

// AwaitLineAfter is AwaitLine without the first lines, as many as mark says.
func (p *Process) AwaitLineAfter(mark int, pattern string, within time.Duration) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(within)
	for {
		p.mu.Lock()
		lines, more := p.lines[min(mark, len(p.lines)):], p.more
		p.mu.Unlock()
		for _, line := range lines {
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		}
		mark += len(lines)
		select {
		case <-more:
		case <-p.logged:
			p.t.Fatalf("%s ended without a line like %q:\n%s", p.Name(), pattern, p.Log())
		case <-limit:
			p.t.Fatalf("%s printed no line like %q within %v", p.Name(), pattern, within)
		}
	}
}

// Lines returns the lines so far, without the first, as many as mark says.
func (p *Process) Lines(mark int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines[min(mark, len(p.lines)):])
}

// Count returns how many lines so far match.
func (p *Process) Count(pattern string) int {
	re := regexp.MustCompile(pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, line := range p.lines {
		if re.MatchString(line) {
			n++
		}
	}
	return n
}

// Signal sends a signal to the process, not to its group.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %s: %v", p.Name(), err)
	}
}

// SignalUnlessGone is Signal for a process that may end by itself meanwhile.
func (p *Process) SignalUnlessGone(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("signal %s: %v", p.Name(), err)
	}
}

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Exited reports whether the process has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// AwaitExit waits for the process's end and returns how it ended.
func (p *Process) AwaitExit(within time.Duration) *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.gone:
		return p.cmd.ProcessState
	case <-time.After(within):
		p.t.Fatalf("%s did not end within %v", p.Name(), within)
		return nil
	}
}

// AwaitOutputEnd waits until nobody has the process's output open any more,
// that is for the end of all its children that print to it.
func (p *Process) AwaitOutputEnd(within time.Duration) error {
	select {
	case <-p.logged:
		return nil
	case <-time.After(within):
		return fmt.Errorf("somebody still holds the output of %s after %v", p.Name(), within)
	}
}

// Stop kills the process group and waits for the process's end.
func (p *Process) Stop() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.gone
}

func (p *Process) cleanup() {
	p.Stop()
	if err := p.AwaitOutputEnd(time.Minute); err != nil {
		p.t.Error(err)
	}
	if log := p.Log(); strings.Contains(log, "WARNING: DATA RACE") || strings.Contains(log, "\ngoroutine 1 [") {
		p.t.Errorf("%s has a defect of its own: a data race or a panic", p.Name())
		p.t.Logf("%s", trouble(log))
	}
	if p.t.Failed() {
		p.t.Logf("%s printed:\n%s", p.Name(), tail(p.Log()))
	}
}

// trouble is a log from the first report of Go's runtime on.
func trouble(log string) string {
	i := strings.Index(log, "WARNING: DATA RACE")
	if i < 0 {
		i = strings.Index(log, "\ngoroutine 1 [")
	}
	return log[max(i, 0):min(len(log), max(i, 0)+maxShown)]
}

// maxShown is how much of a log a failed test shows, in bytes.
const maxShown = 8 << 10

func tail(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return "[...]" + s[len(s)-maxShown:]
}
