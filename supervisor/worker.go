package supervisor

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// A process is what the loop needs of one.
type process interface {
	// signal goes to the whole process group, and to nobody once the
	// process has been reaped.
	signal(syscall.Signal)
	// dump asks the process itself, not its group, for its stacks: SIGQUIT.
	dump()
	// run hands out what the process writes until it has ended and nothing
	// more is there, and says how it ended. It is called once.
	run(line func(stream string, line []byte)) Exit
}

// A generation is one process of a slot, with its own timers. The slot's loop
// owns it. What cannot happen any more is a nil channel or a nil timer.
type generation struct {
	// Immutable.
	id   Worker
	proc process
	tail *tail

	exited     <-chan Exit     // always, once
	ready      <-chan error    // while starting
	startTimer *time.Timer     // while starting
	drained    <-chan struct{} // while draining
	deadline   *time.Timer     // while draining or terminating
	lost       *time.Timer     // while killing

	stopping bool      // the Stopping event is out
	cause    Cause     // why we asked it to end
	killed   string    // our reason to have sent KILL
	failure  error     // why it did not become ready
	readyAt  time.Time // zero until then

	ctx    context.Context // of the hooks: Ready, then Drain
	cancel context.CancelFunc
	hooks  sync.WaitGroup // the hooks that run
}

// readySays is how long a Ready whose time is up has to say what it last saw.
const readySays = 100 * time.Millisecond

// notReadyError is a Ready that did not answer in time.
type notReadyError struct {
	after time.Duration
	err   error // what Ready said when its ctx ended; nil if nothing more than that
}

func (e notReadyError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("not ready within %v", e.after)
	}
	return fmt.Sprintf("not ready within %v: %v", e.after, e.err)
}

func (e notReadyError) Unwrap() error { return e.err }
func (notReadyError) Timeout() bool   { return true }

// newGeneration takes up a process that was started for s.
func newGeneration(s *slot, m made) *generation {
	w := &generation{id: s.identity(), proc: m.proc, tail: new(tail)}
	w.id.Generation = s.group.generations.Add(1)
	w.id.PID = m.pid
	w.id.Started = time.Now()
	return w
}

// begin takes up what accompanies the process: its output, its end, the
// question whether it is ready.
func (w *generation) begin(s *slot) {
	exited := make(chan Exit, 1)
	w.exited = exited
	go func() {
		// Its end is received by the loop, from exited; that of a lost process by nobody.
		exited <- w.proc.run(func(stream string, line []byte) {
			if stream == "stderr" {
				w.tail.add(line)
			}
			if out := s.group.sup.options.Output; out != nil {
				out(w.id, stream, line)
			}
		})
	}()
	ready := make(chan error, 1)
	w.ready = ready
	limit := s.plan.spec.StartTimeout
	w.startTimer = time.NewTimer(limit + readySays)
	w.ctx, w.cancel = context.WithTimeout(context.Background(), limit)
	ask, ctx := s.plan.spec.Ready, w.ctx
	if ask == nil {
		ready <- nil
		return
	}
	w.hooks.Go(func() { // close waits for it
		err := ask(ctx, w.id)
		switch {
		case err == nil, ctx.Err() == nil:
		case err == context.DeadlineExceeded:
			err = notReadyError{after: limit}
		default: // if nobody asks any more, nobody reads it
			err = notReadyError{limit, err}
		}
		ready <- err
	})
}

// endStart ends what only a starting worker has.
func (w *generation) endStart() {
	w.startTimer.Stop()
	w.startTimer, w.ready = nil, nil
	w.cancel()
}

func (w *generation) startDrain(spec *Spec) {
	w.setDeadline(spec.StopTimeout)
	w.ctx, w.cancel = context.WithTimeout(context.Background(), spec.StopTimeout)
	drained := make(chan struct{})
	w.drained = drained
	if spec.Drain == nil {
		close(drained)
		return
	}
	ctx := w.ctx
	w.hooks.Go(func() { // close waits for it
		defer close(drained)
		spec.Drain(ctx, w.id)
	})
}

// setDeadline sets the timer of the present phase; 0 is none.
func (w *generation) setDeadline(d time.Duration) {
	if w.deadline != nil {
		w.deadline.Stop()
		w.deadline = nil
	}
	if d > 0 {
		w.deadline = time.NewTimer(d)
	}
}

// endHooks tells Ready or Drain that its answer does not matter any more.
func (w *generation) endHooks() {
	w.cancel()
	w.drained = nil
}

// close ends all that accompanied the process.
func (w *generation) close() {
	w.endHooks()
	w.setDeadline(0)
	if w.lost != nil {
		w.lost.Stop()
		w.lost = nil
	}
	w.exited = nil
	w.hooks.Wait()
}

// served is how long it was ready.
func (w *generation) served() time.Duration {
	if w.readyAt.IsZero() {
		return 0
	}
	return time.Since(w.readyAt)
}
