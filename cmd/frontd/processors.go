package main

import (
	"context"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// While requests wait for workers, the workers need the CPUs, and more of them
// for frontd would make nothing faster: its threads would wake one another for each
// request, look for work and sleep again, which is a fifth of what a small request
// to a worker of one place costs (two CPUs, 32 connections). So for that time Go runs
// frontd on half of the CPUs. Who sets GOMAXPROCS in frontd's environment decides alone.
//
// Requests may wait for another reason too: an application that waits for its
// database needs no CPU, and the neighbours' requests shall not pay for it. A frontd
// that has used up its half while CPUs lie idle has all again.
const (
	crowdPause = 250 * time.Millisecond // between two looks
	crowdLooks = 2                      // in a row that find requests waiting: frontd has half of the CPUs
	calmLooks  = 40                     // in a row that find none: it has all again

	// Of frontd's own CPUs in use, and of all CPUs idle, from where on what is
	// short is frontd.
	crowdFull = 0.9
	crowdIdle = 0.1
)

// A crowding follows whether requests wait for workers. One goroutine uses it.
type crowding struct {
	crowded, calm int // looks in a row that found requests waiting, and none
	halved        bool
	vain          bool // the last time the workers did not need what frontd gave up
}

// look takes what was seen at a look: whether requests wait, the part of the
// CPUs that frontd may use, 1 for all of these, which it has used since the last
// one, and the part of all CPUs that nobody has used. It reports whether frontd is
// to have half of the CPUs.
func (c *crowding) look(waiting bool, used, idle float64) bool {
	if waiting {
		c.crowded, c.calm = c.crowded+1, 0
	} else {
		c.crowded, c.calm = 0, c.calm+1
	}
	looks := crowdLooks
	if c.vain {
		looks = calmLooks // it may have changed
	}
	switch {
	case c.halved && used > crowdFull && (!waiting || idle > crowdIdle):
		c.halved, c.vain, c.crowded = false, waiting, 0
	case c.crowded >= looks:
		c.halved = true
	case c.calm >= calmLooks:
		c.halved, c.vain = false, false
	}
	return c.halved
}

// over reports that there is nothing to look for until a request waits.
func (c *crowding) over() bool { return !c.halved && !c.vain && c.calm > 0 }

// A crowd tells when requests begin to wait.
type crowd struct {
	asleep atomic.Bool // nobody looks
	wake   chan struct{}
}

func newCrowd() *crowd { return &crowd{wake: make(chan struct{}, 1)} }

// waits is told of a request that begins to wait. It is called with a pool's lock.
func (c *crowd) waits() {
	if c.asleep.Load() && c.asleep.CompareAndSwap(true, false) {
		select {
		case c.wake <- struct{}{}:
		default: // it is on its way
		}
	}
}

// shareProcessors gives frontd the processors that it is to have until ctx ends.
// While no request waits it sleeps.
func (d *daemon) shareProcessors(ctx context.Context) {
	all := runtime.GOMAXPROCS(0)
	if all == 1 || os.Getenv(goProcs) != "" {
		return
	}
	tick := time.NewTicker(crowdPause)
	defer tick.Stop()
	var c crowding
	spent, halved := spend(), false
	for {
		select {
		case <-tick.C:
		case <-d.crowd.wake:
			tick.Reset(crowdPause)
			spent = spend()
			continue
		case <-ctx.Done():
			return // as it is: it ends, or its heir serves
		}
		before := spent
		spent = spend()
		used, idle := spent.since(before)
		if want := c.look(d.isCrowded(), used, idle); want != halved {
			halved = want
			if halved { // each of both stops the world for a moment: not without a change
				runtime.GOMAXPROCS((runtime.GOMAXPROCS(0) + 1) / 2)
			} else {
				runtime.SetDefaultGOMAXPROCS() // and it follows a container's limit again
			}
		}
		if c.over() {
			tick.Stop()
			d.crowd.asleep.Store(true)
			if d.isCrowded() { // since the look
				d.crowd.waits()
			}
		}
	}
}

// isCrowded reports whether requests wait for workers that are ours, and so on this machine.
func (d *daemon) isCrowded() bool {
	for _, a := range d.apps.all() {
		if !a.gateway.External && a.pool.Waiting() > 0 {
			return true
		}
	}
	return false
}

// A spending is what had been used of the CPUs by then.
type spending struct {
	at   time.Time
	own  time.Duration // by frontd, without its children
	idle time.Duration // by nobody; 0 where it is not known
}

func spend() spending {
	return spending{at: time.Now(), own: ownTime(), idle: idleTime()}
}

// since returns the part of the CPUs that frontd may use which it has used, and
// the part of all CPUs that nobody has.
func (s spending) since(before spending) (used, idle float64) {
	took := float64(s.at.Sub(before.at))
	if took <= 0 {
		return 0, 0
	}
	return float64(s.own-before.own) / took / float64(runtime.GOMAXPROCS(0)), float64(s.idle-before.idle) / took / float64(numCPU())
}

// ownTime returns what this process has used of the CPUs, without its children.
func ownTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
