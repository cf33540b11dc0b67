package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// How a line may be drawn, where there is colour.
const (
	plain    = ""
	bold     = "1"
	dim      = "2"
	reversed = "7"
	red      = "31"
	yellow   = "33"
)

// A column of a table. Those with the highest rank give way first where the
// terminal is narrow; the last column of a table takes what room is left.
type column struct {
	title string
	width int // at least, in cells; 0: as wide as its content
	right bool
	rank  int
}

var appColumns = []column{
	{"APP", 0, false, 0}, {"QUEUE", 5, true, 1}, {"BUSY", 4, true, 0}, {"IDLE", 4, true, 2}, {"START", 5, true, 6}, {"FAIL", 4, true, 3},
	{"REQ/S", 7, true, 0}, {"5XX/S", 6, true, 4}, {"P50", 7, true, 5}, {"P99", 7, true, 2}, {"RSS", 7, true, 4}, {"CRASHED", 7, true, 7},
}

var workerColumns = []column{
	{"APP", 0, false, 4}, {"PID", 7, true, 0}, {"STATE", 8, false, 1}, {"UP", 7, true, 5}, {"SERVED", 8, true, 6}, {"CPU", 4, true, 3},
	{"RSS", 7, true, 3}, {"RST", 3, true, 6}, {"FOR", 7, true, 0}, {"SERVING", 24, false, 0},
}

// View implements tea.Model. No line is wider than the terminal, and there
// are no more of them than it has.
func (m *topModel) View() string {
	if m.width < 1 || m.height < 1 {
		return ""
	}
	var lines []string
	switch {
	case m.help:
		lines = strings.Split(topHelp, "\n")
	case m.report == nil:
		lines = []string{m.waiting()}
	default:
		lines = m.body()
	}
	foot := m.foot()
	if room := m.height - len(foot); len(lines) > max(room, 0) {
		lines = lines[:max(room, 0)]
	}
	for len(lines)+len(foot) < m.height {
		lines = append(lines, "")
	}
	lines = append(lines, foot...)
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, m.width, "…")
	}
	return strings.Join(lines[:min(len(lines), m.height)], "\n")
}

const topHelp = `frontd top

  up, k      down, j     select an application or a worker
  tab                    applications, or all workers
  r                      restart the application: new workers take over
  +  -                   one worker more, or fewer
  q, esc                 quit
  ?                      this page; any key leaves it

  QUEUE    requests that wait for a worker       FAIL  workers between two starts
  REQ/S    of the last ten seconds, as P50, P99  5XX/S answered with an error
  CRASHED  workers that ended unasked            FOR   how long it has had its request`

func (m *topModel) waiting() string {
	if m.err != nil {
		return m.paint(red, printable(m.err.Error()))
	}
	return "asking the daemon …"
}

func (m *topModel) body() []string {
	s := m.report
	head := fmt.Sprintf("frontd %s  pid %d  up %v  %d connections  %s", s.Version, s.PID, seconds(s.Uptime), s.Open, strings.Join(s.Listen, " "))
	if s.Stopping {
		head = "STOPPING  " + head
	}
	lines := []string{m.paint(bold, ansi.Truncate(head, m.width, "…"))}
	if m.err != nil {
		lines = append(lines, m.paint(red, ansi.Truncate(fmt.Sprintf("as of %v ago: %s", time.Since(m.at).Round(time.Second), printable(m.err.Error())), m.width, "…")))
	}
	lines = append(lines, "")
	room := m.height - len(lines) - len(m.foot())
	if m.byWorker {
		return append(lines, m.workerTable(m.workers(), m.pid, room)...)
	}
	apps := m.appTable(room)
	lines = append(lines, apps...)
	a := m.current()
	if room -= len(apps) + 1; a == nil || room < 2 {
		return lines
	}
	lines = append(lines, "")
	if a.Failing != "" {
		first, _, _ := strings.Cut(a.Failing, "\n")
		lines = append(lines, m.paint(red, ansi.Truncate("failing: "+printable(first), m.width, "…")))
		room--
	}
	own, _ := workersIn(statusReport{Apps: []appReport{*a}}, "") // of all: there is no wrong name
	return append(lines, m.workerTable(own, 0, room)...)
}

func (m *topModel) foot() []string {
	line := "q quit   tab workers   j k select   r restart   + - scale   ? help"
	switch {
	case m.asking != "":
		line = m.paint(yellow, fmt.Sprintf("restart %s: new workers take over one after the other. y/n", m.asking))
	case m.note != "":
		line = printable(m.note)
	case m.byWorker:
		line = strings.Replace(line, "tab workers", "tab apps", 1)
	}
	return []string{line}
}

// appTable is at most room lines, with the selected application among them.
func (m *topModel) appTable(room int) []string {
	var rows [][]string
	var styles []string
	chosen := 0
	for i := range m.report.Apps {
		a := &m.report.Apps[i]
		rows = append(rows, appRow(a))
		style := plain
		switch {
		case a.Name == m.app:
			style, chosen = reversed, i
		case a.Failing != "":
			style = red
		case a.Queue > 0:
			style = yellow
		}
		styles = append(styles, style)
	}
	return m.table(appColumns, rows, styles, chosen, room)
}

func appRow(a *appReport) []string {
	rate, failed, p50, p99 := "-", "-", "-", "-"
	if r := a.Rate; r != nil {
		rate, failed = perSecond(r.Requests), perSecond(r.Failed)
		if r.Requests > 0 {
			p50, p99 = latency(r.P50), latency(r.P99)
		}
	}
	n := func(v any) string { return fmt.Sprint(v) }
	return []string{a.Name, n(a.Queue), n(a.States.Busy), n(a.States.Idle), n(a.States.Starting), n(a.States.Failing),
		rate, failed, p50, p99, memory(a.rss()), n(a.Restarts())}
}

func (m *topModel) workerTable(list []appWorker, selected, room int) []string {
	var rows [][]string
	var styles []string
	chosen := 0
	for i := range list {
		w := &list[i]
		rows = append(rows, m.workerRow(w))
		style := plain
		switch {
		case w.PID == selected && selected != 0:
			style, chosen = reversed, i
		case w.State == "backoff":
			style = red
		case w.Busy == 0:
			style = dim
		}
		styles = append(styles, style)
	}
	return m.table(workerColumns, rows, styles, chosen, room)
}

func (m *topModel) workerRow(w *appWorker) []string {
	state, what, age := w.State, "", ""
	if state == "serving" && w.Busy == 0 {
		state = "idle"
	}
	if len(w.InFlight) > 0 {
		f := w.InFlight[0]
		what, age = printable(f.Method+" "+f.URI), latency(f.Age.Seconds())
		if n := len(w.InFlight) - 1; n > 0 {
			what = fmt.Sprintf("(+%d) %s", n, what)
		}
	} else if w.LastExit != "" {
		what = "before: " + printable(w.LastExit)
	}
	cpu := "-"
	if mark, known := m.cpu[w.PID]; known && mark.share >= 0 {
		cpu = fmt.Sprintf("%.0f%%", 100*mark.share)
	}
	return []string{w.App, fmt.Sprint(w.PID), state, uptime(w.Uptime), fmt.Sprint(w.Served), cpu, memory(w.RSS), fmt.Sprint(w.Restarts), age, what}
}

// table draws a head and rows: those around the chosen one if there are more
// than there is room for.
func (m *topModel) table(columns []column, rows [][]string, styles []string, chosen, room int) []string {
	if room < 1 {
		return nil
	}
	widths := fit(columns, rows, m.width)
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	lines := []string{m.paint(bold, drawRow(columns, widths, titles))}
	from := max(0, min(chosen-(room-1)/2, len(rows)-(room-1)))
	for i := from; i < len(rows) && len(lines) < room; i++ {
		lines = append(lines, m.paint(styles[i], drawRow(columns, widths, rows[i])))
	}
	return lines
}

// fit decides how wide each column is, 0 for one that gives way.
func fit(columns []column, rows [][]string, width int) []int {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = max(c.width, len(c.title))
		for _, r := range rows {
			if c.width == 0 || c.right {
				widths[i] = max(widths[i], ansi.StringWidth(r[i]))
			}
		}
	}
	for {
		total, worst := 0, -1
		for i, w := range widths {
			if w == 0 {
				continue
			}
			total += w + 1
			if columns[i].rank > 0 && (worst < 0 || columns[i].rank > columns[worst].rank) {
				worst = i
			}
		}
		if total-1 <= width || worst < 0 {
			if last := len(widths) - 1; !columns[last].right {
				widths[last] += max(0, width-total+1)
			}
			return widths
		}
		widths[worst] = 0
	}
}

func drawRow(columns []column, widths []int, cells []string) string {
	var parts []string
	for i, c := range columns {
		if widths[i] == 0 {
			continue
		}
		cell := ansi.Truncate(cells[i], widths[i], "…")
		pad := strings.Repeat(" ", max(0, widths[i]-ansi.StringWidth(cell)))
		if c.right {
			parts = append(parts, pad+cell)
		} else {
			parts = append(parts, cell+pad)
		}
	}
	return strings.Join(parts, " ")
}

// paint gives a line a style where there is colour. Without, the selected
// line is marked all the same: it could not be told else.
func (m *topModel) paint(style, s string) string {
	switch {
	case style == reversed && !m.colour:
		return "\x1b[7m" + s + "\x1b[0m" // no colour, but a terminal: View is drawn on nothing else
	case style == plain || !m.colour:
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

func perSecond(v float64) string {
	if v >= 100 || v == 0 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// memory is in seven cells at most.
func memory(n int64) string {
	switch {
	case n == 0:
		return "-"
	case n >= 10<<30:
		return fmt.Sprintf("%.1fG", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1fM", float64(n)/(1<<20))
}

// uptime is a time in its two largest units.
func uptime(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
