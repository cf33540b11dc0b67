package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/supervisor"
)

// wasTried counts a worker that has come up, or has failed to.
func (a *application) wasTried() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.untried--; a.untried == 0 {
		close(a.tried)
	}
}

// event follows a worker's life.
func (a *application) event(e supervisor.Event) {
	log := a.log.With("app", a.name, "slot", e.Worker.Slot, "pid", e.Worker.PID)
	switch e.Kind {
	case supervisor.EventStarted:
		a.setDue(e.Worker.Slot, time.Time{})
		log.Debug("worker started")
	case supervisor.EventReady:
		a.joined(e.Worker)
		a.wasTried()
		log.Info("worker ready", "took", time.Since(e.Worker.Started).Round(time.Millisecond))
	case supervisor.EventStopping:
		log.Info("worker stopping", "reason", e.Reason)
	case supervisor.EventGone:
		a.gone(log, e)
	case supervisor.EventFailing:
		a.failing(log, e)
	case supervisor.EventTemplateReady:
		log.Info("template ready", "took", time.Since(e.Worker.Started).Round(time.Millisecond))
		if e.Reason != "" {
			log.Warn(e.Reason)
		}
	case supervisor.EventTemplateGone:
		a.templateGone(log, e)
	case supervisor.EventLeft:
		a.mu.Lock()
		delete(a.due, e.Worker.Slot) // nobody waits for it any more
		a.mu.Unlock()
	case supervisor.EventBackoff:
		if e.Delay > 0 {
			a.paused(e.Worker.Slot, e.Delay)
			log.Warn("worker starts again later", "in", e.Delay.Round(time.Millisecond))
		}
	}
}

// joined gives the pool a worker that has become ready.
func (a *application) joined(w supervisor.Worker) {
	a.mu.Lock()
	said := a.answers[w.Generation]
	delete(a.answers, w.Generation)
	capacity := said.concurrency
	// A worker of one request at a time is to be freed from slow clients, by
	// taking its answer ahead of them: with flow control it would wait for them.
	flow := said.Multiplex && said.Window > 0 && capacity > 1
	if flow && said.MaxRequests > 0 {
		capacity = min(capacity, said.MaxRequests)
	}
	u := &fcgi.Upstream{
		Name: fmt.Sprintf("%s/%d", a.name, w.Slot), PID: w.PID, Capacity: max(capacity, 1),
		Transport: &fcgi.Transport{
			Dial: dialer("unix", w.Addr), Flow: flow, Hold: said.Hold,
			Keep: true, MaxIdle: max(capacity, 1), Settle: !flow && capacity > 1,
		},
	}
	u.Kill = func(reason string) { a.evict(u, supervisor.CauseTimeout, reason) }
	if said.Answered {
		u.Doubted = func() { a.keeper.spawn(func() { a.keeper.vouch(u) }) }
	}
	a.upstreams[w.Generation] = u
	a.hands[u] = newHand(u, w, said.recycle, a.keeper.poke)
	a.hands[u].answers, a.hands[u].asked = said.Answered, time.Now()
	a.failures = 0
	clear(a.due)
	a.mu.Unlock()
	a.pool.Add(u)
	a.draft.tell()
	a.keeper.poke() // it may have an age to look at
}

// gone takes a worker out whose process has ended.
func (a *application) gone(log *slog.Logger, e supervisor.Event) {
	a.mu.Lock()
	u := a.upstreams[e.Worker.Generation]
	delete(a.upstreams, e.Worker.Generation)
	delete(a.answers, e.Worker.Generation)
	delete(a.hands, u)
	delete(a.due, e.Worker.Slot)
	if e.Exit.Ready && (e.Exit.Cause == supervisor.CauseSignal || e.Exit.Cause == supervisor.CauseExit || e.Exit.Cause == supervisor.CauseOOM) {
		a.lastErr = fmt.Errorf("worker %v crashed: %v", e.Worker, e.Exit)
	}
	a.mu.Unlock()
	said := []any{"exit", e.Exit.String()}
	var held []front.Flight
	var served uint64
	if u != nil {
		held, served = a.flights(e.Worker.PID, e.Exit), a.pool.Served(u)
		if held := describeFlights(held); held != "" {
			said = append(said, "in_flight", held)
		}
	}
	a.incidents.gone(a.name, a.policyNow(), e, served, held)
	if u != nil {
		a.pool.Remove(u)
		u.Transport.Close()
	}
	switch {
	case e.Exit.Cause == supervisor.CauseStartFailed:
		log.Debug("worker gone", said...) // its failing was told
		return
	case endedAsTold(a.kind, e.Exit):
		log.Info("worker gone", said...)
		return
	}
	log.Warn("worker gone", said...)
}

// endedAsTold reports whether a worker ended well, or by the signal that asks it to:
// many programs do nothing about that, and ours does not before it serves. php-cgi ends
// with the status of the last script that it ran, which is 255 after a fatal error.
func endedAsTold(kind app.Kind, x *supervisor.Exit) bool {
	switch {
	case x.OK():
		return true
	case x.Signal != 0:
		return x.Killed == "" && x.Signal == syscall.SIGTERM
	}
	return kind == app.PHP && x.Code > 0 && x.Cause != supervisor.CauseExit && !x.Lost
}

// templateGone tells of the end of the process that workers are forked from.
// Those that there are stay; the next start makes another.
func (a *application) templateGone(log *slog.Logger, e supervisor.Event) {
	a.incidents.templateGone(a.name, e.Worker.PID)
	switch {
	case !e.Exit.Ready:
		log.Debug("template gone", "exit", e.Exit.String()) // the workers that it was to make tell
		return
	case e.Exit.Cause == supervisor.CauseStopped:
		log.Info("template gone", "exit", e.Exit.String())
		return
	}
	log.Warn("template gone, workers stay", "exit", e.Exit.String())
}

// describeFlights names requests, each once: one that the same process has
// lost may be on its way to it again, through its socket.
func describeFlights(flights []front.Flight) string {
	seen := make(map[string]bool)
	var list []string
	for _, f := range flights {
		if seen[f.ID] {
			continue
		}
		seen[f.ID] = true
		list = append(list, fmt.Sprintf("%s %s (%s, %v)", f.Method, f.URI, f.ID, f.Age.Round(time.Millisecond)))
	}
	if n := len(list) - maxFlightsLogged; n > 0 {
		list = append(list[:maxFlightsLogged], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(list, "; ")
}

// maxFlightsLogged bounds the requests named when a worker dies.
const maxFlightsLogged = 5

// flights is what a process had in hand, whether its death was seen by the
// requests before it was by us or not. An end that was asked for, and went well,
// took nothing away.
func (a *application) flights(pid int, x *supervisor.Exit) []front.Flight {
	list := a.gateway.Lost(pid)
	if endedAsTold(a.kind, x) && x.Cause != supervisor.CauseExit {
		list = nil
	}
	for _, f := range a.gateway.InFlight() {
		if f.PID == pid {
			list = append(list, f)
		}
	}
	return list
}

// failing says that a worker did not come up. With nobody serving, requests
// wait only for a start that comes in time. One on trial has nobody waiting.
func (a *application) failing(log *slog.Logger, e supervisor.Event) {
	log.Error("worker did not start", "error", brief(e.Err))
	if id := a.incidents.notStarted(a.name, a.policyNow(), e); id != "" {
		a.setStartIncident(id)
	}
	if e.Trial {
		return
	}
	a.mu.Lock()
	a.failures++
	a.lastErr = e.Err
	next := a.nextStart()
	a.mu.Unlock()
	a.pool.SetFailing(e.Err, next)
	a.draft.tell()
	a.wasTried()
}

// brief is an error for the log, which has the worker's own lines already: of
// those, only the last.
func brief(err error) string {
	start, ok := errors.AsType[*supervisor.StartError](err)
	if !ok {
		return err.Error()
	}
	short := *start
	short.Stderr = nil
	for _, line := range slices.Backward(start.Stderr) {
		if line = strings.TrimSpace(line); line != "" {
			return short.Error() + ": " + line
		}
	}
	return short.Error()
}

// paused says that a slot starts its next worker later. With nobody serving
// it is the state of failing, whether workers start or not.
func (a *application) paused(slot int, delay time.Duration) {
	a.setDue(slot, time.Now().Add(delay))
	a.mu.Lock()
	err, next := a.lastErr, a.nextStart()
	a.mu.Unlock()
	if err != nil {
		a.pool.SetFailing(err, next)
	}
}

func (a *application) setDue(slot int, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due[slot] = at
}

// nextStart is when a worker may be ready at the earliest: now, while one
// starts. a.mu is held.
func (a *application) nextStart() time.Time {
	now := time.Now()
	next := time.Time{}
	for _, at := range a.due {
		if at.Before(now) {
			return now
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if next.IsZero() {
		return now // what follows is told in a moment
	}
	return next
}
