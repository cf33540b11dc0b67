// Package gcpace spaces garbage collections of processes that keep little and make much.
package gcpace

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

var once sync.Once

// Start spaces garbage collections while the heap is small: the next one comes at
// 8 to 12 MiB. A front, or a worker, with a few megabytes alive would collect at
// 4 MiB, fifty times a second under load. More would be cheaper still, but memory
// is to stay flat whatever clients do: with 4 MiB alive or more the pace is Go's
// default, where a fixed high GOGC would multiply a large heap too. Who sets GOGC, in the environment
// or with debug.SetGCPercent, decides alone. The second and later calls do nothing.
func Start() {
	once.Do(func() {
		if os.Getenv("GOGC") == "" && current() == defaultPercent {
			afterGC(&pacer{percent: defaultPercent})
		}
	})
}

const defaultPercent = 100 // GOGC where nobody says anything

// current returns GOGC as it is now; setting it to find out would stop the world.
func current() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64()) // of "off", which is all bits set, -1
}

// A pacer sets the pace anew after each collection.
type pacer struct {
	percent int // that it set last
	live    [1]metrics.Sample
}

// afterGC has p look at the heap after the next collection, and after each
// that follows: what it is told by is an object that nothing refers to.
func afterGC(p *pacer) {
	p.live[0].Name = "/gc/heap/live:bytes"
	runtime.SetFinalizer(new(*pacer), func(**pacer) {
		if p.adjust() {
			afterGC(p)
		}
	})
}

// adjust reports whether the pace is still its to set.
func (p *pacer) adjust() bool {
	if current() != p.percent {
		return false // the application has its own mind
	}
	metrics.Read(p.live[:])
	if percent := percentFor(p.live[0].Value.Uint64()); percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent) // it stops the world for a moment: not without a change
	}
	return true
}

// percentFor is the GOGC for so many bytes alive. It multiplies also the least heap
// that is collected at all, which is 4 MiB at 100: so 300 is 12 MiB, with next to
// nothing alive, and never more.
func percentFor(live uint64) int {
	switch {
	case live < 2<<20:
		return 300
	case live < 4<<20:
		return 200
	}
	return defaultPercent
}
