package main

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/supervisor"
)

// Bounds of the stacks that a worker writes when asked.
const (
	dumpTime  = time.Second            // in all; the first line comes within it or not at all
	dumpQuiet = 150 * time.Millisecond // after the last line
	dumpFirst = 50 * time.Millisecond  // for its first line, as long as the request is still at work
	dumpBytes = 256 << 10
	dumpLines = 4096

	slowEvery = time.Second // between two stacks of slow requests of one application
)

// A held request is one that a worker has had in hand for too long, or for
// long, with what the worker said it was doing.
type heldRequest struct {
	front.Flight
	Worker supervisor.Worker
	Slow   bool     // it goes on; else the worker is replaced
	Stacks []string // lines of the worker's stderr; nil where it cannot tell
}

// dumpsStacks says whether a kind of worker answers SIGQUIT with stacks that tell what
// the application does, and lives on. php-cgi and most other programs die of it; one of
// CGI tells its own, which wait for a program and say nothing of that.
func dumpsStacks(k app.Kind) bool {
	switch k {
	case app.Demo, app.Go, app.WSGI:
		return true
	}
	return false
}

// overdue frees the worker of a request that took too long: no other request
// goes to it, its successor starts at once, it tells what it is doing, may end
// what else it has in hand, and is ended.
func (a *application) overdue(u *fcgi.Upstream, f front.Flight, reason string) bool {
	h := a.hand(u)
	if h == nil {
		return false
	}
	a.pool.Retire(u)
	said := a.ask(h.worker)
	if said != nil {
		said.awaitFirst()
	}
	told := a.keeper.spawn(func() {
		a.evict(u, supervisor.CauseTimeout, reason)
		a.hold(h.worker, f, said, false)
	})
	if !told && said != nil {
		a.dumps.end(h.worker)
	}
	return told
}

// evict ends a worker that holds what will not end.
func (a *application) evict(u *fcgi.Upstream, cause supervisor.Cause, reason string) bool {
	h := a.hand(u)
	a.mu.Lock()
	group := a.group
	a.mu.Unlock()
	if h == nil || group == nil {
		return false
	}
	a.pool.Retire(u)
	return group.Evict(h.worker, cause, reason)
}

// ask has a worker tell its stacks, nil if it cannot or was asked already.
func (a *application) ask(w supervisor.Worker) *dump {
	a.mu.Lock()
	group := a.group
	a.mu.Unlock()
	if group == nil {
		return nil
	}
	said := a.dumps.begin(w, dumpsStacks(a.kind))
	if said != nil {
		group.Dump(w)
	}
	return said
}

// hold gathers the stacks of a worker, nil if it was not asked, and tells of
// the request.
func (a *application) hold(w supervisor.Worker, f front.Flight, said *dump, slow bool) {
	r := heldRequest{Flight: f, Worker: w, Slow: slow}
	if said != nil {
		r.Stacks = said.gather(a.keeper.ctx)
		a.dumps.end(w)
	}
	what := "request took too long, its worker is replaced"
	if slow {
		what = "slow request"
	}
	a.log.Warn(what, "app", a.name, "pid", w.PID, "slot", w.Slot, "id", f.ID, "method", f.Method, "uri", f.URI,
		"age", f.Age.Round(time.Millisecond), "stack_lines", len(r.Stacks))
	if a.held != nil {
		a.held(r)
	}
}

// tellSlow tells of requests that have become slow, with stacks for one a
// second, and returns when to look again.
func (k *keeper) tellSlow() time.Duration {
	limit := time.Duration(k.slowest.Load())
	if limit == 0 {
		return 0
	}
	for _, f := range k.a.gateway.Slow() {
		k.a.mu.Lock()
		var h *hand
		for u, o := range k.a.hands {
			if u.PID == f.PID {
				h = o
			}
		}
		k.a.mu.Unlock()
		if h == nil {
			continue
		}
		var said *dump
		if time.Since(k.told) >= slowEvery {
			if said = k.a.ask(h.worker); said != nil {
				k.told = time.Now()
			}
		}
		if !k.spawn(func() { k.a.hold(h.worker, f, said, true) }) && said != nil {
			k.a.dumps.end(h.worker)
		}
	}
	return min(max(limit/4, 20*time.Millisecond), quietLook)
}

// dumps are the workers that are asked for their stacks.
type dumps struct {
	count atomic.Int64 // of the map: a look without the lock

	mu sync.Mutex
	of map[uint64]*dump // by generation
}

// A dump is what a worker writes to stderr while it is asked for its stacks.
type dump struct {
	lines chan string   // capacity dumpLines; what is over is dropped
	first chan struct{} // closed with the first line
	once  sync.Once
	done  chan struct{} // closed by end
}

// begin listens to a worker. nil: it cannot tell, or is being listened to.
func (d *dumps) begin(w supervisor.Worker, can bool) *dump {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !can || d.of[w.Generation] != nil {
		return nil
	}
	if d.of == nil {
		d.of = make(map[uint64]*dump)
	}
	said := &dump{lines: make(chan string, dumpLines), first: make(chan struct{}), done: make(chan struct{})}
	d.of[w.Generation] = said
	d.count.Add(1)
	return said
}

// end stops listening to a worker, if anybody does.
func (d *dumps) end(w supervisor.Worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if said := d.of[w.Generation]; said != nil {
		delete(d.of, w.Generation)
		d.count.Add(-1)
		close(said.done)
	}
}

// await returns when nobody listens to a worker any more, or ctx ends.
func (d *dumps) await(ctx context.Context, w supervisor.Worker) {
	d.mu.Lock()
	said := d.of[w.Generation]
	d.mu.Unlock()
	if said == nil {
		return
	}
	select {
	case <-said.done:
	case <-ctx.Done():
	}
}

// wrote takes a line that a worker wrote. It does not keep line.
func (d *dumps) wrote(w supervisor.Worker, stream string, line []byte) {
	if d.count.Load() == 0 || stream != "stderr" {
		return
	}
	d.mu.Lock()
	said := d.of[w.Generation]
	d.mu.Unlock()
	if said == nil {
		return
	}
	said.once.Do(func() { close(said.first) })
	select {
	case said.lines <- strings.ToValidUTF8(string(line), "\uFFFD"):
	default:
	}
}

// awaitFirst waits for the first line, for a moment.
func (s *dump) awaitFirst() {
	t := time.NewTimer(dumpFirst)
	defer t.Stop()
	select {
	case <-s.first:
	case <-t.C:
	}
}

// gather returns what comes until nothing more does, within its bounds.
func (s *dump) gather(ctx context.Context) []string {
	var list []string
	size := 0
	limit := time.NewTimer(dumpTime)
	defer limit.Stop()
	var quiet <-chan time.Time
	for size < dumpBytes && len(list) < dumpLines {
		select {
		case line := <-s.lines:
			list = append(list, line)
			size += len(line) + 1
			quiet = time.After(dumpQuiet)
		case <-quiet:
			return list
		case <-limit.C:
			return list
		case <-ctx.Done():
			return list
		}
	}
	return list
}
