package front

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/frontd/frontd/fcgi"
)

// A call is one request on its way through the gateway. It serves one after
// another: see end.
type call struct {
	g    *Gateway
	w    http.ResponseWriter
	r    *http.Request
	x    *Exchange
	rc   http.ResponseController
	role fcgi.Role

	body   *upload // nil: none
	upload upload  // that body is
	cgi    fcgi.CGI
	params fcgi.Params
	req    fcgi.Request
	stderr stderrLines
	queued time.Time
	given  time.Time // when a worker got it

	attempts int
	dials    int // attempts that found no worker behind the socket
	resp     *fcgi.Response
	piece    []byte              // of resp, taken before its head was sent
	dropped  int                 // bytes of an answer that has no body
	busy     interface{ Wait() } // still reads the body
	unclean  bool                // given up before its end
	late     bool                // it took too long, and that was told
	evicted  bool                // its worker gets no other request, and goes
	settled  <-chan struct{}     // closed when the worker is done with it all the same
	last     *fcgi.Upstream      // that had it in hand last
	spool    *spool              // nil: the body is not here as a whole

	// Guarded by g.mu.
	prev, next *call // in g.calls
	slow       bool  // told by Slow

	mu       sync.Mutex     // guards the fields below, and Exchange.WorkerTime
	upstream *fcgi.Upstream // in whose hands it is, or nil
	holding  int            // the attempt that is
	told     bool           // the first attempt's end was

	// Immutable, made once.
	onInterim func(int, http.Header)
	onEnd     func() // of the first attempt
	onStderr  func([]byte)
	onOverdue func()
}

var calls = sync.Pool{New: func() any {
	c := new(call)
	c.onInterim, c.onStderr = c.interim, c.stderr.write
	c.onEnd = func() { c.ended(1) }
	c.onOverdue = c.overdue
	return c
}}

func newCall(g *Gateway, w http.ResponseWriter, r *http.Request, role fcgi.Role) *call {
	c := calls.Get().(*call)
	c.g, c.w, c.r, c.x, c.role = g, w, r, ExchangeOf(r), role
	c.rc = *http.NewResponseController(w)
	c.x.App = g.Name
	c.queued = time.Now()
	c.stderr.begin(g, c.x)
	return c
}

// prepare makes the parameters, and the body ready to be sent.
func (c *call) prepare() error {
	length := int64(0)
	if c.hasBody() {
		// HTTP/1 servers read the rest of a body before they answer, unless
		// told: a client that sends slowly would wait for an answer that is
		// there. HTTP/2, where it is always so, refuses the call: no matter.
		c.rc.EnableFullDuplex()
		var err error
		if length, err = c.takeBody(); err != nil {
			return err
		}
	}
	fcgi.AppendCGI(&c.params, c.r, c.meta(), length)
	if n := c.x.session(); n != nil {
		c.addSession(n)
	}
	if err := c.params.Err(); err != nil {
		return err
	}
	if rt := c.x.Route; rt != nil && len(rt.Variables) > 0 && c.role == fcgi.RoleResponder {
		c.params = withVariables(&c.params, rt.Variables)
	}
	if len(c.x.Variables) > 0 {
		c.params = withVariables(&c.params, c.x.Variables)
	}
	return c.params.Err()
}

func (c *call) hasBody() bool {
	return c.role == fcgi.RoleResponder && c.r.Body != nil && c.r.Body != http.NoBody && c.r.ContentLength != 0
}

// ask gives the request to a worker, and to another one if it is lost and
// that is safe, and returns the head of the answer.
func (c *call) ask() (*fcgi.Response, error) {
	turn := fcgi.Turn{Timeout: c.x.Settings.QueueTimeout}
	for {
		u, err := c.g.Pool.Acquire(c.r.Context(), turn)
		c.given = time.Now()
		c.x.Queue = c.given.Sub(c.queued)
		if err != nil {
			return nil, err
		}
		c.hold(u)
		resp, err := u.Transport.RoundTrip(c.r.Context(), c.request())
		if err == nil {
			c.pace(resp)
			if err = c.begun(resp); err == nil {
				c.resp = resp
				c.giveWay()
				return resp, nil
			}
		}
		c.doubt(u, err)
		if lost, ok := errors.AsType[*fcgi.RequestError](err); ok {
			c.settled = lost.Settled()
		}
		if !c.again(err) {
			return nil, err
		}
		c.release()
		c.settled, c.stderr.traced = nil, false
		c.queued = time.Now()
		turn.Lost = u
	}
}

// giveWay lets the request go first that has the place of this one, where that was
// given back with the whole answer: a worker waits for it, and the client of this
// one only for as long as it takes to be sent. Where Go has more than one
// processor, another one has it in hand already.
func (c *call) giveWay() {
	c.mu.Lock()
	over := c.upstream == nil
	c.mu.Unlock()
	if over && c.g.Pool.Waiting() > 0 && runtime.GOMAXPROCS(0) == 1 {
		runtime.Gosched()
	}
}

// begun takes what is here of the body before the head is sent: as long as the
// client has nothing, a request that is safe to repeat may be lost.
func (c *call) begun(resp *fcgi.Response) error {
	if resp.Idle() || !idempotent(c.r.Method) {
		return nil
	}
	b, err := resp.Next()
	if err != nil && died(err) {
		return resp.Lose(err)
	}
	c.piece = b // any other error is there for the next Next, too
	return nil
}

// doubt says that a worker may have died, where that is what err tells.
func (c *call) doubt(u *fcgi.Upstream, err error) {
	var dial *fcgi.DialError
	unsent := errors.As(err, &dial)
	switch {
	case exhausted(err) || errors.Is(err, fcgi.ErrTimeout) || c.r.Context().Err() != nil || !unsent && !died(err):
		return
	case !unsent:
		c.g.noteLost(c)
	}
	if !c.g.External {
		c.g.Pool.Suspect(u)
	}
}

func (c *call) hold(u *fcgi.Upstream) {
	c.attempts++
	c.last = u
	c.x.Attempts++
	c.x.Worker = Worker{PID: u.PID, Name: u.Name}
	c.mu.Lock()
	c.upstream, c.holding = u, c.attempts
	c.mu.Unlock()
	c.g.enter(c)
}

// ended gives the worker back that has ended the request. It is called on the
// connection's read loop: a client that still reads what is here holds no worker.
// attempt tells which one that was: the end of one that was given up may still
// be read when another worker has the request.
func (c *call) ended(attempt int) {
	pool := c.g.Pool // the call may be another request's as soon as it is let go
	if u := c.letGo(attempt, true); u != nil {
		pool.Release(u)
	}
}

// release gives the worker back where that was not done yet. One that was
// given up in the middle comes back when it is known to be free.
func (c *call) release() {
	u := c.letGo(c.attempts, false)
	switch {
	case u == nil:
	case c.evicted: // nobody waits for this place
		c.g.Pool.Release(u)
	case c.unclean && (u.Transport.Flow || u.Transport.Settle) && c.settled != nil:
		go c.g.settleShared(u, c.settled, c.x.Settings.RequestTimeout)
		// Its end gives the place back to the pool.
	case c.unclean && u.Capacity == 1:
		go c.g.settle(u, c.x.Settings.RequestTimeout)
		// Its end gives the worker back to the pool.
	default:
		c.g.Pool.Release(u)
	}
}

// letGo returns the worker of an attempt to the one caller who is to give it
// back. told says that the worker has ended that attempt.
func (c *call) letGo(attempt int, told bool) *fcgi.Upstream {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = c.told || told && attempt == 1
	if attempt != c.holding {
		return nil
	}
	u := c.upstream
	if u != nil {
		c.g.leave(c, told)
		c.upstream = nil
		c.x.WorkerTime = time.Since(c.given)
	}
	return u
}

func (c *call) request() *fcgi.Request {
	c.req = fcgi.Request{
		Role: c.role, Params: &c.params,
		NoBody:       c.r.Method == http.MethodHead,
		HeadTimeout:  c.headTimeout(),
		PieceTimeout: c.x.Settings.RequestTimeout,
		Interim:      c.onInterim,
		Buffer:       fcgi.Buffering{Memory: int(c.x.Settings.ResponseBuffer)}, // a file: pace
		OnEnd:        c.onEnd,
		Overdue:      c.onOverdue,
	}
	if attempt := c.attempts; attempt > 1 {
		c.req.OnEnd = func() { c.ended(attempt) }
	}
	if c.stderr.wanted() {
		c.req.Stderr = c.onStderr
	}
	if b := c.spool.inline(); len(b) > 0 {
		c.req.Body = b
	} else if c.body != nil {
		c.req.Stdin = c.body
		// What is not here yet stays with the client until it is asked for: before
		// 100 Continue (strict lets no other Expect in), and where it is much.
		c.req.Hold = c.spool == nil && (len(c.r.Header["Expect"]) > 0 || uint64(c.r.ContentLength) > maxSpoolMemory)
	}
	return &c.req
}

func (c *call) headTimeout() time.Duration {
	s := c.x.Settings
	if s.FirstByteTimeout > 0 && (s.RequestTimeout == 0 || s.FirstByteTimeout < s.RequestTimeout) {
		return s.FirstByteTimeout
	}
	return s.RequestTimeout
}

// again decides whether a request that was not answered goes to another
// worker: one reason a branch.
func (c *call) again(err error) bool {
	var dial *fcgi.DialError
	var refused *fcgi.StatusError
	var lost *fcgi.RequestError
	if errors.As(err, &lost) && lost.BodyBusy() {
		if !died(err) && !errors.As(err, &refused) || !c.body.keepsAll(c.r.ContentLength) {
			c.busy = lost
			return false // its body is in another's hands
		}
		lost.Wait() // for no longer than a client may take to send the little there is
	}
	if errors.As(err, &dial) && !c.g.External {
		c.dials++ // no repetition: nothing was sent
	}
	switch {
	case c.attempts-c.dials > maxRepeats || c.dials > maxDials || c.r.Context().Err() != nil:
		return false
	case exhausted(err):
		return false // the next worker's connection needs a descriptor as well
	case !c.body.rewind():
		return false // bytes of the body are gone
	case errors.Is(err, fcgi.ErrTimeout):
		return false // it took too long once
	case errors.As(err, &dial):
		return true // nothing was sent
	case errors.As(err, &refused) && lost != nil && !lost.Began:
		// Refused before the application saw it (§5.5).
		return refused.Status == fcgi.StatusOverloaded || refused.Status == fcgi.StatusCantMultiplex
	case !died(err):
		return false // it was answered, however badly, or took too long
	case lost == nil:
		return false
	}
	// RFC 9110 §9.2.2. What there was of the answer, nobody has seen.
	return idempotent(c.r.Method)
}

// died reports whether err is the loss of a connection, that is of a worker.
func died(err error) bool {
	var op *net.OpError
	return errors.Is(err, fcgi.ErrTruncated) || errors.As(err, &op)
}

// exhausted reports whether err is this process's own want of descriptors, ports
// or memory: it says nothing of the worker.
func exhausted(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL:
		return true
	}
	return false
}

func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// finish ends what there is with the worker; the client's answer is complete.
func (c *call) finish() {
	if c.resp != nil {
		c.resp.Close()
		if c.unclean {
			c.settled = c.resp.Settled()
		}
		if c.resp.BodyBusy() {
			c.busy = c.resp
		}
		c.resp = nil
	}
	if c.stderr.wanted() {
		c.stderr.close()
	}
	c.release()
}

// end leaves nothing behind, however the request ended. The call's memory is
// used again where nobody else can have hold of it: no worker ever had the
// request, or the only one has ended it. Else a late end may still come.
func (c *call) end() {
	c.finish()
	c.endBody()
	if c.spool != nil {
		c.spool.Close()
	}
	c.mu.Lock()
	alone := c.attempts == 0 || c.attempts == 1 && c.told
	c.mu.Unlock()
	if alone {
		c.recycle()
	}
}

// Bounds of the memory that an unused call holds for parameters, and for stderr.
const (
	maxParamsKept = 16 << 10
	maxLinesKept  = 16 << 10
)

func (c *call) recycle() {
	params, partial, lines := c.params, c.stderr.partial[:0], c.stderr.lines[:0]
	params.Reset()
	if params.Cap() > maxParamsKept {
		params = fcgi.Params{}
	}
	if cap(lines) > maxLinesKept {
		lines = nil
	}
	*c = call{params: params, onInterim: c.onInterim, onEnd: c.onEnd, onStderr: c.onStderr, onOverdue: c.onOverdue}
	c.stderr.partial, c.stderr.lines = partial, lines
	calls.Put(c)
}

// endBody ends the reading of a body that is not at its end. Nobody wants the
// rest: what is here already is thrown away, for net/http must not come to the
// body's end by itself after a handler in full duplex (it would start to watch
// the connection while it reads the next request); what is not here is not
// waited for, and the connection is not used again.
func (c *call) endBody() {
	if c.spool != nil && c.busy != nil {
		c.busy.Wait() // for a read of what is here
		c.busy = nil
	}
	if c.body == nil || c.spool != nil || c.busy == nil && c.body.err == io.EOF {
		return
	}
	c.body.stop(&c.rc)
	if c.busy != nil {
		c.busy.Wait()
		c.busy = nil
	}
	if c.body.read > 0 || len(c.r.Header["Expect"]) == 0 { // else reading would send 100 Continue
		c.body.discard()
	}
}
