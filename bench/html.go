package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"number": number, "ratio": ratio, "plots": plotsOf,
}).Parse(pageText))

// writeHTML writes a page that needs nothing but itself.
func (r *Report) writeHTML(w io.Writer) error { return page.Execute(w, r) }

// The plots' geometry, in the units of their SVG.
const (
	plotName  = 170 // width of the names
	plotBars  = 420 // width of the longest bar
	plotText  = 170 // width of what stands behind the bars
	plotRow   = 22
	plotAxis  = 8
	plotWidth = plotName + plotBars + plotText
)

// A plot is a bar for each side, with its spread.
type plot struct {
	Title         string
	Width, Height int
	One           float64 // where 1 is; 0: no such line
	Bars          []bar
}

type bar struct {
	Name, Text, Family     string
	Y, Middle              int
	X, Width, From, To, At float64
	Failed                 string
}

// plotsOf draws what the cell's table says: the cost, the ratio, the latency.
func plotsOf(c *Cell) []plot {
	return []plot{
		drawPlot(c, "CPU a request, µs", false, func(r *Row) Spread { return r.CPU }, func(s Spread) string { return known(s, 1) }),
		drawPlot(c, "CPU, ratio to the baseline", true, func(r *Row) Spread { return r.CPURatio }, ratio),
		drawPlot(c, "99th percentile, ms", false, func(r *Row) Spread { return r.P99 }, func(s Spread) string { return known(s, 1e3) }),
	}
}

func drawPlot(c *Cell, title string, one bool, of func(*Row) Spread, text func(Spread) string) plot {
	top := 0.0
	for _, r := range c.Rows {
		top = math.Max(top, of(r).Max)
	}
	p := plot{Title: title, Width: plotWidth, Height: plotAxis + plotRow*len(c.Rows)}
	if top <= 0 {
		return p
	}
	scale := plotBars / top
	if one {
		p.One = plotName + scale
	}
	for i, r := range c.Rows {
		s := of(r)
		y := plotAxis + plotRow*i
		name := r.Side
		if one && r.Side == r.Baseline {
			name += " = 1"
		}
		p.Bars = append(p.Bars, bar{
			Name: name, Family: r.Family, Text: text(s), Failed: r.failed(), Y: y, Middle: y + plotRow/2,
			X: plotName, Width: s.Median * scale, From: plotName + s.Min*scale, To: plotName + s.Max*scale,
			At: plotName + s.Max*scale + 6,
		})
	}
	return p
}

// Rates is the requests a second as the table shows them.
func (r *Row) Rates() string {
	if r.Rate.Median == 0 {
		return "no right answer"
	}
	return fmt.Sprintf("%s (%s-%s)", number(r.Rate.Median), number(r.Rate.Min), number(r.Rate.Max))
}

func (r *Row) CPUs() string   { return known(r.CPU, 1) }
func (r *Row) Median() string { return number(r.P50.Median / 1e3) }
func (r *Row) P99s() string   { return known(r.P99, 1e3) }
func (r *Row) Maxs() string   { return number(r.Max.Max / 1e3) }
func (r *Row) Memory() string {
	if r.PSS.Min < 0 {
		return "?"
	}
	return number(r.PSS.Median / 1e6)
}

// Repeated says how often the side closed a kept connection that a request was on.
func (r *Row) Repeated() string {
	return fmt.Sprintf("%d requests were sent again: their kept connection closed without an answer", r.Again)
}

func (r *Row) Failed() string { return r.failed() }
