package main

import (
	"math"
	"slices"
)

// A Spread is what several rounds gave. N = 0: nothing was measured.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// spreadOf leaves out what is no number, as a ratio to nothing is.
func spreadOf(values []float64) Spread {
	v := make([]float64, 0, len(values))
	for _, x := range values {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			v = append(v, x)
		}
	}
	if len(v) == 0 {
		return Spread{}
	}
	slices.Sort(v)
	mid := len(v) / 2
	median := v[mid]
	if len(v)%2 == 0 {
		median = (v[mid-1] + v[mid]) / 2
	}
	return Spread{Median: median, Min: v[0], Max: v[len(v)-1], N: len(v)}
}

// ratios divides round by round: what disturbed a whole round then cancels out.
// A round that either has not measured (0 or less) is left out.
func ratios(values, base []float64) Spread {
	var r []float64
	for i := range min(len(values), len(base)) {
		if values[i] > 0 && base[i] > 0 {
			r = append(r, values[i]/base[i])
		}
	}
	return spreadOf(r)
}
