package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	stopTimeout = 5 * time.Second
	pollReady   = 20 * time.Millisecond
	maxWords    = 600 // bytes of a failed side's log that are shown
)

// A stage is a side that runs, or did.
type stage struct {
	rig     *rig
	side    *side
	dir     string // its own
	address string // where it serves HTTP
	suffix  string
	procs   []*proc
	crowd   *crowd // nil: none
}

// A proc is a program that the harness started: the root of a tree.
type proc struct {
	cmd   *exec.Cmd
	name  string
	ended chan struct{} // closed when it has ended
}

func freeAddress() (string, error) {
	var err error
	for range 100 {
		// Below those that systems give away by themselves (ip_local_port_range): one
		// of these another program might be given before the side listens.
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))); err == nil {
			defer l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", err
}

// path is a file of the stage's own.
func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// socket is the address of a unix socket of the stage's own.
func (s *stage) socket() string { return s.path("app.sock") }

// write makes a file from a template in which $NAME stands for values.
func (s *stage) write(name, text string, values ...string) (string, error) {
	all := append([]string{"$DIR", s.dir, "$ADDRESS", s.address, "$SOCKET", s.socket(), "$APPS", s.rig.dir, "$SELF", s.rig.self}, values...)
	return s.path(name), os.WriteFile(s.path(name), []byte(replace(text, all...)), 0o644)
}

// run starts a program in the foreground, with stdin as its fd 0, in the
// stage's folder. runIn does so in another one.
func (s *stage) run(stdin *os.File, name string, args ...string) error {
	return s.runIn(s.dir, stdin, name, args...)
}

func (s *stage) runIn(dir string, stdin *os.File, name string, args ...string) error {
	out, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "XDG_DATA_HOME="+s.dir, "XDG_RUNTIME_DIR="+s.dir)
	if stdin != nil { // not a nil *os.File in the interface
		cmd.Stdin = stdin
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &proc{cmd: cmd, name: filepath.Base(name), ended: make(chan struct{})}
	s.procs = append(s.procs, p)
	go p.wait()
	// Its end closes p.ended, which stop receives.
	return nil
}

func (p *proc) wait() {
	p.cmd.Wait() // how it ended is in its log; that it ended is what counts
	close(p.ended)
}

// wait returns when the side gives the right answer to hello. A foreign
// program does not tell when it is ready, so it is asked again and again.
func (s *stage) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(pollReady)
	defer tick.Stop()
	for {
		err := s.probe(findWorkload("hello"))
		if err == nil {
			return nil
		}
		if dead := s.dead(); dead != "" {
			return fmt.Errorf("%s ended while it started", dead)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready in %v: %w", readyTimeout, err)
		case <-tick.C:
		}
	}
}

// probe asks once and checks the answer.
func (s *stage) probe(w *workload) error {
	l := s.load(w, 1)
	defer l.Close()
	return l.conns[0].request(time.Now())
}

func (s *stage) load(w *workload, conns int) *load {
	return newLoad(s.address, w, s.suffix, conns, s.side.closes)
}

// dead names a program that has ended, or "".
func (s *stage) dead() string {
	for _, p := range s.procs {
		select {
		case <-p.ended:
			return p.name
		default:
		}
	}
	return ""
}

func (s *stage) roots() []int {
	var pids []int
	for _, p := range s.procs {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}

// stop ends what was started, in order if it can, and kills what is left of it.
func (s *stage) stop() {
	s.crowd.disperse()
	_, tree, err := cpuOf(s.roots())
	if err != nil {
		tree = nil // nothing is left, or only the roots are known
	}
	for i := len(s.procs) - 1; i >= 0; i-- {
		s.procs[i].stop()
	}
	for _, p := range tree {
		if err := syscall.Kill(p.pid, 0); err == nil && !s.reused(p) {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
}

// reused says whether the pid of a process seen before may be another's now.
func (s *stage) reused(p procStat) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid))
	return err != nil || !strings.HasPrefix(exe, s.rig.dir)
}

func (p *proc) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended: then so be it
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		// Its own process group: childAttributes made it the leader of one.
		if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
			p.cmd.Process.Kill()
		}
		<-p.ended
	}
}

// lastWords is the end of what a side that failed has printed.
func (s *stage) lastWords() string {
	b, err := os.ReadFile(s.path("log"))
	if err != nil || len(b) == 0 {
		return ""
	}
	text := strings.TrimSpace(string(b[max(0, len(b)-maxWords):]))
	return ": " + strings.Join(strings.Split(text, "\n"), " | ")
}
