package front

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/frontd/frontd/fcgi"
)

// A Gateway is the last stage: it hands a request to one of an application's
// workers and its answer to the client, both as they come. Here, and nowhere
// else, HTTP meets FastCGI.
type Gateway struct {
	Name string
	Pool *fcgi.Pool
	// NeedLength says that the application's runtime takes no body without
	// CONTENT_LENGTH: a chunked one is spooled first. PHP and CGI do.
	NeedLength bool
	// DocumentRoot, if not "", is what CGI programs get as DOCUMENT_ROOT, and
	// PATH_TRANSLATED within it. A Resource has its own.
	DocumentRoot string
	// FewPlaces says that a worker serves few requests at once: none is taken
	// for a body that comes slowly before the whole of it is here.
	FewPlaces bool
	// OnDemand says that the application makes an answer whose length it does not
	// tell as that is asked for: see pace.
	OnDemand bool
	// External says that the workers are not ours: one that cannot be reached
	// is told apart from one that died.
	External bool
	// Stderr, if not nil, gets the lines that a request writes to FCGI_STDERR,
	// whole, each with a newline, several at once as they come. It is called on a
	// connection's read loop: it must not block, nor keep them.
	Stderr func(x *Exchange, lines []byte)
	// Note, if not nil, gets what an operator should know of a request that
	// was answered all the same: a nonzero application status of which its
	// FCGI_STDERR says nothing, a body longer than declared.
	Note func(x *Exchange, what string)
	// Overdue, if not nil, is told of a request that took too long, before its
	// client is. Where it returns true it has seen to it that the worker gets no
	// request any more; else Upstream.Kill is called.
	Overdue func(u *fcgi.Upstream, f Flight, reason string) bool

	mu    sync.Mutex   // guards the fields below
	calls *call        // those in a worker's hands, the latest first
	lost  []lostFlight // taken from workers by their death, the latest
}

// maxRepeats is how often a request that its worker lost goes to another one.
const maxRepeats = 2

// maxDials is how many workers in a row may be found gone before a request that
// none of them was sent is given up. Each stands back when it is, so that the
// next is another one, or comes later.
const maxDials = 16

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := newCall(g, w, r, fcgi.RoleResponder)
	defer c.end()
	if err := c.prepare(); err != nil {
		c.fail(err)
		return
	}
	resp, err := c.ask()
	if err == nil {
		err = c.keepSession(resp)
	}
	if err != nil {
		c.fail(err)
		return
	}
	if resp.LocalRedirect != "" {
		c.redirect(resp)
		return
	}
	if c.handover(resp) {
		return
	}
	if resp.Status >= http.StatusInternalServerError && c.answerFailed(resp) {
		return
	}
	if err := c.answer(resp); err != nil {
		c.fail(err)
	}
}

// A Flight is a request in a worker's hands.
type Flight struct {
	PID    int           `json:"pid"`
	ID     string        `json:"id"`
	Method string        `json:"method"`
	URI    string        `json:"uri"`
	Age    time.Duration `json:"age_ns"`
}

// InFlight returns what the workers have in hand now.
func (g *Gateway) InFlight() []Flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Flight
	now := time.Now()
	for c := g.calls; c != nil; c = c.next {
		list = append(list, c.flight(now))
	}
	return list
}

// Lost returns the requests that the death of a process took out of its
// hands, and forgets them. Those it still holds are in InFlight. A connection that
// ended long before the process was broken off by a worker that lived on.
func (g *Gateway) Lost(pid int) []Flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Flight
	now := time.Now()
	g.lost = slices.DeleteFunc(g.lost, func(f lostFlight) bool {
		if f.PID != pid {
			return false
		}
		if now.Sub(f.at) < lostFor {
			list = append(list, f.Flight)
		}
		return true
	})
	return list
}

// lostFor is the time within which the end of a process follows that of its
// connections: as long as a loaded machine may take to tell of it.
const lostFor = 10 * time.Second

// Slow returns the requests that workers have had in hand for longer than
// Settings.Slow, each once.
func (g *Gateway) Slow() []Flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Flight
	now := time.Now()
	for c := g.calls; c != nil; c = c.next {
		if limit := c.x.Settings.Slow; limit > 0 && !c.slow && now.Sub(c.given) >= limit {
			c.slow = true
			list = append(list, c.flight(now))
		}
	}
	return list
}

// maxLost bounds what is kept for Lost: of more, nobody would read.
const maxLost = 64

// A lostFlight is one whose worker's connection ended under it.
type lostFlight struct {
	Flight
	at time.Time
}

// noteLost keeps what a worker had in hand when its connection ended.
func (g *Gateway) noteLost(c *call) {
	now := time.Now()
	f := lostFlight{c.flight(now), now}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lost) >= maxLost {
		g.lost = append(g.lost[:0], g.lost[1:]...)
	}
	g.lost = append(g.lost, f)
}

func (c *call) flight(now time.Time) Flight {
	return Flight{
		PID: c.x.Worker.PID, ID: c.x.ID, Method: c.r.Method, URI: c.x.RequestURI, Age: now.Sub(c.given),
	}
}

func (g *Gateway) enter(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.next = g.calls
	if c.next != nil {
		c.next.prev = c
	}
	g.calls = c
}

// leave takes a call out of its worker's hands. ended says that the worker
// itself ended it: what was lost before it was given was not lost by a death.
func (g *Gateway) leave(c *call, ended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ended && len(g.lost) > 0 {
		g.lost = slices.DeleteFunc(g.lost, func(f lostFlight) bool {
			return f.PID == c.x.Worker.PID && f.at.Before(c.given)
		})
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		g.calls = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}

// settleShared gives a place at a worker with many of them back when the
// worker is done with the request: one that does not heed the abort still has
// it in hand, and is killed in the end.
func (g *Gateway) settleShared(u *fcgi.Upstream, done <-chan struct{}, patience time.Duration) {
	defer g.Pool.Release(u)
	var expired <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-done:
	case <-expired:
		if u.Kill != nil {
			u.Kill("still busy with a request that was given up")
		}
	}
}

// settle makes sure that a worker of one request at a time, whose request was
// given up, is free before it gets the next: some runtimes go on to the end
// whatever is said to them. It gives the worker back, or has it killed.
func (g *Gateway) settle(u *fcgi.Upstream, patience time.Duration) {
	defer g.Pool.Release(u)
	ctx := context.Background()
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	nc, err := u.Transport.Dial(ctx)
	if err != nil {
		return // its process is gone, or about to be
	}
	defer nc.Close()
	if _, err := fcgi.Probe(ctx, nc); err != nil && ctx.Err() != nil && u.Kill != nil {
		u.Kill("still busy with a request that was given up")
	}
}
