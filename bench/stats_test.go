package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{nil, Spread{}},
		{[]float64{math.NaN(), math.Inf(1)}, Spread{}},
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{9, 1, 5}, Spread{5, 1, 9, 3}},
		{[]float64{4, 1, math.NaN(), 2, 9}, Spread{3, 1, 9, 4}},
	} {
		if got := spreadOf(c.in); got != c.want {
			t.Errorf("spreadOf(%v) = %+v, want %+v", c.in, got, c.want)
		}
	}
}

// A round that is slow for both leaves the ratio alone; one that was not
// measured is left out.
func TestRatios(t *testing.T) {
	got := ratios([]float64{20, 200, 0, 30}, []float64{10, 100, 10, 10, 10})
	if want := (Spread{Median: 2, Min: 2, Max: 3, N: 3}); got != want {
		t.Errorf("ratios = %+v, want %+v", got, want)
	}
}

func TestHistogramBuckets(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 65, 127, 128, 1000, 1 << 20, 1<<20 + 1, 1<<63 - 1} {
		i := bucketOf(v)
		top := bucketTop(i)
		if v > top || i > 0 && v <= bucketTop(i-1) {
			t.Errorf("%d is in bucket %d, which ends at %d after %d", v, i, top, bucketTop(max(0, i-1)))
		}
		if float64(top-v) > float64(v)/63 {
			t.Errorf("%d becomes %d: too coarse", v, top)
		}
	}
	var h histogram
	h.add(1<<63 - 1) // the longest there is has a bucket
}

func TestHistogramQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var halves [2]histogram
	var all []time.Duration
	for i := range 10001 {
		d := time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		halves[i%2].add(d)
	}
	halves[0].merge(&halves[1])
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 1} {
		want := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		got := halves[0].quantile(q)
		if got < want || got > want+want/60+1 {
			t.Errorf("quantile(%v) = %v, want %v or at most 1/60 more", q, got, want)
		}
	}
	if got := new(histogram).quantile(0.5); got != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestOrderGivesEachSideEachPlace(t *testing.T) {
	first := make(map[int]bool)
	for round := range 5 {
		o := order(5, round)
		first[o[0]] = true
		slices.Sort(o)
		if !slices.Equal(o, []int{0, 1, 2, 3, 4}) {
			t.Errorf("round %d: %v", round, o)
		}
	}
	if len(first) != 5 {
		t.Errorf("only %v were first", first)
	}
}

func TestCells(t *testing.T) {
	p := plan{workloads: []*workload{findWorkload("hello"), findWorkload("upload100m")}, conns: []int{1, 32, 256}}
	var got []int
	for _, c := range p.cells() {
		got = append(got, c.conns)
	}
	if !slices.Equal(got, []int{1, 32, 256, 1}) {
		t.Errorf("connections %v, want the big upload once", got)
	}
}
