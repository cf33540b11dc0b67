package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/metrics"
	"github.com/frontd/frontd/supervisor"
)

// statusReport is what status tells. Fields are only ever added, and who reads
// one ignores those it does not know: docs/control.md describes each.
type statusReport struct {
	PID      int         `json:"pid"`
	Version  string      `json:"version"`
	Uptime   float64     `json:"uptime_seconds"`
	Stopping bool        `json:"stopping"`
	Listen   []string    `json:"listen"`
	Open     int         `json:"connections"`
	Apps     []appReport `json:"apps"`
	LogLost  uint64      `json:"log_lines_lost"`
	Routines int         `json:"goroutines"` // of the daemon: flat under a steady load
}

type appReport struct {
	Name    string            `json:"name"`
	Kind    string            `json:"kind"`
	Target  string            `json:"target"`
	Queue   int               `json:"queue"`      // requests waiting for a worker
	Size    int               `json:"queue_size"` // that may wait
	Busy    int               `json:"busy"`       // requests in workers' hands
	Served  uint64            `json:"served"`
	Refused uint64            `json:"refused"`
	Failing string            `json:"failing,omitempty"`
	States  stateReport       `json:"states"`
	Ended   map[string]uint64 `json:"ended,omitempty"` // workers, by cause
	Rate    *rateReport       `json:"rate,omitempty"`
	Workers []workerReport    `json:"workers"`

	Template *templateReport `json:"template,omitempty"`
}

// A templateReport is of the process that workers are forked from.
type templateReport struct {
	PID    int     `json:"pid"`
	Uptime float64 `json:"uptime_seconds"`
	RSS    int64   `json:"rss_bytes"`
	CPU    float64 `json:"cpu_seconds"`
}

// A stateReport is how many workers are in each state. Each is in one.
type stateReport struct {
	Busy     int `json:"busy"`
	Idle     int `json:"idle"`
	Starting int `json:"starting"`
	Failing  int `json:"failing"` // between a failure and the next start
	Stopping int `json:"stopping"`
}

// A rateReport is of the last seconds. It is there while somebody watches.
type rateReport struct {
	Window   float64 `json:"window_seconds"`
	Requests float64 `json:"requests_per_second"`
	Failed   float64 `json:"failed_per_second"` // answered with 5xx
	BytesIn  float64 `json:"body_bytes_in_per_second"`
	BytesOut float64 `json:"body_bytes_out_per_second"`
	P50      float64 `json:"p50_seconds"`
	P99      float64 `json:"p99_seconds"`
}

type workerReport struct {
	PID      int            `json:"pid"`
	Slot     int            `json:"slot"`
	State    string         `json:"state"`
	Uptime   float64        `json:"uptime_seconds"`
	Served   uint64         `json:"requests"`
	Busy     int            `json:"busy"` // requests in its hands, those without a client too
	InFlight []front.Flight `json:"in_flight"`
	RSS      int64          `json:"rss_bytes"`
	CPU      float64        `json:"cpu_seconds"`
	Restarts int            `json:"restarts"`
	LastExit string         `json:"last_exit,omitempty"`
}

// An appWorker is a worker and the application that it is of.
type appWorker struct {
	App string `json:"app"`
	workerReport
}

// workersIn lists the workers of an application, or of all.
func workersIn(s statusReport, app string) ([]appWorker, error) {
	list, found := []appWorker{}, app == ""
	for _, a := range s.Apps {
		if app != "" && a.Name != app {
			continue
		}
		found = true
		for _, w := range a.Workers {
			list = append(list, appWorker{a.Name, w})
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: %q", errUnknownApp, app)
	}
	return list, nil
}

// status gathers what is. It asks no worker. Watched says that the caller
// comes again and wants to know rates.
func (d *daemon) status(watched bool) statusReport {
	now := time.Now()
	s := statusReport{
		PID: os.Getpid(), Version: version, Uptime: now.Sub(d.started).Seconds(), Stopping: d.stopping.Load(),
		LogLost: d.log.lost(), Routines: runtime.NumGoroutine(), Listen: []string{}, Apps: []appReport{},
	}
	for _, door := range d.allDoors() {
		s.Listen = append(s.Listen, doorURL(door))
		s.Open += door.open()
	}
	rates := d.traffic.rates(now, watched)
	for _, a := range d.apps.all() {
		r := a.report(now)
		if rate, ok := rates[a.name]; ok {
			r.Rate = newRateReport(rate)
		}
		s.Apps = append(s.Apps, r)
	}
	return s
}

func newRateReport(r metrics.Rate) *rateReport {
	return &rateReport{
		Window: r.Seconds, Requests: r.Requests, Failed: r.Failed, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		P50: r.P50.Seconds(), P99: r.P99.Seconds(),
	}
}

func (a *application) report(now time.Time) appReport {
	st := a.pool.Stats()
	a.mu.Lock()
	c, group := a.config, a.group
	busy, served := make(map[int]int), make(map[int]uint64) // by pid
	for _, u := range a.upstreams {
		busy[u.PID], served[u.PID] = a.pool.UpstreamStats(u)
	}
	a.mu.Unlock()
	r := appReport{
		Name: a.name, Kind: string(a.kind), Target: c.Target, Queue: st.Waiting, Size: a.pool.Size(),
		Busy: st.Busy, Served: st.Served, Refused: st.Refused, Workers: []workerReport{},
	}
	if st.Failing != nil {
		r.Failing = st.Failing.Error()
	}
	if group == nil {
		return r
	}
	flights := a.gateway.InFlight()
	for _, w := range group.Workers() {
		wr := newWorkerReport(w, now)
		wr.Busy, wr.Served = busy[wr.PID], served[wr.PID]
		wr.hold(flights)
		r.add(wr, w.State)
	}
	r.Ended = endedBy(group)
	if t, rss, ok := group.Template(); ok {
		r.Template = &templateReport{t.PID, now.Sub(t.Started).Seconds(), rss, cpuTime(t.PID).Seconds()}
	}
	return r
}

// newWorkerReport is what the supervisor and the system know of a worker.
func newWorkerReport(w supervisor.Status, now time.Time) workerReport {
	r := workerReport{
		PID: w.Worker.PID, Slot: w.Worker.Slot, State: w.State.String(), RSS: w.RSS, Restarts: w.Restarts,
		InFlight: []front.Flight{},
	}
	if !w.Worker.Started.IsZero() && w.State != supervisor.StateBackoff { // then it is the last one's
		r.Uptime = now.Sub(w.Worker.Started).Seconds()
	}
	if w.LastExit != nil {
		r.LastExit = w.LastExit.String()
	}
	if r.PID != 0 && w.State != supervisor.StateBackoff {
		r.CPU = cpuTime(r.PID).Seconds()
	}
	return r
}

// hold takes the worker's own of what is in flight, the oldest first.
func (r *workerReport) hold(flights []front.Flight) {
	for _, f := range flights {
		if f.PID == r.PID {
			r.InFlight = append(r.InFlight, f)
		}
	}
	slices.SortFunc(r.InFlight, func(a, b front.Flight) int { return cmp.Compare(b.Age, a.Age) })
}

// add counts a worker in the one state that it is in.
func (r *appReport) add(w workerReport, state supervisor.State) {
	r.Workers = append(r.Workers, w)
	switch state {
	case supervisor.StateStarting:
		r.States.Starting++
	case supervisor.StateBackoff:
		r.States.Failing++
	case supervisor.StateStopping:
		r.States.Stopping++
	case supervisor.StateServing:
		if w.Busy > 0 {
			r.States.Busy++
		} else {
			r.States.Idle++
		}
	case supervisor.StateGone: // it is of no pool any more
	}
}

func endedBy(g *supervisor.Group) map[string]uint64 {
	m := make(map[string]uint64)
	for cause, n := range g.Ended() {
		m[string(cause)] = n
	}
	return m
}
