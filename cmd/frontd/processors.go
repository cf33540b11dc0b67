package main

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"time"
)

// While requests wait for workers, the workers need the CPUs, and more of them
// for frontd would make nothing faster: its threads would wake one another for each
// request, look for work and sleep again, which is a fifth of what a small request
// to a worker of one place costs (two CPUs, 32 connections). So for that time Go runs
// frontd on half of the CPUs. Who sets GOMAXPROCS in frontd's environment decides alone.
const (
	crowdPause = 250 * time.Millisecond // between two looks
	crowdLooks = 2                      // in a row that find requests waiting: frontd has half of the CPUs
	calmLooks  = 40                     // in a row that find none: it has all again
)

// A crowding follows whether requests wait for workers. One goroutine uses it.
type crowding struct {
	crowded, calm int // looks in a row that found requests waiting, and none
	halved        bool
}

// look takes what was seen at a look: whether requests wait, and the part of the
// CPUs that frontd may use, 1 for all of these, which it has used since the last
// one. It reports whether frontd is to have half of the CPUs. A frontd that has no
// other bound than that half gets all as soon as nobody waits: then the workers are
// not what is short.
func (c *crowding) look(waiting bool, used float64) bool {
	if waiting {
		c.crowded, c.calm = c.crowded+1, 0
	} else {
		c.crowded, c.calm = 0, c.calm+1
	}
	switch {
	case c.crowded >= crowdLooks:
		c.halved = true
	case c.calm >= calmLooks, c.calm > 0 && used > 0.9:
		c.halved = false
	}
	return c.halved
}

// shareProcessors gives frontd the processors that it is to have until ctx ends.
func (d *daemon) shareProcessors(ctx context.Context) {
	all := runtime.GOMAXPROCS(0)
	if all == 1 || os.Getenv(goProcs) != "" {
		return
	}
	tick := time.NewTicker(crowdPause)
	defer tick.Stop()
	var c crowding
	halved, last, spent := false, time.Now(), ownTime()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return // as it is: it ends, or its heir serves
		}
		now, cpu := time.Now(), ownTime()
		used := float64(cpu-spent) / float64(now.Sub(last)) / float64(runtime.GOMAXPROCS(0))
		last, spent = now, cpu
		if want := c.look(d.isCrowded(), used); want == halved {
			continue
		}
		halved = !halved
		if halved { // each of both stops the world for a moment: not without a change
			runtime.GOMAXPROCS((runtime.GOMAXPROCS(0) + 1) / 2)
		} else {
			runtime.SetDefaultGOMAXPROCS() // and it follows a container's limit again
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

// ownTime returns what this process has used of the CPUs, without its children.
func ownTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
