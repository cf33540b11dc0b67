package supervisor

import (
	"os"
	"sync"
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
	trial  *trial // nil: none
	number int
	socket *Socket // nil if the listener is shared, or there is none

	stopping chan struct{} // closed by stop
	halting  chan struct{} // closed by halt
	orders   chan order    // Kill
	tried    chan struct{} // closed by the loop when its first process is ready or has failed
	taken    chan struct{} // closed by the loop when its first process serves or has failed
	done     chan struct{} // closed by the loop at its end

	stopOnce, haltOnce sync.Once
	why                ending // set before stopping is closed

	// Owned by the loop. A channel that cannot deliver is nil.
	phase  phase
	worker *generation // nil while there is no process
	turn   <-chan struct{}
	retry  *time.Timer
	wake   <-chan struct{} // beside retry: another one has come up
	stopc  <-chan struct{}
	haltc  <-chan struct{}
	passed <-chan struct{} // while proved: the trial's end
	forked <-chan made     // while forking
	giveUp func()          // while forking: has forked deliver soon
	asked  message         // while forking: the stop or halt that came meanwhile
	retire bool            // after this process there will be none
	row    row
	marks  []chan struct{} // tried or taken, to be closed by publish

	mu     sync.Mutex
	status Status          // RSS and Stderr are filled in by whoever asks
	tail   func() []string // the last lines of the last process
	proc   process         // the running one, or nil
}

// An ending is what is asked of a slot that is to go.
type ending struct {
	cause  Cause
	reason string
	hung   bool // the process holds what will never be done: TERM is given little time
}

// A made is a process that was started for a slot, or why there is none.
type made struct {
	proc process
	pid  int
	err  error
}

// An order is a request to the loop about one generation.
type order struct {
	message
	generation uint64
	taken      chan<- bool // buffered
}

func newSlot(g *Group, p *plan, t *trial, number int, socket *Socket) *slot {
	s := &slot{
		group: g, plan: p, trial: t, number: number, socket: socket,
		stopping: make(chan struct{}), halting: make(chan struct{}),
		orders: make(chan order), tried: make(chan struct{}), taken: make(chan struct{}), done: make(chan struct{}),
		tail: func() []string { return nil },
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

func (s *slot) stop(why ending) {
	s.stopOnce.Do(func() {
		s.why = why
		close(s.stopping)
	})
}

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
	s.mark(s.tried)
	s.mark(s.taken)
	s.publish()
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
			return message{input: inHalt, cause: CauseStopped, reason: "stop"}, nil
		case <-s.stopc:
			s.stopc, s.retire = nil, true
			return message{input: inStop, cause: s.why.cause, reason: s.why.reason}, nil
		case <-s.passed:
			return message{input: inPassed}, nil
		case <-s.turn:
			return message{input: inTurn}, nil
		case m := <-s.forked:
			return message{input: inForked, made: m}, nil
		case <-timerC(s.retry):
			return message{input: inRetry}, nil
		case <-s.wake:
			s.retry.Stop()
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

// mark has publish close tried or taken. Whoever waits for one of them looks at
// the state next, so it is closed only when that is shown.
func (s *slot) mark(c chan struct{}) { s.marks = append(s.marks, c) }

// publish shows the loop's state to the others, then closes what is marked;
// the loop is the only one who does.
func (s *slot) publish() {
	s.mu.Lock()
	s.status.State = phaseStates[s.phase]
	if s.phase != phaseBackoff {
		s.status.Until = time.Time{}
	}
	s.mu.Unlock()
	for _, c := range s.marks {
		select {
		case <-c:
		default:
			close(c)
		}
	}
	s.marks = nil
}

// generation is that of the running process, or of the last.
func (s *slot) generation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.Worker.Generation
}

// look returns what is known of the slot now.
func (s *slot) look() Status {
	s.mu.Lock()
	st, tail, runs := s.status, s.tail, s.proc != nil
	s.mu.Unlock()
	if st.State == StateStarting && !runs { // it waits for its turn: the process known is the last one
		st.Worker.PID, st.Worker.Started = 0, time.Time{}
	}
	st.Stderr = tail()
	switch st.State {
	case StateStarting, StateServing, StateStopping:
		st.RSS = residentBytes(st.Worker.PID)
	}
	return st
}
