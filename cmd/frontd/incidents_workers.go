package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/supervisor"
)

// deathWait is how long a request that a worker took along waits to be told
// how it ended: the loss of its connection is seen before its end is.
const deathWait = 500 * time.Millisecond

// stacksWait is how long a page that shows all of an incident waits for the
// stacks of its worker, which are told, or known not to come, within dumpTime.
const stacksWait = dumpTime + 4*time.Second

// maxDeaths bounds those that are remembered.
const maxDeaths = 64

// deaths are the ends of workers, for the requests that they took along.
type deaths struct {
	mu   sync.Mutex // guards the field below
	list []*death
}

type death struct {
	pid  int
	id   string        // of its incident, "" if it is none; set before done is closed
	done chan struct{} // closed when it is known
	at   time.Time
}

// of returns the record of a process's end, whoever is first. mu is held.
func (d *deaths) of(pid int) *death {
	for _, e := range d.list {
		if e.pid == pid && time.Since(e.at) < time.Minute {
			return e
		}
	}
	if len(d.list) >= maxDeaths {
		d.list = append(d.list[:0:0], d.list[1:]...)
	}
	e := &death{pid: pid, done: make(chan struct{}), at: time.Now()}
	d.list = append(d.list, e)
	return e
}

// await returns the incident of a process's end, "" if it is not known in time.
func (d *deaths) await(pid int, within time.Duration) string {
	if pid == 0 {
		return ""
	}
	d.mu.Lock()
	e := d.of(pid)
	d.mu.Unlock()
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-e.done:
		return e.id
	case <-t.C:
		return ""
	}
}

func (d *deaths) tell(pid int, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.of(pid)
	select {
	case <-e.done: // a process number that came again within a minute
		e = &death{pid: pid, done: make(chan struct{}), at: time.Now()}
		d.list = append(d.list, e)
	default:
	}
	e.id = id
	close(e.done)
}

// gone is told of each worker's end, with the requests it had in hand. An end
// that nobody asked for is an incident.
func (in *incidents) gone(app string, policy incident.Policy, e supervisor.Event, requests uint64, held []front.Flight) {
	if in == nil {
		return
	}
	id := ""
	if isCrash(e.Exit) {
		id = in.crashed(app, policy, e, requests, held)
	}
	in.deaths.tell(e.Worker.PID, id)
	in.tails.forget(e.Worker.PID)
}

// crashed returns the id of the incident that a crash is, "" if it is none.
func (in *incidents) crashed(app string, policy incident.Policy, e supervisor.Event, requests uint64, held []front.Flight) string {
	text := in.tails.end(e.Worker.PID)
	if id, ok := in.endOfLast(e, requests, text); ok {
		return id
	}
	p := incident.Report{
		Kind: incident.Crash, Cause: string(e.Exit.Cause), App: app, Time: time.Now(), PID: e.Worker.PID,
		Text: []byte(text), Policy: policy, Detail: crashDetail(e.Exit),
		Fill: func(i *incident.Incident) {
			i.Worker = workerEnd(e, requests)
			i.LastLines = in.tails.last(e.Worker.PID, lastLines)
			i.InFlight = flightLines(held)
		},
	}
	if len(held) > 0 {
		p.Request = held[0].ID
	}
	if i := in.record(p); i != nil {
		return i.ID
	}
	return ""
}

func (in *incidents) record(p incident.Report) *incident.Incident {
	if p.None {
		return nil
	}
	return in.kept.Record(p)
}

// isCrash says whether an end was the worker's own doing, or the kernel's.
func isCrash(e *supervisor.Exit) bool {
	switch e.Cause {
	case supervisor.CauseSignal:
		return e.Signal != syscall.SIGTERM || e.Killed != ""
	case supervisor.CauseOOM:
		return true
	case supervisor.CauseExit:
		return !e.OK()
	}
	return false
}

// crashDetail tells crashes apart that leave no traceback.
func crashDetail(e *supervisor.Exit) string {
	s, _, _ := strings.Cut(e.String(), " after ")
	return s
}

func workerEnd(e supervisor.Event, requests uint64) *incident.Worker {
	w := &incident.Worker{
		PID: e.Worker.PID, Slot: e.Worker.Slot, Age: e.Exit.Age, Requests: requests,
		Exit: e.Exit.String(), OOM: e.Exit.OOM, Status: e.Exit.Code,
	}
	if e.Exit.Signal != 0 {
		w.Signal = signalName(e.Exit.Signal)
	}
	return w
}

// flightLines name requests, each once.
func flightLines(held []front.Flight) []string {
	var list []string
	seen := make(map[string]bool)
	for _, f := range held {
		if !seen[f.ID] {
			seen[f.ID] = true
			list = append(list, fmt.Sprintf("%s %s (%s, %v)", f.Method, f.URI, f.ID, f.Age.Round(time.Millisecond)))
		}
	}
	return list
}

// notStarted is told of a worker that did not come up, and returns the id of
// its incident, "" if it is none.
func (in *incidents) notStarted(app string, policy incident.Policy, e supervisor.Event) string {
	if in == nil {
		return ""
	}
	lines := strings.Join(e.Stderr, "\n") + "\n"
	pid := e.Worker.PID
	if start, ok := errors.AsType[*supervisor.StartError](e.Err); ok {
		pid = start.Worker.PID // of the template, where that did not load
	}
	if tail := in.tails.end(pid); pid != 0 && tail != "" {
		lines = tail
	}
	p := incident.Report{
		Kind: incident.StartFailed, Cause: string(front.StartFailed), App: app, Time: time.Now(), PID: pid,
		Text: []byte(lines), Policy: policy, Detail: startDetail(e),
		Fill: func(i *incident.Incident) {
			i.LastLines = e.Stderr
			if e.Exit != nil {
				i.Worker = workerEnd(e, 0)
				i.Worker.PID = pid
			}
		},
	}
	if i := in.record(p); i != nil {
		return i.ID
	}
	return ""
}

// templateGone is told of a template's end, and of one that did not load.
func (in *incidents) templateGone(app string, pid int) {
	if in == nil {
		return
	}
	in.tails.templateGone(app, pid)
}

// startDetail is why a worker did not come up, without how long it took: in
// its own last line, if it has any.
func startDetail(e supervisor.Event) string {
	for _, line := range slices.Backward(e.Stderr) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	start, ok := errors.AsType[*supervisor.StartError](e.Err)
	switch {
	case ok && start.Err != nil:
		return start.Err.Error()
	case e.Exit != nil:
		return crashDetail(e.Exit)
	}
	return e.Err.Error()
}

// held is told of a request that took too long, with the stacks of its worker.
func (in *incidents) held(r heldRequest) {
	if r.Slow {
		return
	}
	defer in.dumps.tell(r.Worker.PID, "")
	if len(r.Stacks) == 0 {
		return
	}
	in.kept.Add(r.ID, nil, func(i *incident.Incident) {
		if len(i.Stacks) == 0 {
			i.Stacks = r.Stacks
		}
	})
}

// policyNow is what holds for errors of the application that are no request's.
func (a *application) policyNow() incident.Policy {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.policy == nil {
		return incident.Policy{}
	}
	return *a.policy
}

func (a *application) setPolicy(p *incident.Policy) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policy = p
}

func (a *application) startIncident() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.startFailure
}

func (a *application) setStartIncident(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.startFailure = id
}

// workerOf returns the worker of a process and how many requests it has got.
func (a *application) workerOf(pid int) (w supervisor.Worker, served uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for u, h := range a.hands {
		if h.worker.PID == pid {
			return h.worker, a.pool.Served(u), true
		}
	}
	return w, 0, false
}

// signalNames are those that end processes which nobody asked to end.
var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
	syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
	syscall.SIGKILL: "SIGKILL", syscall.SIGSEGV: "SIGSEGV", syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM",
	syscall.SIGTERM: "SIGTERM", syscall.SIGXCPU: "SIGXCPU", syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGSYS: "SIGSYS",
}

func signalName(s syscall.Signal) string {
	if name := signalNames[s]; name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
