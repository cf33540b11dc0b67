package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// warmRequests are sent on each connection of a cell before it is measured:
// the side has then accepted it and its buffers are there.
const warmRequests = 2

// cellOverhead is what a cell takes besides its duration, for the estimate.
const cellOverhead = 150 * time.Millisecond

// A plan says what is measured.
type plan struct {
	workloads []*workload
	conns     []int
	rounds    int
	duration  time.Duration
	requests  int64
}

// A cell is a workload at a number of connections.
type cell struct {
	work  *workload
	conns int
}

func (p *plan) cells() []cell {
	var all []cell
	for _, w := range p.workloads {
		last := 0
		for _, n := range p.conns {
			if w.conns > 0 {
				n = min(n, w.conns)
			}
			if n != last { // two that come to the same are one
				all = append(all, cell{w, n})
			}
			last = n
		}
	}
	return all
}

// order turns the sides by one each round, so that none is always the first
// after another.
func order(n, round int) []int {
	o := make([]int, n)
	for i := range o {
		o[i] = (i + round) % n
	}
	return o
}

// compare starts the sides, checks their answers and measures them by turns:
// round by round, cell by cell, side after side. The report is not nil once
// a side ran, also where ctx ended it early.
func (r *rig) compare(ctx context.Context, p *plan, sides []*side) (*Report, error) {
	report := newReport(p)
	var stages []*stage
	for _, s := range sides {
		if m := s.missing(); m != "" {
			report.skip(s, "not installed: "+m)
			continue
		}
		st, err := r.open(ctx, s)
		if err == nil {
			err = st.verify(p.workloads)
		}
		if err != nil {
			report.skip(s, "failed: "+err.Error())
			continue
		}
		stages = append(stages, st)
		report.addSide(s)
	}
	r.tell(report)
	if len(stages) == 0 {
		return report, errors.New("no side runs")
	}
	cells := p.cells()
	r.say("%d sides, %d cells, %d rounds: about %v\n", len(stages), len(cells), p.rounds,
		(time.Duration(p.rounds*len(stages)*len(cells)) * (p.duration + cellOverhead)).Round(time.Second))
	for round := range p.rounds {
		for _, c := range cells {
			for _, i := range order(len(stages), round) {
				if ctx.Err() != nil {
					return report, context.Cause(ctx)
				}
				if st := stages[i]; st.side.can(c.work) {
					report.add(c, st.side, st.measure(ctx, c, p))
				}
			}
		}
		r.say("round %d of %d done\n", round+1, p.rounds)
	}
	return report, nil
}

func (r *rig) say(format string, args ...any) { fmt.Fprintf(r.log, "bench: "+format, args...) }

// tell names what is left out at once, and not only at the end.
func (r *rig) tell(report *Report) {
	for _, s := range report.Skipped {
		r.say("%s is left out: %s\n", s.Name, s.Reason)
	}
}

// verify asks for each workload once: a side that answers anything else than
// the others is not compared with them.
func (s *stage) verify(all []*workload) error {
	for _, w := range all {
		if !s.side.can(w) {
			continue
		}
		if err := s.probe(w); err != nil {
			return fmt.Errorf("wrong answer to %s: %w", w.Name, err)
		}
	}
	return nil
}

// measure runs one cell once.
func (s *stage) measure(ctx context.Context, c cell, p *plan) Sample {
	l := s.load(c.work, c.conns)
	defer l.Close()
	if c.work.upload < 10<<20 {
		l.run(newBudget(ctx, p.duration, int64(warmRequests*c.conns)))
	}
	l.reset()
	runtime.GC() // now, and not within the cell
	cpu0, _, err := cpuOf(s.roots())
	self0 := ownCPU()
	start := time.Now()
	l.run(newBudget(ctx, p.duration, p.requests))
	took := time.Since(start)
	self := ownCPU() - self0
	cpu1, tree, err1 := cpuOf(s.roots())
	sample := sampleOf(l.result(), took)
	sample.Processes = len(tree)
	sample.RSS, sample.PSS = memoryOf(tree)
	if n := float64(sample.Requests); n > 0 {
		sample.HarnessCPU = micros(self) / n
		if err = errors.Join(err, err1); err == nil {
			sample.CPU = micros(cpu1-cpu0) / n
		}
	}
	if err != nil {
		sample.fail(err.Error(), 1)
	}
	if s.crowd != nil && s.crowd.lost.Load() > 0 {
		sample.fail("slow readers were cut off", s.crowd.lost.Load())
	}
	if dead := s.dead(); dead != "" {
		sample.fail(dead+" has ended", 1)
	}
	return sample
}

// ownCPU is what this process has used, in microsecond steps (getrusage(2)).
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
