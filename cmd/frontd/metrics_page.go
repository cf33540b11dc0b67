package main

import (
	"runtime"
	"time"

	"github.com/frontd/frontd/metrics"
	"github.com/frontd/frontd/supervisor"
)

// writeMetrics is what a scrape gets of the daemon.
func (d *daemon) writeMetrics(p *metrics.Page) {
	d.traffic.set.Write(p)
	reports := []appReport{}
	for _, a := range d.apps.all() {
		reports = append(reports, a.report(time.Now()))
	}
	for _, g := range appGauges {
		p.Metric(g.name, metrics.Gauge, g.help)
		for _, r := range reports {
			p.Sample(g.value(&r), "app", r.Name)
		}
	}
	writeWorkers(p, reports)
	p.Metric("frontd_connections_open", metrics.Gauge, "Connections of clients, by listener.")
	for _, door := range d.allDoors() {
		p.Sample(float64(door.open()), "listener", doorURL(door))
	}
	p.Metric("frontd_log_lines_dropped_total", metrics.Counter, "Log lines that were lost because the log did not take them.")
	p.Sample(float64(d.log.lost()))
	p.Metric("frontd_info", metrics.Gauge, "The version of frontd.")
	p.Sample(1, "version", version, "goos", runtime.GOOS, "goarch", runtime.GOARCH)
}

// appGauges are one number an application.
var appGauges = []struct {
	name, help string
	value      func(*appReport) float64
}{
	{"frontd_queue_length", "Requests that wait for a worker.", func(r *appReport) float64 { return float64(r.Queue) }},
	{"frontd_queue_capacity", "Requests that may wait for a worker.", func(r *appReport) float64 { return float64(r.Size) }},
	{"frontd_requests_in_workers", "Requests in workers' hands.", func(r *appReport) float64 { return float64(r.Busy) }},
	{"frontd_app_failing", "1 while the workers of an application do not start, else 0.", func(r *appReport) float64 {
		if r.Failing != "" {
			return 1
		}
		return 0
	}},
	{"frontd_workers_resident_memory_bytes", "Resident memory of an application's workers together.", func(r *appReport) float64 {
		var sum int64
		for _, w := range r.Workers {
			sum += w.RSS
		}
		return float64(sum)
	}},
}

func writeWorkers(p *metrics.Page, reports []appReport) {
	p.Metric("frontd_workers", metrics.Gauge, "Workers by state; each is in one.")
	for _, r := range reports {
		for _, s := range []struct {
			name string
			n    int
		}{
			{"busy", r.States.Busy}, {"idle", r.States.Idle}, {"starting", r.States.Starting},
			{"failing", r.States.Failing}, {"stopping", r.States.Stopping},
		} {
			p.Sample(float64(s.n), "app", r.Name, "state", s.name)
		}
	}
	p.Metric("frontd_worker_restarts_total", metrics.Counter, "Workers that ended, or did not start, by cause.")
	for _, r := range reports {
		if r.Ended == nil {
			continue // its workers are not frontd's
		}
		for _, c := range supervisor.Causes {
			p.Sample(float64(r.Ended[string(c)]), "app", r.Name, "cause", string(c))
		}
	}
}
