package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// beTemplate is a template in Go, which cannot fork: it starts what begins as a
// forked process would. Its arguments are what is wrong with it, or "".
func beTemplate(args []string) {
	flaw := strings.Join(args, "")
	fmt.Fprintln(os.Stderr, "template", os.Getpid())
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	switch flaw {
	case "broken":
		fmt.Fprintln(os.Stderr, "Traceback: no module named blog")
		os.Exit(3)
	case "mute":
		select {}
	}
	f := os.NewFile(0, "orders")
	conn, err := net.FileConn(f)
	check(err)
	orders := conn.(*net.UnixConn)
	_, err = orders.Write([]byte("ready with a word for the operator"))
	check(err)
	for {
		b, oob := make([]byte, 64), make([]byte, syscall.CmsgSpace(4*4))
		n, oobn, _, _, err := orders.ReadMsgUnix(b, oob)
		if err != nil || n == 0 {
			os.Exit(0) // not needed any more
		}
		messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
		check(err)
		fds, err := syscall.ParseUnixRights(&messages[0])
		check(err)
		if flaw == "deaf" {
			continue
		}
		if flaw == "refusing" {
			check(errors.Join(syscall.Sendto(fds[3], []byte("error it is full"), 0, nil)))
		} else {
			check(fork(fds, flaw))
		}
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
}

// fork starts a process that starts the worker and ends.
func fork(fds []int, flaw string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close() // the worker is the supervisor's child then
	defer r.Close()
	cmd := exec.Command(self, "child", "between", strconv.Itoa(os.Getppid()), flaw)
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "worker's")
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
	cmd.ExtraFiles = []*os.File{files[3], r}
	return cmd.Run()
}

func beBetween(args []string) {
	_, err := os.StartProcess(self, append([]string{"forked", "child", "forked"}, args...), &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, os.NewFile(3, ""), os.NewFile(4, "")},
		Sys: &syscall.SysProcAttr{Setpgid: args[1] != "grouped"},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beForked is the worker.
func beForked(args []string) {
	b := make([]byte, 16)
	syscall.Read(4, b) // its end is what counts
	if args[1] == "stillborn" || strconv.Itoa(os.Getppid()) != args[0] {
		fmt.Fprintln(os.Stderr, "parent", os.Getppid(), "want", args[0])
		os.Exit(1)
	}
	syscall.Sendto(3, []byte("up"), 0, nil) // what becomes of it the next line tells
	n, err := syscall.Read(3, b)
	if err != nil || string(b[:n]) != "go" {
		os.Exit(1)
	}
	syscall.Close(3)
	syscall.Close(4)
	serveStdin()
}

// templateSpec is a group whose template is the test binary.
func templateSpec(t testing.TB, workers int, flaw ...string) Spec {
	spec := childSpec(t, workers, "template", flaw...)
	spec.Preload = true
	return spec
}

// parentOf is a process's parent and its group.
func parentOf(t testing.TB, pid int) (parent, group int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	if _, err := fmt.Sscanf(rest[2:], "%d %d", &parent, &group); err != nil {
		t.Fatal(err)
	}
	return parent, group
}

func TestPreload(t *testing.T) {
	s, g, r := start(t, Options{}, templateSpec(t, 3))
	var pids []int
	for n := range 3 {
		w := r.wantEvents("it comes up", EventReady, n+1).Worker
		if pid, err := askPID(t.Context(), w.Addr); err != nil || pid != w.PID {
			t.Errorf("its socket answers %d, %v; want its pid %d", pid, err, w.PID)
		}
		if parent, group := parentOf(t, w.PID); parent != os.Getpid() || group != w.PID {
			t.Errorf("worker %d is of %d in group %d, want a child of ours, %d, in its own", w.PID, parent, group, os.Getpid())
		}
		pids = append(pids, w.PID)
	}
	e := r.wantEvents("its template", EventTemplateReady, 1)
	template, _, ok := g.Template()
	if !ok || template != e.Worker || template.Slot != TemplateSlot || e.Reason != "with a word for the operator" {
		t.Errorf("template %v, %v; told %v: %q", template, ok, e.Worker, e.Reason)
	}

	// One that is killed is told as what it is, and the same template makes the next.
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exit := r.wantEvents("it is gone", EventGone, 1).Exit; exit.Signal != syscall.SIGKILL || exit.PID != pids[0] || exit.Cause != CauseSignal {
		t.Errorf("exit %+v, want by somebody's KILL", *exit)
	}
	pids = append(pids, r.wantEvents("the next", EventReady, 4).Worker.PID)
	if n := r.count(EventTemplateReady); n != 1 {
		t.Errorf("%d templates, want 1", n)
	}

	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	exit := r.wantEvents("its template ends by itself", EventTemplateGone, 1).Exit
	if exit.Cause != CauseStopped || exit.Killed == "" && !exit.OK() { // killed, where it was not given a CPU in its time
		t.Errorf("exit of the template %+v, want status 0, as asked", *exit)
	}
	for _, pid := range append(pids, template.PID) {
		if alive(pid) {
			t.Errorf("process %d lives after Stop", pid)
		}
	}
}

func (r *record) count(kind EventKind) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestTemplateDies(t *testing.T) {
	_, g, r := start(t, Options{}, templateSpec(t, 2))
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	r.wantEvents("and the other", EventReady, 2)
	template, _, _ := g.Template()
	if err := syscall.Kill(template.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exit := r.wantEvents("it is gone", EventTemplateGone, 1).Exit; exit.Signal != syscall.SIGKILL {
		t.Errorf("exit %+v, want by somebody's KILL", *exit)
	}
	if pid, err := askPID(t.Context(), w.Addr); err != nil || pid != w.PID {
		t.Errorf("then the worker answers %d, %v; want it to live on as %d", pid, err, w.PID)
	}
	g.Kill(w, CauseTimeout, "test")
	r.wantEvents("the next worker", EventReady, 3)
	if next := r.wantEvents("has another template", EventTemplateReady, 2).Worker; next == template {
		t.Errorf("template %v again", next)
	}
	if n := r.count(EventFailing); n != 0 {
		t.Errorf("%d failures told, want none: %q", n, r.transcript())
	}
}

// A template that is dead, which nobody has noticed yet, costs no start.
func TestTemplateDiesUnseen(t *testing.T) {
	_, g, r := start(t, Options{}, templateSpec(t, 1))
	w := r.wantEvents("it comes up", EventReady, 1).Worker
	g.mu.Lock()
	template := g.plan.template
	g.mu.Unlock()
	template.orders.CloseWrite() // as good as dead: it takes no order
	g.Kill(w, CauseTimeout, "test")
	r.wantEvents("the next worker", EventReady, 2)
	r.wantEvents("has another template", EventTemplateReady, 2)
	if n := r.count(EventFailing); n != 0 {
		t.Errorf("%d failures told, want none: %q", n, r.transcript())
	}
}

// TestReplaceTemplate goes from one template to the next; one that does not
// load leaves the old one at work.
func TestReplaceTemplate(t *testing.T) {
	_, g, r := start(t, Options{}, templateSpec(t, 2))
	r.wantEvents("they come up", EventReady, 2)
	before, _, _ := g.Template()
	next := templateSpec(t, 2)

	broken := next
	broken.Args = append(slices.Clone(next.Args), "broken")
	err := g.Replace(t.Context(), broken)
	why, ok := errors.AsType[*StartError](err)
	if !ok || why.Worker.Slot != TemplateSlot || why.Exit == nil || why.Exit.Code != 3 ||
		!slices.Contains(why.Stderr, "Traceback: no module named blog") {
		t.Errorf("replaced by what does not load: %v", err)
	}
	if now, _, ok := g.Template(); !ok || now != before {
		t.Errorf("then the template is %v, %v; want %v", now, ok, before)
	}

	if err := g.Replace(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	after, _, ok := g.Template()
	if !ok || after == before {
		t.Errorf("the template is %v, %v; want another than %v", after, ok, before)
	}
	r.until("the old one ends", func() bool {
		return slices.ContainsFunc(r.events, func(e Event) bool { return e.Kind == EventTemplateGone && e.Worker == before })
	})
	if alive(before.PID) || !alive(after.PID) {
		t.Errorf("alive are: the old one %v, the new one %v", alive(before.PID), alive(after.PID))
	}

	// Without workers it stays, for those to come.
	if err := g.Scale(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := g.Scale(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if now, _, _ := g.Template(); now != after {
		t.Errorf("after a scale to 0 and 1 the template is %v, want %v", now, after)
	}
}

// What a template does wrong is the error of the start.
func TestTemplateFlaws(t *testing.T) {
	for _, c := range []struct{ flaw, want string }{
		{"refusing", "the template: it is full"},
		{"stillborn", errUnborn.Error()},
		{"grouped", "is not in a group of its own"},
		{"broken", "exit status 3"},
	} {
		t.Run(c.flaw, func(t *testing.T) {
			_, _, r := start(t, Options{}, templateSpec(t, 1, c.flaw))
			if e := r.wantEvents("it fails", EventFailing, 1); !strings.Contains(e.Err.Error(), c.want) {
				t.Errorf("told %v, want %q", e.Err, c.want)
			}
		})
	}
}

// A template that takes orders and does nothing is killed, and another made.
func TestDeafTemplate(t *testing.T) {
	spec := templateSpec(t, 1, "deaf")
	spec.StartTimeout = 2_000_000_000
	_, _, r := start(t, Options{}, spec)
	r.until("the start fails for it", func() bool {
		return slices.ContainsFunc(r.events, func(e Event) bool {
			return e.Kind == EventFailing && strings.Contains(e.Err.Error(), "did not fork a worker within 2s")
		})
	})
	r.until("it is killed", func() bool {
		return slices.ContainsFunc(r.events, func(e Event) bool {
			return e.Kind == EventTemplateGone && e.Exit.Killed == "it does not fork"
		})
	})
}

// Whoever stops a group does not wait for what loads.
func TestStopWhileTemplateLoads(t *testing.T) {
	s, g, r := start(t, Options{}, templateSpec(t, 2, "mute"))
	pid, err := strconv.Atoi(r.wantLine("it loads", "stderr: template "))
	if err != nil {
		t.Fatal(err)
	}
	if w, _, ok := g.Template(); ok {
		t.Errorf("template %v, before it has loaded", w)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if alive(pid) {
		t.Error("the template lives after Stop")
	}
	if n := r.count(EventFailing); n != 0 {
		t.Errorf("%d failures told of what was asked for: %q", n, r.transcript())
	}
}

// In a control group a forked worker has one of its own, as any other.
func TestPreloadInCgroup(t *testing.T) {
	base := controlGroup(t)
	cg, err := OpenCgroup(base)
	if err != nil {
		t.Fatal(err)
	}
	spec := templateSpec(t, 2)
	spec.Umask = pointer(0o77) // by way of the launcher
	s, g, r := start(t, Options{Cgroup: cg, Launcher: launcherArgs}, spec)
	first := r.wantEvents("one", EventReady, 1).Worker
	second := r.wantEvents("another", EventReady, 2).Worker
	template, _, _ := g.Template()
	groups := map[string]bool{}
	for _, pid := range []int{first.PID, second.PID, template.PID} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil || !strings.Contains(string(b), "/app-blog/") {
			t.Errorf("process %d is in %s, %v", pid, b, err)
		}
		groups[string(b)] = true
	}
	if len(groups) != 3 {
		t.Errorf("groups %v, want one for each", groups)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// supervisePreload is a supervisor with a guard and a preloaded group; it says
// which processes there are, one a line, and then "up".
func supervisePreload(args []string) {
	s := New(Options{Guard: []string{"/proc/self/exe", "child", "guard"}})
	spec := Spec{
		Name: "blog", Path: self, Args: []string{"template", "child", "template"}, Env: os.Environ(),
		Workers: 2, SocketDir: args[0], Ready: ask, Preload: true,
	}
	g, err := s.Start(spec)
	if err == nil {
		err = awaitTried(context.Background(), g.all())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, st := range g.Workers() {
		fmt.Println(st.Worker.PID)
	}
	template, _, _ := g.Template()
	fmt.Println(template.PID)
	fmt.Println("up")
	select {}
}

func TestPreloadDiesWithUs(t *testing.T) {
	cmd := exec.Command(self, "child", "preload", socketDir(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := readLines(t, out, "up")
	if len(lines) != 3 {
		t.Errorf("processes %q, want two workers and the template", lines)
	}
	cmd.Process.Kill()
	cmd.Wait() // by our own kill
	for _, line := range lines {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		wantDead(t, "after kill -9 of its supervisor", pid)
	}
}
