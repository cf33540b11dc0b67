package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A template is a process that has loaded what the workers of a plan have in
// common, and forks one whenever it is asked: they share its memory, and begin
// where its loading ended. Its fd 0 is a socket of ours (SOCK_SEQPACKET):
//
//   - "ready", from it, once it is able to fork; what follows after a space is
//     for the operator.
//   - "fork", from us, with four descriptors: fd 0, 1 and 2 of the worker, and a
//     socket for a report. The worker has to be a child of ours: the template
//     forks a process that forks it and ends, and the kernel gives us what is
//     left (PR_SET_CHILD_SUBREAPER). In a process group of its own, it sends "up"
//     as its report and waits for "go"; end of file means that it is to end. The
//     template may report "error" and why in its place.
//   - End of file: nobody needs it any more, and it is to end.
//
// Whose process says "up", the kernel tells us: a template runs with the rights
// of an application, and could name any other.
type template struct {
	// Immutable.
	group  *Group
	plan   *plan
	loaded chan struct{} // closed when it has loaded, or will not
	leave  chan struct{} // closed by end
	dead   chan struct{} // closed by kill

	leaveOnce, deadOnce sync.Once

	// Set before loaded is closed.
	id     Worker
	orders *net.UnixConn // nil if no process could be started
	err    error         // why it will not load

	reason string // of kill; set before dead is closed
}

// TemplateSlot is the Slot of a Worker that is a template.
const TemplateSlot = -1

// templateGrace is how long a template that nobody needs may take to end.
const templateGrace = 5 * time.Second

func newTemplate(g *Group, p *plan) *template {
	return &template{
		group: g, plan: p, id: Worker{App: g.name, Slot: TemplateSlot},
		loaded: make(chan struct{}), leave: make(chan struct{}), dead: make(chan struct{}),
	}
}

// end has it end by itself, or be killed where that takes too long.
func (t *template) end() { t.leaveOnce.Do(func() { close(t.leave) }) }

func (t *template) kill(reason string) {
	t.deadOnce.Do(func() {
		t.reason = reason
		close(t.dead)
	})
}

// await waits until it has loaded.
func (t *template) await(ctx context.Context) error {
	select {
	case <-t.loaded:
		return t.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start starts the process as a worker would be, but for its fd 0.
func (t *template) start() (process, error) {
	ours, theirs, err := socketPair(syscall.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	t.orders = conn.(*net.UnixConn)
	proc, pid, err := t.group.sup.launch(t.plan.spec, theirs)
	if err != nil {
		t.orders.Close()
		return nil, err
	}
	t.id.Generation, t.id.PID, t.id.Started = t.group.generations.Add(1), pid, time.Now()
	return proc, nil
}

// run is its life.
func (t *template) run() {
	defer t.group.buried(t)
	proc, err := t.start()
	if err != nil {
		t.fail(&StartError{Worker: t.id, Err: err})
		return
	}
	l := &templateLife{template: t, proc: proc}
	exited := make(chan Exit, 1)
	go func() { // its end is received by follow, from exited; that of a lost process by nobody
		exited <- proc.run(l.line)
	}()
	hello := make(chan greeting, 1)
	go func() { hello <- t.greet() }() // received by follow, or below
	if l.follow(exited, hello) {
		t.orders.Close()
		return
	}
	t.orders.Close()
	<-hello
}

// A greeting is what a template says when it has loaded.
type greeting struct {
	text string
	err  error
}

func (t *template) greet() greeting {
	b := make([]byte, 4<<10)
	n, err := t.orders.Read(b)
	if err != nil {
		return greeting{err: err}
	}
	text, ok := parseWord(string(b[:n]), "ready")
	if !ok {
		err = fmt.Errorf("it said %q, want ready", b[:n])
	}
	return greeting{text, err}
}

// parseWord reads "WORD" or "WORD TEXT".
func parseWord(message, word string) (text string, ok bool) {
	if message == word {
		return "", true
	}
	if len(message) > len(word) && message[:len(word)+1] == word+" " {
		return message[len(word)+1:], true
	}
	return "", false
}

// fail tells those who wait that it will not load.
func (t *template) fail(err error) {
	t.group.drop(t) // first: who is told starts another
	t.err = err
	close(t.loaded)
}

// A templateLife is what run knows of the process.
type templateLife struct {
	*template
	proc process
	tail tail

	ready   bool
	asked   Cause  // "" while nobody has asked for its end
	killed  string // our reason to have sent KILL
	failure error  // why it did not load
	lost    *time.Timer
}

func (l *templateLife) line(stream string, line []byte) {
	if stream == "stderr" {
		l.tail.add(line)
	}
	if out := l.group.sup.options.Output; out != nil {
		out(l.id, stream, line)
	}
}

// follow returns when the process has ended, or is lost. It reports whether it
// has received the greeting.
func (l *templateLife) follow(exited <-chan Exit, hello <-chan greeting) (greeted bool) {
	limit := time.NewTimer(l.plan.spec.StartTimeout)
	defer limit.Stop()
	leave, dead := l.leave, l.dead
	for {
		select {
		case g := <-hello:
			hello, greeted = nil, true
			if g.err != nil {
				l.failure = g.err // that it has ended, or its time's end, comes next
				continue
			}
			limit.Stop()
			l.rise(g.text)
		case <-limit.C:
			switch {
			case l.asked != "":
				l.strike("still there " + templateGrace.String() + " after it was not needed any more")
			default:
				l.failure = notReadyError{after: l.plan.spec.StartTimeout, err: l.failure}
				l.strike("not ready")
			}
		case <-leave:
			leave, l.asked = nil, CauseStopped
			if !l.ready { // it does not listen yet, and has nothing in hand
				l.strike("not needed any more")
				continue
			}
			l.orders.Close()
			limit.Reset(templateGrace)
		case <-dead:
			dead, l.asked = nil, CauseSilent
			l.strike(l.reason)
		case exit := <-exited:
			l.bury(exit)
			return greeted
		case <-timerC(l.lost):
			l.bury(Exit{PID: l.id.PID, Lost: true})
			return greeted
		}
	}
}

// rise lets it be asked for workers.
func (l *templateLife) rise(text string) {
	l.ready = true
	l.group.sup.emit(Event{Kind: EventTemplateReady, Worker: l.id, Reason: text})
	close(l.loaded)
}

// strike kills it, once.
func (l *templateLife) strike(reason string) {
	if l.lost == nil {
		l.killed = reason
		l.lost = time.NewTimer(lostAfter)
		l.proc.signal(syscall.SIGKILL)
	}
}

// bury closes the books on it.
func (l *templateLife) bury(exit Exit) {
	if l.lost != nil {
		l.lost.Stop()
	}
	exit.Killed, exit.Ready, exit.Age = l.killed, l.ready, time.Since(l.id.Started)
	exit.OOM = exit.OOM && exit.Killed == ""
	exit.Cause = exit.cause(l.asked)
	switch {
	case l.ready:
		l.group.drop(l.template)
	case l.asked != "":
		l.fail(ErrStopped)
	default:
		var timeout notReadyError
		if !errors.As(l.failure, &timeout) {
			l.failure = nil // that the socket was closed says less than how the process ended
		}
		l.fail(&StartError{Worker: l.id, Exit: &exit, Err: l.failure, Stderr: l.tail.lines()})
	}
	l.group.sup.emit(Event{Kind: EventTemplateGone, Worker: l.id, Exit: &exit, Stderr: l.tail.lines()})
}

// errTemplateGone is a template that does not take orders any more.
var errTemplateGone = errors.New("the template has ended")

// forkTries is how often a worker is asked for: one template that has just
// ended, and what it took along, cost two.
const forkTries = 3

// fork has a template make a process for p, with the given fd 0. When ctx ends
// it returns soon, and leaves nothing behind.
func (g *Group) fork(ctx context.Context, p *plan, stdin *os.File) (process, int, error) {
	var err error
	for range forkTries {
		t := g.template(p)
		if err = t.await(ctx); err != nil {
			return nil, 0, err
		}
		var c *child
		if c, err = t.fork(ctx, stdin); err == nil {
			return c, c.proc.Pid, nil
		}
		switch {
		case errors.Is(err, errTemplateGone):
			g.drop(t)
			t.end()
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			err = fmt.Errorf("the template, pid %d, did not fork a worker within %v", t.id.PID, p.spec.StartTimeout)
			g.drop(t)
			t.kill("it does not fork")
			return nil, 0, err
		case !errors.Is(err, errUnborn):
			return nil, 0, err
		}
	}
	return nil, 0, err
}

// errUnborn is a worker that ended before it could say that it is there.
var errUnborn = errors.New("the process that the template forked has ended at once")

// template returns the template of p, and starts one if there is none. A slot
// of p calls it, so the group has not ended.
func (g *Group) template(p *plan) *template {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.template == nil {
		p.template = newTemplate(g, p)
		g.templates[p.template] = true
		g.living.Go(p.template.run) // shut waits for it
	}
	return p.template
}

// drop has the next worker made by another template.
func (g *Group) drop(t *template) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.plan.template == t {
		t.plan.template = nil
	}
}

// buried forgets a template that has ended.
func (g *Group) buried(t *template) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.templates, t)
}

// outdate ends the template of a plan that nobody will ask for a worker: it
// is not in force and has no slots. If it comes to be in force again, the next
// worker is made by another. g.mu is held.
func (g *Group) outdate(p *plan) {
	if p.users == 0 && p != g.plan && p.template != nil {
		p.template.end()
		p.template = nil
	}
}

// endTemplates ends what the group's slots, which are gone, have left, and
// waits for that; templateGrace and lostAfter bound it.
func (g *Group) endTemplates(ctx context.Context, force bool) {
	g.mu.Lock()
	for t := range g.templates {
		t.end()
		if force {
			t.kill("stop")
		}
	}
	list := make([]*template, 0, len(g.templates))
	for t := range g.templates {
		list = append(list, t)
	}
	g.mu.Unlock()
	defer context.AfterFunc(ctx, func() {
		for _, t := range list {
			t.kill("stop")
		}
	})()
	g.living.Wait()
}

// Template returns the process that new workers are forked from, and its
// resident memory. false: there is none, or it has not loaded yet.
func (g *Group) Template() (w Worker, rss int64, ok bool) {
	g.mu.Lock()
	t := g.plan.template
	g.mu.Unlock()
	if t == nil {
		return w, 0, false
	}
	select {
	case <-t.loaded:
	default:
		return w, 0, false
	}
	if t.err != nil {
		return w, 0, false
	}
	return t.id, residentBytes(t.id.PID), true
}
