package supervisor

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	guardVariable = "FRONTD_GUARD" // the variable that marks a worker and its descendants

	guardWrite    = time.Second             // how long the guard may take to listen before it is replaced
	guardEnd      = sweepLimit + sweepSlack // how long it may take to finish after all workers are gone
	sweepSlack    = time.Second
	guardRetryMin = 100 * time.Millisecond // pauses between attempts to start another guard
	guardRetryMax = 5 * time.Second
)

// A guard is our side of the guard process: a pipe on which it is told the
// workers' process groups. Its end, of whatever cause, lets the guard process
// kill them. Therefore the pipe of a guard that is to be replaced is closed
// only after that guard is dead.
type guard struct {
	// Immutable.
	args   []string
	token  string
	cgroup *Cgroup // nil: none
	quit   chan struct{}
	ended  chan struct{} // closed when manage has ended

	mu     sync.Mutex
	groups map[int]bool
	proc   *os.Process // nil while none runs
	pipe   *os.File    // likewise
}

func startGuard(args []string, cg *Cgroup) (*guard, error) {
	g := &guard{
		args: args, token: rand.Text(), cgroup: cg, groups: map[int]bool{},
		quit: make(chan struct{}), ended: make(chan struct{}),
	}
	proc, err := g.start()
	if err != nil {
		return nil, err
	}
	go g.manage(proc) // close waits for it
	return g, nil
}

// mark is the environment variable that a worker gets.
func (g *guard) mark() string { return guardVariable + "=" + g.token }

// start starts a guard process and tells it all groups.
func (g *guard) start() (*os.Process, error) {
	path, err := exec.LookPath(g.args[0])
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	defer r.Close()
	proc, err := os.StartProcess(path, g.args, &os.ProcAttr{
		Dir:   "/",
		Files: []*os.File{r, null, null},
		Sys:   &syscall.SysProcAttr{Setsid: true}, // no terminal's signals, no group's
	})
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("guard: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proc, g.pipe = proc, w
	g.tell("=" + g.token)
	if g.cgroup != nil {
		g.tell(fmt.Sprintf("@%d %s", os.Getpid(), g.cgroup.path))
	}
	for pgid := range g.groups {
		g.tell(fmt.Sprintf("+%d", pgid))
	}
	select {
	case <-g.quit: // close came while it started: it did not find this pipe
		g.pipe.Close()
		g.pipe = nil
	default:
	}
	return proc, nil
}

// tell sends one line. A guard that does not take it is as good as dead.
// g.mu is held.
func (g *guard) tell(line string) {
	if g.pipe == nil {
		return // the next one is told everything
	}
	g.pipe.SetWriteDeadline(time.Now().Add(guardWrite))
	if _, err := g.pipe.WriteString(line + "\n"); err != nil {
		g.proc.Kill() // manage starts another
	}
}

func (g *guard) add(pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups[pgid] = true
	g.tell(fmt.Sprintf("+%d", pgid))
}

func (g *guard) remove(pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups, pgid)
	g.tell(fmt.Sprintf("-%d", pgid))
}

// manage keeps a guard process running until close.
func (g *guard) manage(proc *os.Process) {
	defer close(g.ended)
	pause := guardRetryMin
	for {
		began := time.Now()
		if proc != nil {
			proc.Wait() // how it ended does not matter: it must not
			g.drop()
		}
		if time.Since(began) > guardRetryMax {
			pause = guardRetryMin
		}
		select {
		case <-g.quit:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, guardRetryMax)
		proc, _ = g.start() // without one we go on, and try again
	}
}

// drop forgets a dead guard process.
func (g *guard) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pipe != nil {
		g.pipe.Close()
	}
	g.proc, g.pipe = nil, nil
}

// close lets the guard do its work on what the workers left behind, and waits
// for it.
func (g *guard) close() {
	close(g.quit)
	g.mu.Lock()
	if g.pipe != nil {
		g.pipe.Close()
		g.pipe = nil
	}
	g.mu.Unlock()
	select {
	case <-g.ended:
		return
	case <-time.After(guardEnd):
	}
	g.mu.Lock()
	if g.proc != nil {
		g.proc.Kill()
	}
	g.mu.Unlock()
	<-g.ended
}
