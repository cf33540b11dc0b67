package main

import (
	"math/bits"
	"time"
)

// subBits sets the resolution of a histogram: a bucket is 1/64 of its value
// wide, so a percentile is at most 1.6 % too high.
const subBits = 6

// A histogram counts durations in buckets that widen with the value. The zero
// value is empty. It is 30 KB, holds any time.Duration and is not safe for
// concurrent use: each connection has its own, merged at the end.
type histogram struct {
	counts [(64 - subBits) << subBits]uint64
	n      uint64
	max    time.Duration
}

func bucketOf(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// bucketTop is the largest value in a bucket.
func bucketTop(i int) uint64 {
	if i < 1<<subBits {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return (uint64(i&(1<<subBits-1)|1<<subBits)+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile returns the least value that a share q of all is not above, 0 for none.
func (h *histogram) quantile(q float64) time.Duration {
	want := max(1, uint64(q*float64(h.n)+0.9999999))
	seen := uint64(0)
	for i, c := range h.counts {
		if seen += c; seen >= want && c > 0 {
			return min(time.Duration(bucketTop(i)), h.max)
		}
	}
	return h.max
}
