package metrics

import (
	"math"
	"strconv"
	"strings"
)

// ContentType is that of what a Page holds: the text format of Prometheus.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// A Type is what a metric is.
type Type string

// Types of metrics.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// A Page is what one scrape gets. Its zero value is empty.
type Page struct {
	text []byte
	name string // of the current metric
}

// Bytes returns the page.
func (p *Page) Bytes() []byte { return p.text }

// Metric begins a metric; the samples that follow are its own. Each metric is
// begun once.
func (p *Page) Metric(name string, t Type, help string) {
	p.name = name
	p.text = append(p.text, "# HELP "+name+" "+helpEscapes.Replace(help)+"\n# TYPE "+name+" "+string(t)+"\n"...)
}

// Sample writes a value of the current metric. labels are names and values in turn.
func (p *Page) Sample(value float64, labels ...string) { p.sample("", value, labels, "", "") }

// Buckets writes the samples of a histogram, in seconds.
func (p *Page) Buckets(c *Counts, labels ...string) {
	var below uint64
	for i, n := range c.Buckets {
		below += n
		le := "+Inf"
		if i < len(Bounds) {
			le = number(Bounds[i].Seconds())
		}
		p.sample("_bucket", float64(below), labels, "le", le)
	}
	p.sample("_sum", c.Sum.Seconds(), labels, "", "")
	p.sample("_count", float64(below), labels, "", "")
}

func (p *Page) sample(suffix string, value float64, labels []string, name, text string) {
	b := append(append(p.text, p.name...), suffix...)
	separator := byte('{')
	for i := 0; i+1 < len(labels); i += 2 {
		b = appendLabel(b, separator, labels[i], labels[i+1])
		separator = ','
	}
	if name != "" {
		b = appendLabel(b, separator, name, text)
		separator = ','
	}
	if separator == ',' {
		b = append(b, '}')
	}
	b = append(append(append(b, ' '), number(value)...), '\n')
	p.text = b
}

func appendLabel(b []byte, separator byte, name, value string) []byte {
	b = append(append(append(b, separator), name...), '=', '"')
	return append(append(b, labelEscapes.Replace(value)...), '"')
}

// What the format wants escaped.
var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
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
		p.Metric(h.name, Histogram, h.help)
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
