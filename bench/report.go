package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A Sample is one cell of one side in one round.
type Sample struct {
	Requests   int64            `json:"requests"` // with the right answer
	Seconds    float64          `json:"seconds"`
	CPU        float64          `json:"cpu_us"` // of the side, a request; 0: not known
	HarnessCPU float64          `json:"harness_cpu_us"`
	Rate       float64          `json:"requests_per_second"`
	P50        float64          `json:"p50_us"`
	P99        float64          `json:"p99_us"`
	Max        float64          `json:"max_us"`
	RSS        int64            `json:"rss_bytes"`
	PSS        int64            `json:"pss_bytes"`  // -1: not readable
	Dials      int64            `json:"connects"`   // beyond those of the warm-up
	Again      int64            `json:"sent_again"` // the kept connection closed without a byte of an answer
	Processes  int              `json:"processes"`
	Failures   map[string]int64 `json:"failures,omitempty"`
}

func sampleOf(r loadResult, took time.Duration) Sample {
	return Sample{
		Requests: r.requests, Seconds: took.Seconds(), Rate: float64(r.requests) / took.Seconds(),
		P50: micros(r.p50), P99: micros(r.p99), Max: micros(r.max), Dials: r.dials, Again: r.again, Failures: r.failures,
	}
}

func (s *Sample) fail(what string, n int64) {
	if s.Failures == nil {
		s.Failures = map[string]int64{}
	}
	s.Failures[what] += n
}

// A Row is what all rounds gave for a side in a cell. Its ratios are this side
// divided by the baseline of its family, round by round.
type Row struct {
	Side     string           `json:"side"`
	Family   string           `json:"family"`
	Baseline string           `json:"baseline,omitempty"`
	Samples  []Sample         `json:"samples"`
	CPU      Spread           `json:"cpu_us"`
	Harness  Spread           `json:"harness_cpu_us"`
	Rate     Spread           `json:"requests_per_second"`
	P50      Spread           `json:"p50_us"`
	P99      Spread           `json:"p99_us"`
	Max      Spread           `json:"max_us"`
	RSS      Spread           `json:"rss_bytes"`
	PSS      Spread           `json:"pss_bytes"`
	Connects Spread           `json:"connects_a_request"`
	CPURatio Spread           `json:"cpu_ratio"`
	RateOver Spread           `json:"rate_ratio"`
	P99Ratio Spread           `json:"p99_ratio"`
	Again    int64            `json:"sent_again,omitempty"`
	Failures map[string]int64 `json:"failures,omitempty"`
}

// A Cell is the table of one workload at one number of connections.
type Cell struct {
	Workload string `json:"workload"`
	Title    string `json:"title"`
	Conns    int    `json:"connections"`
	Size     int64  `json:"bytes_a_request"`
	Rows     []*Row `json:"rows"`
}

// A SideInfo describes a side, or says why it is left out.
type SideInfo struct {
	Name   string `json:"name"`
	Family string `json:"family"`
	Title  string `json:"title"`
	Note   string `json:"note,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// A Report is a whole run.
type Report struct {
	Begun    time.Time  `json:"begun"`
	Machine  string     `json:"machine"`
	Version  string     `json:"version"`
	Rounds   int        `json:"rounds"`
	Duration string     `json:"duration"`
	Requests int64      `json:"requests,omitempty"`
	Sides    []SideInfo `json:"sides"`
	Skipped  []SideInfo `json:"skipped,omitempty"`
	Cells    []*Cell    `json:"cells"`
}

func newReport(p *plan) *Report {
	r := &Report{
		Begun: time.Now().UTC().Truncate(time.Second), Machine: fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Rounds: p.rounds, Duration: p.duration.String(), Requests: p.requests, Version: "(unknown)",
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				r.Version = s.Value
			}
		}
	}
	for _, c := range p.cells() {
		r.Cells = append(r.Cells, &Cell{Workload: c.work.Name, Title: c.work.title, Conns: c.conns, Size: c.work.size()})
	}
	return r
}

func (r *Report) addSide(s *side) {
	r.Sides = append(r.Sides, SideInfo{Name: s.name, Family: s.family, Title: s.title, Note: s.note})
}

func (r *Report) skip(s *side, reason string) {
	r.Skipped = append(r.Skipped, SideInfo{Name: s.name, Family: s.family, Title: s.title, Reason: reason})
}

// add takes a sample. Rows come in the order of the sides.
func (r *Report) add(c cell, s *side, sample Sample) {
	at := slices.IndexFunc(r.Cells, func(k *Cell) bool { return k.Workload == c.work.Name && k.Conns == c.conns })
	k := r.Cells[at]
	i := slices.IndexFunc(k.Rows, func(row *Row) bool { return row.Side == s.name })
	if i < 0 {
		i = len(k.Rows)
		k.Rows = append(k.Rows, &Row{Side: s.name, Family: s.family, Failures: map[string]int64{}})
	}
	row := k.Rows[i]
	row.Samples = append(row.Samples, sample)
	row.Again += sample.Again
	for what, n := range sample.Failures {
		row.Failures[what] += n
	}
}

// settle makes the spreads and ratios. baselines names one side a family; where
// it has not run, the family's first that did stands in.
func (r *Report) settle(baselines []string) {
	for _, c := range r.Cells {
		for _, row := range c.Rows {
			row.settle()
		}
		for _, row := range c.Rows {
			base := c.baseline(row.Family, baselines)
			row.Baseline = base.Side
			row.CPURatio = ratios(row.values(cpuOfSample), base.values(cpuOfSample))
			row.RateOver = ratios(row.values(rateOfSample), base.values(rateOfSample))
			row.P99Ratio = ratios(row.values(p99OfSample), base.values(p99OfSample))
		}
	}
}

func cpuOfSample(s Sample) float64  { return s.CPU }
func rateOfSample(s Sample) float64 { return s.Rate }
func p99OfSample(s Sample) float64  { return s.P99 }

func (r *Row) values(of func(Sample) float64) []float64 {
	v := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		v[i] = of(s)
	}
	return v
}

func (r *Row) settle() {
	r.CPU, r.Rate = spreadOf(r.values(cpuOfSample)), spreadOf(r.values(rateOfSample))
	r.P50, r.P99 = spreadOf(r.values(func(s Sample) float64 { return s.P50 })), spreadOf(r.values(p99OfSample))
	r.Max = spreadOf(r.values(func(s Sample) float64 { return s.Max }))
	r.Harness = spreadOf(r.values(func(s Sample) float64 { return s.HarnessCPU }))
	r.RSS = spreadOf(r.values(func(s Sample) float64 { return float64(s.RSS) }))
	r.PSS = spreadOf(r.values(func(s Sample) float64 { return float64(s.PSS) }))
	r.Connects = spreadOf(r.values(func(s Sample) float64 { return float64(s.Dials) / float64(s.Requests) }))
}

func (c *Cell) baseline(family string, names []string) *Row {
	var first *Row
	for _, row := range c.Rows {
		if row.Family != family {
			continue
		}
		if slices.Contains(names, row.Side) {
			return row
		}
		if first == nil {
			first = row
		}
	}
	return first
}

// failed sums what went wrong in words, or "".
func (r *Row) failed() string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(r.Failures)) {
		all = append(all, fmt.Sprintf("%d × %s", r.Failures[what], what))
	}
	return strings.Join(all, ", ")
}

func (r *Report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
