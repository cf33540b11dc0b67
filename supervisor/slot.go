package supervisor

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// lostAfter is how long a process may take to die of KILL. One that hangs in
// the kernel (a dead NFS server) takes for ever: its slot goes on without it.
const lostAfter = 5 * time.Second

// A slot is a worker's place: it has a listener, which outlives processes,
// and one process after another. One loop owns it.
type slot struct {
	// Immutable.
	group  *Group
	plan   *plan
	number int
	socket *Socket // nil if the listener is shared, or there is none

	stopping chan struct{} // closed by stop
	halting  chan struct{} // closed by halt
	orders   chan order    // Kill and Recycle
	tried    chan struct{} // closed by the loop when its first process is ready or has failed
	done     chan struct{} // closed by the loop at its end

	stopOnce, haltOnce sync.Once

	// Owned by the loop. A channel that cannot deliver is nil.
	phase  phase
	worker *generation // nil while there is no process
	turn   <-chan struct{}
	retry  *time.Timer
	stopc  <-chan struct{}
	haltc  <-chan struct{}
	retire bool // after this process there will be none
	first  bool // nothing was tried yet
	row    row

	mu     sync.Mutex
	status Status          // RSS and Stderr are filled in by whoever asks
	tail   func() []string // the last lines of the last process
}

// An order is a request to the loop about one generation.
type order struct {
	message
	generation uint64
	taken      chan<- bool // buffered
}

func newSlot(g *Group, p *plan, number int, socket *Socket) *slot {
	s := &slot{
		group: g, plan: p, number: number, socket: socket,
		stopping: make(chan struct{}), halting: make(chan struct{}),
		orders: make(chan order), tried: make(chan struct{}), done: make(chan struct{}),
		first: true,
		tail:  func() []string { return nil },
	}
	s.stopc, s.haltc = s.stopping, s.halting
	s.status.Worker = s.identity()
	return s
}

// identity is the Worker as far as the slot knows it.
func (s *slot) identity() Worker {
	w := Worker{App: s.plan.spec.Name, Slot: s.number}
	if s.socket != nil {
		w.Addr = s.socket.Path()
	}
	return w
}

// listener is the worker's fd 0, or nil.
func (s *slot) listener() *os.File {
	if s.socket != nil {
		return s.socket.File()
	}
	return s.plan.spec.Listener
}

func (s *slot) stop() { s.stopOnce.Do(func() { close(s.stopping) }) }
func (s *slot) halt() { s.haltOnce.Do(func() { close(s.halting) }) }

// order asks the loop to do something to one generation, and reports whether
// it was that generation's turn to have it done.
func (s *slot) order(generation uint64, m message) bool {
	taken := make(chan bool, 1)
	select {
	case s.orders <- order{m, generation, taken}:
		return <-taken
	case <-s.done:
		return false
	}
}

// run is the loop. It ends when the slot is gone: with no process left, or
// one that is lost, and the listener closed.
func (s *slot) run() {
	defer close(s.done)
	s.phase = s.queue(message{})
	s.publish()
	for s.phase != phaseGone {
		m, taken := s.next()
		before := s.phase
		s.phase = table[s.phase][m.input](s, m)
		s.publish()
		if taken != nil {
			taken <- s.phase != before
		}
	}
	s.markTried()
	if s.socket != nil {
		s.socket.Close()
	}
	s.group.forget(s)
}

// next waits for something to happen. That nothing is to follow the present
// process it notes itself, whatever the phase.
func (s *slot) next() (m message, taken chan<- bool) {
	w := s.worker
	if w == nil {
		w = &generation{} // all its channels are nil
	}
	for {
		select {
		case <-s.haltc:
			s.haltc, s.retire = nil, true
			return message{input: inHalt, reason: "stop"}, nil
		case <-s.stopc:
			s.stopc, s.retire = nil, true
			return message{input: inStop, reason: "stop"}, nil
		case <-s.turn:
			return message{input: inTurn}, nil
		case <-timerC(s.retry):
			return message{input: inRetry}, nil
		case o := <-s.orders:
			if s.worker == nil || o.generation != w.id.Generation {
				o.taken <- false
				continue
			}
			return o.message, o.taken
		case exit := <-w.exited:
			return message{input: inExited, exit: exit}, nil
		case err := <-w.ready:
			if err != nil {
				return message{input: inUnready, err: err}, nil
			}
			return message{input: inReady}, nil
		case <-timerC(w.startTimer):
			return message{input: inStartTimeout}, nil
		case <-w.drained:
			return message{input: inDrained}, nil
		case <-timerC(w.deadline):
			return message{input: inDeadline}, nil
		case <-timerC(w.lost):
			return message{input: inLost}, nil
		}
	}
}

func timerC(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

// queue waits for one of the group's turns to start.
func (s *slot) queue(message) phase {
	s.retry = nil
	s.turn = s.plan.turns
	return phaseQueued
}

// launch starts a process. It has one of the group's turns, which goes back
// when the process is ready or is not going to be.
func (s *slot) launch(message) phase {
	s.turn = nil
	w, err := newGeneration(s)
	if err != nil {
		s.plan.release()
		why := &StartError{Worker: s.identity(), Err: err}
		s.fail(why)
		return s.follow(why, s.pause(nil, 0))
	}
	s.worker = w
	s.mu.Lock()
	if s.status.Worker.Generation != 0 { // there was one before
		s.status.Restarts++
	}
	s.status.Worker = w.id
	s.tail = w.tail.lines
	s.mu.Unlock()
	s.emit(Event{Kind: EventStarted})
	w.begin(s)
	return phaseStarting
}

// serve takes up service.
func (s *slot) serve(message) phase {
	s.leaveStarting()
	s.worker.readyAt = time.Now()
	s.mu.Lock()
	s.status.LastErr = nil
	s.mu.Unlock()
	s.emit(Event{Kind: EventReady})
	s.markTried() // after the event: Replace must not stop the old before the new are known
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
	s.sayStopping(m.reason)
	s.worker.startDrain(s.plan.spec)
	return phaseDraining
}

// terminate asks the process to end.
func (s *slot) terminate(m message) phase {
	s.leaveStarting()
	s.sayStopping(m.reason)
	s.worker.endHooks()
	s.worker.setDeadline(s.plan.spec.StopTimeout)
	s.worker.proc.signal(syscall.SIGTERM)
	return phaseTerminating
}

// kill ends the whole process group.
func (s *slot) kill(m message) phase {
	s.leaveStarting()
	if m.input == inDeadline {
		m.reason = "still there " + s.plan.spec.StopTimeout.String() + " after TERM"
	}
	s.worker.killed = m.reason
	s.sayStopping(m.reason)
	s.worker.endHooks()
	s.worker.setDeadline(0)
	s.worker.lost = time.NewTimer(lostAfter)
	s.worker.proc.signal(syscall.SIGKILL)
	return phaseKilling
}

// leave ends a slot that has no process.
func (s *slot) leave(message) phase {
	s.turn = nil
	if s.retry != nil {
		s.retry.Stop()
		s.retry = nil
	}
	return phaseGone
}

// bury closes the books on a process that ended, or that is lost.
func (s *slot) bury(m message) phase {
	s.leaveStarting()
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
	s.mu.Lock()
	s.status.LastExit = &exit
	s.mu.Unlock()
	stderr := w.tail.lines()
	gone := Event{Kind: EventGone, Exit: &exit, Stderr: stderr}
	why := &StartError{Worker: w.id, Exit: &exit, Err: w.failure, Stderr: stderr}
	asked := w.stopping && w.failure == nil // by us; one stopped while starting has not failed
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
	s.emit(Event{Kind: EventFailing, Exit: err.Exit, Err: err, Stderr: err.Stderr})
}

// pause is how long to wait after an end that nobody asked for; exit is nil if
// no process could be started.
func (s *slot) pause(exit *Exit, served time.Duration) time.Duration {
	return s.row.next(s.plan.spec.Backoff, exit, served, s.group.sup.random())
}

// follow decides what follows a process that ended, or one that could not be
// started: nothing, the next one at once, or a pause.
func (s *slot) follow(why *StartError, d time.Duration) phase {
	if s.plan.trial.failed(why) {
		s.retire = true // on trial, and it did not stand it
	}
	s.markTried()
	if s.retire {
		return phaseGone
	}
	if d == 0 {
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

func (s *slot) markTried() {
	if s.first {
		s.first = false
		close(s.tried)
	}
}

// sayStopping tells once in a process's life that it is about to end.
func (s *slot) sayStopping(reason string) {
	if !s.worker.stopping {
		s.worker.stopping = true
		s.emit(Event{Kind: EventStopping, Reason: reason})
	}
}

func (s *slot) emit(e Event) {
	e.Worker = s.status.Worker // only the loop writes it
	if s.worker == nil && e.Kind == EventFailing {
		e.Worker = s.identity() // no process of its own
	}
	s.group.sup.emit(e)
}

// publish shows the loop's state to the others.
func (s *slot) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State = phaseStates[s.phase]
	if s.phase != phaseBackoff {
		s.status.Until = time.Time{}
	}
}

// look returns what is known of the slot now.
func (s *slot) look() Status {
	s.mu.Lock()
	st, tail := s.status, s.tail
	s.mu.Unlock()
	st.Stderr = tail()
	switch st.State {
	case StateStarting, StateServing, StateStopping:
		st.RSS = residentBytes(st.Worker.PID)
	}
	return st
}
