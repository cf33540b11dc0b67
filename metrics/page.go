package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves what fill writes, and what is known of this process and of
// Go's runtime. fill is called for each scrape, by several at once if there are
// several.
func Handler(fill func(*Page)) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(filler(fill), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
}

// A filler is a collector whose metrics are known when it is asked: which
// applications there are changes with a reload.
type filler func(*Page)

func (filler) Describe(chan<- *prometheus.Desc) {}

func (fill filler) Collect(to chan<- prometheus.Metric) { fill(&Page{to: to}) }

// A Type is what a metric is.
type Type = prometheus.ValueType

// Types of metrics.
const (
	Counter = prometheus.CounterValue
	Gauge   = prometheus.GaugeValue
)

// A Page is what one scrape gets.
type Page struct {
	to         chan<- prometheus.Metric
	name, help string // of the current metric
	kind       Type
}

// Metric begins a metric; the samples that follow are its own. Each metric is
// begun once.
func (p *Page) Metric(name string, t Type, help string) { p.name, p.kind, p.help = name, t, help }

// Sample writes a value of the current metric. labels are names and values in turn.
func (p *Page) Sample(value float64, labels ...string) {
	desc, values := p.describe(labels)
	p.to <- prometheus.MustNewConstMetric(desc, p.kind, value, values...)
}

// Buckets writes a histogram of the current metric's name, in seconds.
func (p *Page) Buckets(c *Counts, labels ...string) {
	below, cumulative := uint64(0), make(map[float64]uint64, len(Bounds))
	for i, bound := range Bounds {
		below += c.Buckets[i]
		cumulative[bound.Seconds()] = below
	}
	desc, values := p.describe(labels)
	p.to <- prometheus.MustNewConstHistogram(desc, c.Count(), c.Sum.Seconds(), cumulative, values...)
}

func (p *Page) describe(labels []string) (desc *prometheus.Desc, values []string) {
	var names []string
	for i := 0; i+1 < len(labels); i += 2 {
		names = append(names, labels[i])
		values = append(values, labels[i+1])
	}
	return prometheus.NewDesc(p.name, p.help, names, nil), values
}

// Write adds the numbers of all requests.
func (s *Set) Write(p *Page) {
	s.writeCounts(p)
	for _, h := range []struct {
		name, help string
		of         func(*series) *histogram
	}{
		{"frontd_request_duration_seconds", "Time from a request's head to the end of its answer.", func(c *series) *histogram { return &c.duration }},
		{"frontd_request_queue_seconds", "Time that a request waited for a free worker.", func(c *series) *histogram { return &c.queue }},
		{"frontd_request_worker_seconds", "Time that a worker had a request.", func(c *series) *histogram { return &c.worker }},
	} {
		p.Metric(h.name, Gauge, h.help) // a histogram has no kind of its own
		s.each(func(app string, a *App) {
			for i := range a.classes {
				if c := h.of(&a.classes[i]).read(); c.Count() > 0 {
					p.Buckets(&c, "app", app, "class", classNames[i])
				}
			}
		})
	}
}

// writeCounts writes what is not told by a histogram. Each application has
// its classes from the start: a counter that appears with its first error has
// no rate of it.
func (s *Set) writeCounts(p *Page) {
	p.Metric("frontd_requests_total", Counter, "Requests that ended, by the class of their status.")
	s.each(func(app string, a *App) {
		for i := range a.classes {
			c := a.classes[i].duration.read()
			if n := c.Count(); n > 0 || i >= 2 {
				p.Sample(float64(n), "app", app, "class", classNames[i])
			}
		}
	})
	p.Metric("frontd_request_failures_total", Counter, "Requests that were not answered as the application would have, by cause, and heads that were no request.")
	s.each(func(app string, a *App) {
		for i := range a.classes {
			for j := range a.classes[i].causes {
				if n := a.classes[i].causes[j].Load(); n > 0 {
					p.Sample(float64(n), "app", app, "class", classNames[i], "cause", s.names[j])
				}
			}
		}
	})
	p.Metric("frontd_request_body_bytes_total", Counter, "Bytes of requests' bodies that were read.")
	s.each(func(app string, a *App) { p.Sample(float64(a.bytesIn.Load()), "app", app) })
	p.Metric("frontd_response_body_bytes_total", Counter, "Bytes of answers' bodies that were sent.")
	s.each(func(app string, a *App) { p.Sample(float64(a.bytesOut.Load()), "app", app) })
}

func (s *Set) each(do func(name string, a *App)) {
	for _, name := range s.Apps() {
		if a := s.App(name); a != nil { // it may have gone with a reload
			do(name, a)
		}
	}
}
