package fcgi

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// blockWindow is how much of an answer is held in memory for a consumer on a
// connection without flow control, unless Request.Buffer says otherwise.
const blockWindow = 64 << 10

// A stream is one request on a connection, from the web server's side.
type stream struct {
	// Set by begin.
	c       *clientConn
	id      uint16
	company bool  // other requests were on the connection
	ahead   int64 // what the window of STDOUT is larger by from the start

	hasBody   bool // there is STDIN or DATA to be pumped
	hasInput  bool // there is any
	stdin     input
	data      input
	buffering Buffering
	onEnd     func()

	settleTime time.Duration // how long it is waited for when it was given up; 0: no bound

	// Owned by the read loop.
	dirty       bool
	stderrTaken int64

	over bool // guarded by c.out.mu: END_REQUEST was read

	news chan struct{} // capacity 1: something below changed, for the consumer
	long atomic.Bool   // glances are over

	looked bool // guarded by c.mu: by one look of the connection's

	mu          sync.Mutex   // guards the fields below
	stderr      func([]byte) // Request.Stderr; nil once the request is closed
	room        sync.Cond    // the read loop may deliver again
	more        sync.Cond    // the pump may send again
	queue       pieces       // came and not taken
	given       piece        // what the consumer was given last
	stdoutEnded bool
	ended       bool // END_REQUEST was read
	appStatus   uint32
	status      ProtocolStatus
	err         error     // the connection's end, or the abort
	cut         bool      // a piece of the answer was dropped because of err
	began       bool      // a byte of the answer was seen
	stdinDone   bool      // the whole of STDIN is on its way
	inRead      bool      // the pump waits in req.Stdin.Read
	fed         time.Time // when the client last sent of its body
	pumpErr     error     // why the body could not be had from the client
	held        int64     // bytes of the piece that the consumer was given last
	granted     int64     // bytes it has used up, whose window was not given back yet
	total       int64     // bytes it has used up in all
	limit       int64     // the window of STDOUT
	waited      bool      // the consumer did, since the last grant
	fixed       bool      // the window grows no more
	overflow    overflow
	patience    patience
	closed      bool          // the consumer wants no more
	onDemand    bool          // STDIN waits until the application asks for it
	lost        bool          // the connection is
	leftAt      time.Time     // when it was given up and is waited for; see leave
	settled     chan struct{} // not nil: closed when ended or lost becomes true

	// Owned by the consumer.
	pumpDone chan struct{} // closed by the pump's end; nil: no body
	looped   bool          // a read loop reads, not the consumer
	unsent   bool          // the first flight found the connection lost
	response Response      // what RoundTrip returns
}

func newStream(req *Request) *stream {
	s := &stream{stderr: req.Stderr, buffering: req.Buffer, onEnd: req.OnEnd, news: make(chan struct{}, 1),
		limit: DefaultWindow, settleTime: req.PieceTimeout}
	if s.buffering.Memory <= 0 {
		s.buffering.Memory = blockWindow
	}
	s.room.L, s.more.L = &s.mu, &s.mu
	s.stdin.typ, s.data.typ = TypeStdin, TypeData
	s.hasBody = req.Stdin != nil || req.Data != nil
	s.hasInput = s.hasBody || len(req.Body) > 0
	s.stdinDone = !s.hasBody
	s.onDemand = req.Hold && req.Stdin != nil
	return s
}

func (s *stream) signal() {
	select {
	case s.news <- struct{}{}:
	default: // told already and not yet come
	}
}

// deliver takes a piece of STDOUT from the read loop. With flow control the
// room is there, or the peer broke the protocol; without, it waits for room.
func (s *stream) deliver(b []byte, flow bool, beforeWait func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admitLocked(len(b)); err != nil {
		return err
	}
	if s.err != nil {
		s.cut = true
		if s.unheardLocked() {
			return errUnheard
		}
		return nil // aborted: nobody wants it
	}
	s.began = true
	if flow {
		s.queue.append(b)
		return nil
	}
	for s.err == nil {
		if s.overflow.in == s.overflow.out {
			s.overflow.in, s.overflow.out = 0, 0 // all of it was read: the file begins again
		}
		switch {
		case s.overflow.in == 0 && s.queue.size < s.buffering.Memory:
			s.queue.append(b)
			return nil
		case s.overflow.in == 0 && s.patience.left():
			beforeWait()
			s.patience.wait(s)
		case !s.overflow.disabled && s.overflow.in < s.buffering.File:
			s.spillLocked(b)
			if !s.overflow.disabled {
				return nil
			}
		default:
			beforeWait()
			s.room.Wait()
		}
	}
	s.cut = true
	return nil
}

// spillLocked puts a piece into the file. It gives the lock up while it
// writes: the read loop is the only writer.
func (s *stream) spillLocked(b []byte) {
	at := s.overflow.in
	s.overflow.writing = true
	s.mu.Unlock()
	err := s.overflow.spill(b, s.buffering.Dir, at)
	s.mu.Lock()
	s.overflow.writing = false
	switch {
	case s.closed:
		s.overflow.close()
	case err != nil:
		s.overflow.disabled = true // no room on the disk: the socket is the window again
	default:
		s.overflow.in = at + int64(len(b))
	}
}

// openWindow lets n more bytes of an input stream go.
func (s *stream) openWindow(t Type, n uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := &s.stdin
	if t == TypeData {
		in = &s.data
	}
	s.onDemand = false
	var err error
	if in.window, err = addWindow(in.window, n); err != nil {
		return err
	}
	s.more.Signal()
	return nil
}

// clean reports whether all of the request was sent and nobody has given it up.
func (s *stream) clean() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stdinDone && s.err == nil
}

// finish takes END_REQUEST.
func (s *stream) finish(appStatus uint32, status ProtocolStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.appStatus, s.status = true, appStatus, status
	if s.settled != nil && !s.lost {
		close(s.settled)
	}
	s.more.Signal()
}

// fail ends the request with the connection's error.
func (s *stream) fail(err error) {
	s.mu.Lock()
	if s.err == nil && !s.ended {
		s.err = err
	}
	if s.settled != nil && !s.ended && !s.lost {
		close(s.settled)
	}
	s.lost = true
	s.room.Signal()
	s.more.Signal()
	s.mu.Unlock()
	s.signal()
}

// next returns the next piece of STDOUT, valid until the following call. Whoever
// had a write of the piece fail does not call it again: net/http's HTTP/2 may go on
// reading it after that, and it must not be another answer's by then.
// io.EOF comes only after the application ended the request. wait bounds the
// application's time since the moment given, or where that is zero since the wait
// began; 0 means no bound, and ErrTimeout is its end. What the client takes to send
// its body is not the application's.
func (s *stream) next(ctx context.Context, wait time.Duration, since time.Time) ([]byte, error) {
	s.given.free()
	s.grant()
	var due time.Time
	for {
		s.mu.Lock()
		if s.queue.size > 0 {
			s.given = s.queue.pop()
			b := s.given.b
			s.held = int64(len(b))
			s.room.Signal()
			ended := s.ended
			s.mu.Unlock()
			if s.c.window == 0 && !s.looped && !ended {
				s.handOver() // the rest comes off the application whatever becomes of this piece
			}
			return b, nil
		}
		if s.overflow.in > s.overflow.out {
			return s.fetchLocked()
		}
		err := s.endLocked()
		s.waited = s.began
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if s.c.window == 0 && !s.looped {
			if !roomToDrive(wait) {
				s.handOver()
			} else if s.c.drive(s) {
				continue
			}
		}
		if due.IsZero() {
			if since.IsZero() {
				since = time.Now()
			}
			due = since.Add(wait)
		}
		if s.glance(wait) {
			continue
		}
		if err := s.await(ctx, wait, &due); err != nil {
			return nil, err
		}
	}
}

// await waits for news of s, until ctx ends or due, which moves where the
// application has more time than that.
func (s *stream) await(ctx context.Context, wait time.Duration, due *time.Time) error {
	var timer *time.Timer
	var expired <-chan time.Time
	if wait > 0 {
		timer = s.c.startTimer(time.Until(*due))
		defer s.c.stopTimer(timer)
		expired = timer.C
	}
	for {
		select {
		case <-s.news:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-expired:
			more := s.owed(wait)
			if time.Since(*due) > stoodStill {
				more = wait
			}
			if more <= 0 {
				return ErrTimeout
			}
			*due = time.Now().Add(more)
			timer.Reset(more)
		}
	}
}

// stoodStill is how late a timer must be to tell that this process did not run
// (SIGSTOP, a machine that was suspended), and the application likely neither: the
// time was nobody's, and to blame all that was in hand would kill every worker.
const stoodStill = time.Second

// owed returns how much of wait the application still has: the client is to
// send more of its body first, or did so only a while ago.
func (s *stream) owed(wait time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inRead && !s.ended && s.err == nil {
		return wait
	}
	if s.fed.IsZero() {
		return 0
	}
	return wait - time.Since(s.fed)
}

// fetchLocked returns a piece of what is in the file. It gives the lock up.
func (s *stream) fetchLocked() ([]byte, error) {
	in, out := s.overflow.in, s.overflow.out
	s.mu.Unlock()
	b, err := s.overflow.fetch(in, out)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overflow.out = out + int64(len(b))
	s.room.Signal()
	return b, nil
}

func (c *clientConn) startTimer(d time.Duration) *time.Timer {
	if t, ok := c.timers.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

func (c *clientConn) stopTimer(t *time.Timer) {
	t.Stop()
	c.timers.Put(t)
}

// endLocked says how the stream ended, or nil if it has not.
func (s *stream) endLocked() error {
	switch {
	case s.cut:
		return s.err // whatever end was read behind what was dropped
	case s.ended && s.status != StatusRequestComplete:
		return &StatusError{Status: s.status}
	case s.ended:
		return io.EOF
	case s.pumpErr != nil:
		return &BodyError{Err: s.pumpErr}
	case s.err != nil && s.stdoutEnded && s.err == ErrTruncated:
		return io.EOF // §3.3: the stream's own end was there; only the connection is lost
	case s.err != nil:
		return s.err
	}
	return nil
}

// grant gives back the window of what the consumer has used up.
func (s *stream) grant() {
	if s.c.window == 0 {
		return
	}
	s.mu.Lock()
	s.granted += s.held
	s.total += s.held
	s.held = 0
	n := s.granted
	if n < s.limit/2 || s.ended || s.err != nil {
		s.mu.Unlock()
		return
	}
	s.granted = 0
	if s.waited && !s.fixed {
		more := s.c.growth.lend(s.limit, s.limit)
		s.limit += more
		n += more
	}
	s.waited = false
	s.mu.Unlock()
	w := &s.c.out
	w.mu.Lock()
	defer w.mu.Unlock()
	if !s.over && w.err == nil {
		w.pending = AppendWindow(w.pending, s.id, TypeStdout, uint32(n))
		w.flushLocked()
	}
}

// idle reports whether the consumer has all that came: time to flush.
func (s *stream) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.size == 0 && s.overflow.in == s.overflow.out && !s.ended && s.err == nil
}
