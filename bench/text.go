package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// writeText prints a table for each cell: what is measured, then the ratios.
func writeText(w io.Writer, r *Report) {
	fmt.Fprintf(w, "%s, %s, %d rounds of %s a cell; median (min-max) of the rounds\n", r.Begun.Format("2006-01-02 15:04 MST"), r.Machine, r.Rounds, r.Duration)
	fmt.Fprintln(w, "CPU/req: user and system time of all processes of a side. Ratios: the side / its baseline, round by round.")
	for _, c := range r.Cells {
		if len(c.Rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s, %d connections (%s)\n", c.Workload, c.Conns, c.Title)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, strings.Join(c.columns(), "\t")+"\t")
		for _, row := range c.Rows {
			fmt.Fprintln(t, strings.Join(row.cells(c), "\t")+"\t")
		}
		t.Flush() // of an in-memory table; the errors of w show at the end
		for _, row := range c.Rows {
			if f := row.failed(); f != "" {
				fmt.Fprintf(w, "  ! %s: %s\n", row.Side, f)
			}
			if row.Again > 0 {
				fmt.Fprintf(w, "  ~ %s: %s\n", row.Side, row.Repeated())
			}
		}
	}
	writeNotes(w, r)
}

func writeNotes(w io.Writer, r *Report) {
	fmt.Fprintln(w)
	for _, s := range r.Sides {
		fmt.Fprintf(w, "%s: %s", s.Name, s.Title)
		if s.Note != "" {
			fmt.Fprintf(w, " (%s)", s.Note)
		}
		fmt.Fprintln(w)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "LEFT OUT %s: %s\n", s.Name, s.Reason)
	}
}

func (c *Cell) columns() []string {
	cols := []string{"side", "CPU/req µs", "req/s", "p50 ms", "p99 ms", "max ms", "PSS MB", "RSS MB", "conn/req", "CPU ratio", "req/s ratio", "p99 ratio", "against"}
	if c.Size >= 1<<20 {
		cols[2] = "req/s (MB/s)"
	}
	return cols
}

func (r *Row) cells(c *Cell) []string {
	if r.Rate.Median == 0 {
		return []string{r.Side, "no right answer", "", "", "", "", "", "", "", "", "", "", r.Baseline}
	}
	name := r.Side
	if len(r.Failures) > 0 {
		name += " !"
	}
	rate := number(r.Rate.Median)
	if c.Size >= 1<<20 {
		rate += fmt.Sprintf(" (%.0f)", r.Rate.Median*float64(c.Size)/1e6)
	}
	pss := "?"
	if r.PSS.Min >= 0 {
		pss = number(r.PSS.Median / 1e6)
	}
	return []string{
		name, known(r.CPU, 1), rate, number(r.P50.Median / 1e3), number(r.P99.Median / 1e3), number(r.Max.Max / 1e3),
		pss, number(r.RSS.Median / 1e6), fmt.Sprintf("%.2f", r.Connects.Median),
		ratio(r.CPURatio), ratio(r.RateOver), ratio(r.P99Ratio), r.Baseline,
	}
}

// known prints a spread that is zero where it could not be measured.
func known(s Spread, scale float64) string {
	if s.Median <= 0 {
		return "?"
	}
	return fmt.Sprintf("%s (%s-%s)", number(s.Median/scale), number(s.Min/scale), number(s.Max/scale))
}

func ratio(s Spread) string {
	if s.N == 0 {
		return "?"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max)
}

// number prints three digits that count.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
