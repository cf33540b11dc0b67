package metrics

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the buckets that durations are counted in.
// They tell a proxy's own 100 us from an application's 5 ms, and reach as far
// as the timeouts usually do; one bucket more holds what is longer.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second,
}

const buckets = len(Bounds) + 1

// A histogram counts durations. Its count is the sum of its buckets, so that
// the two never disagree, whenever they are read.
type histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Counts are a moment's numbers of a histogram, each bucket's own.
type Counts struct {
	Buckets [buckets]uint64
	Sum     time.Duration
}

func (h *histogram) read() (c Counts) {
	for i := range h.counts {
		c.Buckets[i] = h.counts[i].Load()
	}
	c.Sum = time.Duration(h.sum.Load())
	return c
}

// Count is how many durations there are.
func (c *Counts) Count() (n uint64) {
	for _, b := range c.Buckets {
		n += b
	}
	return n
}

func (c *Counts) add(o Counts) {
	for i, b := range o.Buckets {
		c.Buckets[i] += b
	}
	c.Sum += o.Sum
}

// since is what came after an earlier moment of the same histogram.
func (c *Counts) since(earlier *Counts) (d Counts) {
	for i := range c.Buckets {
		d.Buckets[i] = c.Buckets[i] - earlier.Buckets[i]
	}
	d.Sum = c.Sum - earlier.Sum
	return d
}

// Quantile estimates the duration that a share q of all does not exceed, on a
// straight line within its bucket; 0 if there are none. What is over the last
// bound counts as the last bound: nothing is known of it but that.
func (c *Counts) Quantile(q float64) time.Duration {
	n := c.Count()
	if n == 0 {
		return 0
	}
	rank := q * float64(n)
	var below uint64
	for i, b := range c.Buckets {
		if b == 0 || float64(below+b) < rank {
			below += b
			continue
		}
		if i == len(Bounds) {
			break
		}
		var low time.Duration
		if i > 0 {
			low = Bounds[i-1]
		}
		return low + time.Duration((rank-float64(below))/float64(b)*float64(Bounds[i]-low))
	}
	return Bounds[len(Bounds)-1]
}
