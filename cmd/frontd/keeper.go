package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/internal/elastic"
	"github.com/frontd/frontd/supervisor"
)

// A keeper looks after the workers of an application while they serve: that
// there are as many as the load needs, that none grows too old or too large,
// and that requests which take long are told of.
type keeper struct {
	// Immutable.
	a      *application
	wake   chan struct{} // capacity 1: something may be to be done
	ctx    context.Context
	cancel context.CancelFunc

	slowest atomic.Int64 // the shortest Settings.Slow of a route to the application; 0: none
	scaling sync.Mutex   // held by who changes the number of workers, as long as that takes
	wanted  atomic.Bool  // a request that begins to wait is news: the number is elastic, and looked at seldom
	beside  errands      // the loop, and what was started beside it

	// Owned by the loop.
	state elastic.State
	looks time.Time // when memory was looked at last
	told  time.Time // when a slow request's stacks were asked for last

	renewing atomic.Int64 // workers whose successors start
}

// How often a keeper looks, by what there is to look at.
const (
	busyLook  = 100 * time.Millisecond // an elastic application with requests
	quietLook = time.Second            // ages and memory, and an elastic application without
	failPause = 10 * time.Second       // before a worker that could not be renewed is tried again
)

func newKeeper(a *application) *keeper {
	k := &keeper{a: a, wake: make(chan struct{}, 1)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

func (k *keeper) start() { k.spawn(func() { k.watch(k.look) }) }

// spawn runs f beside others, and reports whether it does: not after stop.
func (k *keeper) spawn(f func()) bool {
	return k.beside.Go(f) // stop waits for it
}

// stop ends the keeper. Changes that it has begun are given up.
func (k *keeper) stop() {
	k.beside.end()
	k.cancel()
	k.beside.Wait()
}

// poke has the keeper look soon. It never blocks.
func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// waits is told of a request that begins to wait.
func (k *keeper) waits() {
	if k.wanted.Load() {
		k.poke()
	}
}

// watchSlow says that requests are slow after d.
func (k *keeper) watchSlow(d time.Duration) {
	if was := k.slowest.Load(); d > 0 && (was == 0 || int64(d) < was) {
		k.slowest.Store(int64(d))
		k.poke()
	}
}

// watch looks, each time after the pause that the look before said, and when poked.
func (k *keeper) watch(look func() time.Duration) {
	for {
		var due <-chan time.Time
		var t *time.Timer
		if pause := look(); pause > 0 {
			t = time.NewTimer(pause)
			due = t.C
		}
		select {
		case <-k.ctx.Done():
		case <-k.wake:
		case <-due:
		}
		if t != nil {
			t.Stop()
		}
		if k.ctx.Err() != nil {
			return
		}
	}
}

// look does what is to be done and returns when to look again; 0 is when poked.
func (k *keeper) look() time.Duration {
	k.a.mu.Lock()
	group, c := k.a.group, k.a.config
	k.a.mu.Unlock()
	if group == nil {
		return 0
	}
	return k.attend(group, c)
}

// A workforce is what a keeper may do with processes; *supervisor.Group is one.
type workforce interface {
	Count() supervisor.Tally
	Grow(n int) error
	Dismiss(w supervisor.Worker, reason string) bool
}

func (k *keeper) attend(group workforce, c *config.App) time.Duration {
	load := k.a.pool.Look()
	pause := k.scale(group, c.Elastic, load)
	k.wanted.Store(c.Elastic.Max > 0 && (pause == 0 || pause > busyLook))
	if k.wanted.Load() && k.a.pool.Waiting() > load.Waiting {
		pause = busyLook // it came between, and was no news
	}
	pause = sooner(pause, k.recycle(group, load))
	pause = sooner(pause, k.ping(c.Ping, load))
	return sooner(pause, k.tellSlow())
}

// sooner is the shorter of two pauses, of which 0 is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// scale has as many workers as the load needs.
func (k *keeper) scale(group workforce, e config.Elastic, load fcgi.Load) time.Duration {
	if e.Max == 0 {
		return 0
	}
	if !k.scaling.TryLock() {
		return busyLook
	}
	defer k.scaling.Unlock()
	n := group.Count()
	l := elastic.Load{
		Waiting: load.Waiting, Busy: load.Busy, Peak: load.Peak,
		Serving: n.Serving, Starting: n.Starting + len(n.Backoff), Free: len(n.Backoff),
	}
	places := 1
	var idle []fcgi.Occupied
	for _, o := range load.Workers {
		places = max(places, o.Capacity)
		if o.Busy == 0 && !o.Draining {
			idle = append(idle, o)
		}
	}
	l.Free += len(idle)
	bounds := elastic.Bounds{Min: e.Min, Max: e.Max, Spare: e.Spare, Idle: e.Idle, Places: places}
	var do elastic.Decision
	k.state, do = k.state.Next(bounds, l, time.Now())
	if do.Start > 0 {
		if err := group.Grow(do.Start); err != nil {
			k.a.log.Error("no more workers", "app", k.a.name, "error", err)
		} else {
			k.a.log.Info("more workers", "app", k.a.name, "more", do.Start, "waiting", load.Waiting, "busy", load.Busy)
		}
	}
	k.dismiss(group, do.Stop, n.Backoff, idle)
	if do.Stop > 0 && do.Stop == n.Serving+l.Starting {
		k.a.pool.SetFailing(nil, time.Time{}) // nobody tries any more: the next request does
	}
	switch {
	case load.Busy+load.Waiting > 0:
		return busyLook
	case n.Serving+l.Starting+do.Start > 0:
		return min(quietLook, max(e.Idle/4, busyLook))
	}
	return 0
}

func (a *application) isElastic() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.config.Elastic.Max > 0
}

// scaleElastic makes n the fewest workers of an elastic application, and the
// most too where that is less. It returns when so many are ready; those that
// are too many go when they are idle.
func (a *application) scaleElastic(ctx context.Context, n int) error {
	a.keeper.scaling.Lock()
	defer a.keeper.scaling.Unlock()
	now := a.group.Count()
	if n > now.Serving+now.Starting+len(now.Backoff) {
		if err := a.scaleGroup(ctx, n); err != nil {
			return err
		}
	}
	a.mu.Lock()
	c := *a.config
	a.mu.Unlock()
	c.Elastic.Min, c.Elastic.Max = n, max(n, c.Elastic.Max)
	a.adopt(&c)
	a.mu.Lock()
	a.scaled = true
	a.mu.Unlock()
	return nil
}

// scaleGroup has n workers. Where that fails and nobody is left who tries to start one,
// nothing is failing any more: the next request begins anew.
func (a *application) scaleGroup(ctx context.Context, n int) error {
	err := a.group.Scale(ctx, n)
	if now := a.group.Count(); err != nil && now.Serving+now.Starting+len(now.Backoff) == 0 {
		a.pool.SetFailing(nil, time.Time{})
	}
	return err
}

// dismiss stops n workers: first those that do not come up, then those that
// were idle longest.
func (k *keeper) dismiss(group workforce, n int, failing []supervisor.Worker, idle []fcgi.Occupied) {
	slices.SortFunc(idle, func(a, b fcgi.Occupied) int { return cmp.Compare(a.Used, b.Used) })
	for ; n > 0 && len(failing) > 0; n-- {
		group.Dismiss(failing[0], "not needed")
		failing = failing[1:]
	}
	for _, o := range idle[:min(n, len(idle))] {
		if h := k.a.hand(o.Upstream); h != nil {
			group.Dismiss(h.worker, "idle")
		}
	}
}

// A hand is a worker as the keeper sees it, with the limits of its life.
type hand struct {
	worker supervisor.Worker
	limit  config.Recycle // with chance taken off
	until  time.Time      // its age's; zero is no bound

	renewing atomic.Bool

	answers bool      // it says what it is able to, and so whether it lives
	asked   time.Time // when it was asked last whether it does; the keeper's loop's
}

// newHand says when a worker has to go. tired is called after its last request.
func newHand(u *fcgi.Upstream, w supervisor.Worker, c config.Recycle, tired func()) *hand {
	less := 1 - c.Jitter*rand.Float64()
	h := &hand{worker: w, limit: c}
	if c.Requests > 0 {
		h.limit.Requests = max(1, int(float64(c.Requests)*less))
		u.Limit, u.Tired = uint64(h.limit.Requests), tired
	}
	h.limit.Memory = int64(float64(c.Memory) * less)
	if c.Age > 0 {
		h.until = w.Started.Add(time.Duration(float64(c.Age) * less))
	}
	return h
}

// worn says why a worker has to go, "" if it has not.
func (h *hand) worn(served uint64, weigh bool) (supervisor.Cause, string) {
	switch {
	case h.limit.Requests > 0 && served >= uint64(h.limit.Requests):
		return supervisor.CauseRequests, fmt.Sprintf("recycled after %d requests", served)
	case !h.until.IsZero() && !time.Now().Before(h.until):
		return supervisor.CauseAge, fmt.Sprintf("recycled at the age of %v", time.Since(h.worker.Started).Round(time.Second))
	case weigh && h.limit.Memory > 0:
		if rss := supervisor.ResidentTree(h.worker.PID); rss >= h.limit.Memory {
			return supervisor.CauseMemory, fmt.Sprintf("recycled with %d MiB of memory", rss>>20)
		}
	}
	return "", ""
}

func (a *application) hand(u *fcgi.Upstream) *hand {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hands[u]
}

// recycle renews workers that have reached a limit: of four at most one at a
// time, and none while as many as serve are still on their way out.
func (k *keeper) recycle(group workforce, load fcgi.Load) time.Duration {
	now := time.Now()
	weigh := now.Sub(k.looks) >= quietLook
	if weigh {
		k.looks = now
	}
	var pause time.Duration
	for _, o := range load.Workers {
		h := k.a.hand(o.Upstream)
		if h == nil || o.Draining || h.renewing.Load() {
			continue
		}
		if h.limit.Memory > 0 || !h.until.IsZero() {
			pause = quietLook
		}
		cause, reason := h.worn(o.Served, weigh)
		if cause == "" {
			continue
		}
		n := group.Count()
		if k.renewing.Load() >= int64(max(1, n.Serving/4)) || n.Leaving > max(1, n.Serving) {
			return busyLook // one that is done pokes, one that leaves does not
		}
		h.renewing.Store(true)
		k.renewing.Add(1)
		k.spawn(func() { k.renew(h, cause, reason) })
	}
	return pause
}

// renew has a new worker take the place of one. If none comes up, the old one
// stays and is tried again later.
func (k *keeper) renew(h *hand, cause supervisor.Cause, reason string) {
	k.a.mu.Lock()
	group := k.a.group
	k.a.mu.Unlock()
	_, err := group.Renew(k.ctx, h.worker, cause, reason)
	k.renewing.Add(-1)
	k.poke()
	if err == nil || k.ctx.Err() != nil {
		return
	}
	k.a.log.Error("worker not recycled", "app", k.a.name, "pid", h.worker.PID, "error", brief(err))
	again := time.NewTimer(failPause)
	defer again.Stop()
	select {
	case <-again.C:
		h.renewing.Store(false)
		k.poke()
	case <-k.ctx.Done():
	}
}
