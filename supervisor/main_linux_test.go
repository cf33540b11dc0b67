package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
)

// The test binary is its own worker, guard and supervisor.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		child := children[os.Args[2]]
		if child == nil {
			fmt.Fprintf(os.Stderr, "no child %q\n", os.Args[2])
			os.Exit(64)
		}
		child(os.Args[3:])
		os.Exit(0)
	}
	impossible = func(s *slot) { panic(fmt.Sprintf("impossible input in phase %v", s.phase)) }
	goleak.VerifyTestMain(m)
}

var children = map[string]func(args []string){
	"guard": func([]string) { GuardMain() },
	"serve": func([]string) { serveStdin() },
	"fail": func(args []string) {
		fmt.Fprintln(os.Stderr, "Traceback: no module named blog")
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	},
	// stubborn serves, and does not end when asked to.
	"stubborn": func([]string) {
		signal.Ignore(syscall.SIGTERM)
		serveStdin()
	},
	// mute neither serves nor ends.
	"mute": func([]string) {
		fmt.Fprintln(os.Stderr, "waiting for a database that never comes")
		select {}
	},
	// family leaves a child in its group, with an empty environment, and one in
	// a session of its own, both holding its output, and serves.
	"family": func([]string) {
		for _, sid := range []bool{false, true} {
			cmd := exec.Command("sleep", "1000")
			cmd.Stderr = os.Stderr
			if !sid {
				cmd.Env = []string{}
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: sid}
			if err := cmd.Start(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Fprintln(os.Stderr, "child", cmd.Process.Pid)
		}
		serveStdin()
	},
	"supervise": superviseFamily,
	"template":  beTemplate,
	"between":   beBetween,
	"forked":    beForked,
	"preload":   supervisePreload,
	"init":      beInit,
	// flood writes for ever, as fast as it can, and serves.
	"flood": func([]string) {
		go func() { // nobody receives its end: the process is killed
			b := []byte(strings.Repeat("noise\n", 1000))
			for {
				os.Stderr.Write(b)
			}
		}()
		serveStdin()
	},
}

// beInit is process 1 of a container: a supervisor whose worker leaves an
// orphan that dies. It says "reaped" when that is not there any more, and how
// a child of its own ended that it waited for late.
func beInit(args []string) {
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	check(syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""))
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	orphans := make(chan int, 1)
	s := New(Options{Output: func(_ Worker, _ string, line []byte) {
		pid, err := strconv.Atoi(string(line))
		check(err)
		orphans <- pid
	}})
	_, err := s.Start(Spec{
		Name: "orphans", Path: "/bin/sh", Workers: 1,
		Args: []string{"sh", "-c", "sh -c 'setsid sleep 0.01 & echo $!'; exec sleep 1000"},
	})
	check(err)
	for pid := <-orphans; ; {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	check(s.Stop(context.Background()))
	fmt.Println("reaped", os.Getpid())
}

// serveStdin answers each connection with its pid, on a listener at fd 0.
func serveStdin() {
	l, err := net.FileListener(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		fmt.Fprintln(c, os.Getpid())
		c.Close()
	}
}

// superviseFamily is a supervisor with a guard; it says which processes there
// are, one a line, and then "up".
func superviseFamily(args []string) {
	lines := make(chan string, 100)
	s := New(Options{Guard: []string{"/proc/self/exe", "child", "guard"}, Output: func(w Worker, _ string, line []byte) {
		if pid, ok := strings.CutPrefix(string(line), "child "); ok {
			lines <- pid
		}
	}})
	spec := Spec{Name: "family", Path: self, Args: []string{"family", "child", "family"}, Workers: 2, SocketDir: args[0]}
	spec.Ready = ask
	spec.Env = os.Environ()
	g, err := s.Start(spec)
	if err == nil {
		err = awaitTried(context.Background(), g.all())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for range 4 {
		fmt.Println(<-lines)
	}
	for _, st := range g.Workers() {
		fmt.Println(st.Worker.PID)
	}
	guard := guardProcess(s)
	if len(args) > 1 { // its guard dies
		guard.Kill()
		guard = nextGuard(s, guard)
	}
	fmt.Println(guard.Pid)
	fmt.Println("up")
	select {}
}

// guardProcess is the present guard, nil between two.
func guardProcess(s *Supervisor) *os.Process {
	s.engine.guard.mu.Lock()
	defer s.engine.guard.mu.Unlock()
	return s.engine.guard.proc
}

// nextGuard waits for the one after the given guard.
func nextGuard(s *Supervisor, guard *os.Process) *os.Process {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if next := guardProcess(s); next != nil && next != guard {
			return next
		}
	}
	return nil
}

var self = func() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}()

// ask asks a worker for its pid until it answers.
func ask(ctx context.Context, w Worker) error {
	_, err := askPID(ctx, w.Addr)
	return err
}

func askPID(ctx context.Context, addr string) (int, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// A record of a supervisor's events and lines, which tests wait on.
type record struct {
	t      testing.TB
	mu     sync.Mutex
	change chan struct{} // closed and made anew at each addition
	events []Event
	lines  []string
}

func newRecord(t testing.TB) *record { return &record{t: t, change: make(chan struct{})} }

func (r *record) event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.change)
	r.change = make(chan struct{})
}

func (r *record) line(w Worker, stream string, line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if string(line) == "noise" { // of the flood: what matters is what becomes of it
		return
	}
	r.lines = append(r.lines, stream+": "+string(line))
	close(r.change)
	r.change = make(chan struct{})
}

// wantEvents waits for n events of a kind and returns the n-th.
func (r *record) wantEvents(why string, kind EventKind, n int) Event {
	r.t.Helper()
	var found Event
	r.until(why, func() bool {
		left := n
		for _, e := range r.events {
			if e.Kind == kind {
				if left--; left == 0 {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found
}

// wantLine waits for a line that starts like that and returns the rest.
func (r *record) wantLine(why, start string) (rest string) {
	r.t.Helper()
	r.until(why, func() bool {
		for _, l := range r.lines {
			if after, ok := strings.CutPrefix(l, start); ok {
				rest = after
				return true
			}
		}
		return false
	})
	return rest
}

func (r *record) until(why string, ok func() bool) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		done, change := ok(), r.change
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-change:
		case <-timeout:
			r.t.Fatalf("%s: not within %v; events %v, lines %q", why, patience, r.transcript(), r.lines)
		}
	}
}

// transcript is the events in words, by worker.
func (r *record) transcript() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.events {
		list = append(list, fmt.Sprintf("%d.%d %v", e.Worker.Slot, e.Worker.Generation, e.Kind))
	}
	return list
}

// start starts a supervisor with one group, and stops it at the test's end.
func start(t testing.TB, o Options, spec Spec) (*Supervisor, *Group, *record) {
	t.Helper()
	r := newRecord(t)
	o.Events, o.Output = r.event, r.line
	s := New(o)
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("stop at the end: %v", err)
		}
	})
	g, err := s.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s, g, r
}

// childSpec is a worker of the test binary.
func childSpec(t testing.TB, workers int, mode string, args ...string) Spec {
	return Spec{
		Name: "blog", Path: self, Args: append([]string{mode, "child", mode}, args...), Env: os.Environ(),
		Workers: workers, SocketDir: socketDir(t), Ready: ask,
	}
}

// socketDir is short, for a socket's path must be; t.TempDir is not.
func socketDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "sup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run")
}

// alive reports whether a process is there and not dead.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// wantDead waits until a process that is not our child is dead; a pidfd tells.
func wantDead(t testing.TB, why string, pid int) {
	t.Helper()
	const sysPidfdOpen = 434
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(pid), syscall.O_NONBLOCK, 0)
	if errno == syscall.ESRCH {
		return
	}
	if errno != 0 {
		t.Fatalf("pidfd_open(%d): %v", pid, errno)
	}
	defer syscall.Close(int(fd))
	p := struct {
		fd              int32
		events, revents int16
	}{int32(fd), 1, 0} // struct pollfd with POLLIN
	limit := syscall.NsecToTimespec(patience.Nanoseconds())
	n, _, _ := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if n == 0 && alive(pid) {
		t.Errorf("%s: process %d lives after %v", why, pid, patience)
	}
}

// readLines reads lines until one is last.
func readLines(t testing.TB, r io.Reader, last string) (lines []string) {
	t.Helper()
	for sc := bufio.NewScanner(r); sc.Scan(); {
		if sc.Text() == last {
			return lines
		}
		lines = append(lines, sc.Text())
	}
	t.Fatalf("ended before %q: %q", last, lines)
	return nil
}
