package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// gcHeadroom is how many bytes may be allocated between two collections beyond
// what GOGC=100 allows a small heap. A front keeps little and makes much: with
// a few megabytes alive it would collect fifty times a second under load. More
// would be cheaper still, but memory is to stay flat whatever clients do.
const gcHeadroom = 4 << 20

// paceGC spaces garbage collections while the heap is small. With much alive it
// is Go's default, so memory is never more than gcHeadroom over that; a fixed
// high GOGC would multiply a large heap too. Who sets GOGC decides alone.
func paceGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	afterGC(new(gcPacer))
}

// A gcPacer sets the pace anew after each collection.
type gcPacer struct {
	percent int
	live    [1]metrics.Sample
}

// afterGC has p look at the heap after the next collection, and after each
// that follows: what it is told by is an object that nothing refers to.
func afterGC(p *gcPacer) {
	p.live[0].Name = "/gc/heap/live:bytes"
	runtime.SetFinalizer(new(*gcPacer), func(**gcPacer) {
		p.adjust()
		afterGC(p)
	})
}

func (p *gcPacer) adjust() {
	metrics.Read(p.live[:])
	if percent := gcPercent(p.live[0].Value.Uint64()); percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent) // it stops the world for a moment: not without a change
	}
}

// gcPercent is the GOGC that leaves gcHeadroom at least, in powers of two.
func gcPercent(live uint64) int {
	percent := 100
	for percent < 1600 && uint64(percent)*live/100 < gcHeadroom {
		percent *= 2
	}
	return percent
}
