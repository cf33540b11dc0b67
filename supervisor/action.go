package supervisor

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// queue waits for one of the group's turns to start.
func (s *slot) queue(message) phase {
	s.retry, s.wake = nil, nil
	s.turn = s.plan.turns
	return phaseQueued
}

// launch starts a process, or has it made. It has one of the group's turns,
// which goes back when the process is ready or is not going to be.
func (s *slot) launch(message) phase {
	s.turn = nil
	if s.socket != nil { // the one before may have changed the mode that it shares with the next
		if err := setBlocking(s.socket.File()); err != nil {
			return s.begin(made{err: err})
		}
	}
	if s.plan.spec.Preload {
		return s.fork()
	}
	proc, pid, err := s.group.sup.launch(s.plan.spec, s.listener())
	return s.begin(made{proc, pid, err})
}

// fork has the plan's template make the process. It may have to load first.
func (s *slot) fork() phase {
	ctx, cancel := context.WithCancel(context.Background())
	forked := make(chan made, 1)
	s.forked, s.giveUp, s.asked = forked, cancel, message{}
	go func() {
		// Its end is received by the loop, from forked.
		proc, pid, err := s.group.fork(ctx, s.plan, s.listener())
		forked <- made{proc, pid, err}
	}()
	return phaseForking
}

// abandon has no process made. If it has been, it is killed.
func (s *slot) abandon(m message) phase {
	s.giveUp()
	s.asked = m
	return phaseForking
}

// take takes what the template has made.
func (s *slot) take(m message) phase {
	s.giveUp()
	s.forked, s.giveUp = nil, nil
	switch {
	case !s.retire:
		return s.begin(m.made)
	case m.made.err != nil:
		s.plan.release()
		return phaseGone
	}
	s.phase = s.begin(m.made) // starting, as kill finds it
	return s.kill(s.asked)
}

// begin takes up a process that was started, or tells why there is none.
func (s *slot) begin(m made) phase {
	if m.err != nil {
		s.plan.release()
		why, ok := errors.AsType[*StartError](m.err) // of the template
		if !ok {
			why = &StartError{Worker: s.identity(), Err: m.err}
		}
		s.group.count(CauseStartFailed)
		s.fail(why)
		return s.follow(why, s.pause(why.Exit, 0))
	}
	w := newGeneration(s, m)
	s.worker = w
	s.mu.Lock()
	if s.status.Worker.Generation != 0 { // there was one before
		s.status.Restarts++
	}
	s.status.Worker = w.id
	s.tail, s.proc = w.tail.lines, w.proc
	s.mu.Unlock()
	s.emit(Event{Kind: EventStarted})
	w.begin(s)
	return phaseStarting
}

// prove ends a start that went well. On trial, it serves when all have proved
// themselves: a request in its hands would be lost with the trial.
func (s *slot) prove(m message) phase {
	s.leaveStarting()
	if passed := s.trial.pending(); passed != nil {
		s.passed = passed
		s.mark(s.tried)
		return phaseProved
	}
	return s.serve(m)
}

// serve takes up service.
func (s *slot) serve(message) phase {
	s.passed = nil
	s.worker.readyAt = time.Now()
	s.mu.Lock()
	s.status.LastErr = nil
	s.mu.Unlock()
	s.plan.failing.end()
	s.emit(Event{Kind: EventReady})
	s.mark(s.tried) // after the event: Replace must not stop the old before the new are known
	s.mark(s.taken)
	return phaseServing
}

// condemn kills a process that does not come up.
func (s *slot) condemn(m message) phase {
	if m.err == nil {
		m.err = notReadyError{after: s.plan.spec.StartTimeout}
	}
	s.worker.failure = m.err
	m.reason = "not ready"
	return s.kill(m)
}

// drain lets a worker finish what is in its hands.
func (s *slot) drain(m message) phase {
	s.sayStopping(m)
	s.worker.startDrain(s.plan.spec)
	return phaseDraining
}

// terminate asks the process to end.
func (s *slot) terminate(m message) phase {
	s.leaveStarting()
	s.passed = nil
	s.sayStopping(m)
	s.worker.endHooks()
	s.worker.setDeadline(s.termTime())
	s.worker.proc.signal(syscall.SIGTERM)
	return phaseTerminating
}

// kill ends the whole process group.
func (s *slot) kill(m message) phase {
	s.leaveStarting()
	if m.input == inDeadline {
		m.reason = "still there " + s.termTime().String() + " after TERM"
	}
	s.passed = nil
	s.worker.killed = m.reason
	s.sayStopping(m)
	s.worker.endHooks()
	s.worker.setDeadline(0)
	s.worker.lost = time.NewTimer(lostAfter)
	s.worker.proc.signal(syscall.SIGKILL)
	return phaseKilling
}

// hungTime is how long a process has after TERM that holds a request which
// will not end: a runtime that waits for it would wait for ever.
const hungTime = time.Second

// termTime is how long the process has after TERM.
func (s *slot) termTime() time.Duration {
	select {
	case <-s.stopping:
		if s.why.hung {
			return min(hungTime, s.plan.spec.StopTimeout)
		}
	default:
	}
	return s.plan.spec.StopTimeout
}

// leave ends a slot that has no process.
func (s *slot) leave(message) phase {
	s.turn = nil
	if s.retry != nil {
		s.retry.Stop()
		s.retry, s.wake = nil, nil
	}
	s.emit(Event{Kind: EventLeft})
	return phaseGone
}

// bury closes the books on a process that ended, or that is lost.
func (s *slot) bury(m message) phase {
	s.leaveStarting()
	s.passed = nil
	w := s.worker
	w.close()
	exit := m.exit
	if m.input == inLost {
		exit = Exit{PID: w.id.PID, Lost: true}
	}
	exit.Killed, exit.Ready, exit.Age = w.killed, !w.readyAt.IsZero(), time.Since(w.id.Started)
	if exit.Killed != "" {
		exit.OOM = false // we know who it was
	}
	asked := w.stopping && w.failure == nil // by us; one stopped while starting has not failed
	if !asked {
		w.cause = ""
	}
	exit.Cause = exit.cause(w.cause)
	s.group.count(exit.Cause)
	s.mu.Lock()
	s.status.LastExit = &exit
	s.proc = nil
	s.mu.Unlock()
	stderr := w.tail.lines()
	gone := Event{Kind: EventGone, Exit: &exit, Stderr: stderr}
	why := &StartError{Worker: w.id, Exit: &exit, Err: w.failure, Stderr: stderr}
	if !exit.Ready && !asked {
		s.fail(why)
	}
	s.emit(gone)
	s.worker = nil
	var pause time.Duration
	if !asked {
		pause = s.pause(&exit, w.served())
	}
	return s.follow(why, pause)
}

// fail tells of a start that came to nothing.
func (s *slot) fail(err *StartError) {
	s.mu.Lock()
	s.status.LastErr = err
	s.mu.Unlock()
	s.emit(Event{Kind: EventFailing, Exit: err.Exit, Err: err, Stderr: err.Stderr, Trial: s.trial.pending() != nil})
}

// pause is how long to wait after an end that nobody asked for; exit is nil if
// no process could be started.
func (s *slot) pause(exit *Exit, served time.Duration) time.Duration {
	b, random := s.plan.spec.Backoff, s.group.sup.random()
	d := s.row.next(b, exit, served, random)
	if exit != nil && exit.Ready {
		return d
	}
	turn, revived := s.plan.failing.next(b, exit, random)
	s.wake = revived
	return max(d, turn)
}

// follow decides what follows a process that ended, or one that could not be
// started: nothing, the next one at once, or a pause.
func (s *slot) follow(why *StartError, d time.Duration) phase {
	if s.trial.failed(why) {
		s.retire = true // on trial, and it did not stand it
	}
	s.mark(s.tried)
	s.mark(s.taken)
	if s.retire {
		s.wake = nil
		return phaseGone
	}
	if d <= 0 {
		return s.queue(message{})
	}
	s.retry = time.NewTimer(d)
	s.mu.Lock()
	s.status.Until = time.Now().Add(d)
	s.mu.Unlock()
	s.emit(Event{Kind: EventBackoff, Delay: d})
	return phaseBackoff
}

// leaveStarting takes back what only a starting worker has.
func (s *slot) leaveStarting() {
	if s.phase == phaseStarting {
		s.worker.endStart()
		s.plan.release()
	}
}

// sayStopping tells once in a process's life that it is about to end.
func (s *slot) sayStopping(m message) {
	if !s.worker.stopping {
		s.worker.stopping = true
		s.worker.cause = m.cause
		s.emit(Event{Kind: EventStopping, Reason: m.reason})
	}
}

func (s *slot) emit(e Event) {
	e.Worker = s.status.Worker // only the loop writes it
	if s.worker == nil && e.Kind == EventFailing {
		e.Worker = s.identity() // no process of its own
	}
	s.group.sup.emit(e)
}
