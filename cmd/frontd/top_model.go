package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// A topModel is what frontd top knows. Update is its only writer.
type topModel struct {
	// Immutable.
	ctx      context.Context // of the program: what was asked for ends with it
	daemon   watched
	interval time.Duration
	colour   bool

	width, height int
	report        *statusReport // nil: none came yet
	err           error         // of the last look; the report is an older one then
	at            time.Time     // of the report
	cpu           map[int]cpuMark
	byWorker      bool   // the view of workers, else of applications
	app           string // selected in the view of applications
	pid           int    // selected in the view of workers
	asking        string // an application that is about to be restarted, waits for y
	note          string // what became of the last command
	help          bool
}

// A cpuMark is how much CPU a worker had used, and of how much of the time
// since the look before it was at work.
type cpuMark struct {
	seconds float64
	share   float64 // 1 is one CPU; below 0: not known yet
}

// What comes to Update beside keys and sizes.
type (
	topReport struct {
		report statusReport
		err    error
		at     time.Time
	}
	topTick struct{}
	topDone struct {
		what string
		err  error
	}
)

func newTop(ctx context.Context, d watched, interval time.Duration) *topModel {
	return &topModel{ctx: ctx, daemon: d, interval: interval, width: 80, height: 24}
}

// Init implements tea.Model.
func (m *topModel) Init() tea.Cmd { return m.look }

func (m *topModel) look() tea.Msg {
	s, err := m.daemon.status(m.ctx)
	return topReport{s, err, time.Now()}
}

// Update implements tea.Model.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case topReport:
		m.take(msg)
		return m, tea.Tick(m.interval, func(time.Time) tea.Msg { return topTick{} })
	case topTick:
		return m, m.look
	case topDone:
		m.note = msg.what + ": done"
		if msg.err != nil {
			m.note = msg.what + ": " + msg.err.Error()
		}
	case tea.KeyMsg:
		return m, m.keys(msg)
	}
	return m, nil
}

// keys takes letters one by one: those that are read at once come as one
// message. What is pasted is no command.
func (m *topModel) keys(msg tea.KeyMsg) tea.Cmd {
	switch {
	case msg.Paste:
		return nil
	case msg.Type != tea.KeyRunes:
		return m.key(msg.String())
	}
	var all []tea.Cmd
	for _, r := range msg.Runes {
		all = append(all, m.key(string(r)))
	}
	return tea.Batch(all...)
}

// take makes a report the one that is shown.
func (m *topModel) take(r topReport) {
	m.err = r.err
	if r.err != nil {
		return
	}
	next := make(map[int]cpuMark)
	for _, a := range r.report.Apps {
		for _, w := range a.Workers {
			mark := cpuMark{seconds: w.CPU, share: -1}
			if was, known := m.cpu[w.PID]; known && r.at.After(m.at) && w.CPU >= was.seconds {
				mark.share = (w.CPU - was.seconds) / r.at.Sub(m.at).Seconds()
			}
			next[w.PID] = mark
		}
	}
	m.report, m.cpu, m.at = &r.report, next, r.at
	m.selectSomething()
}

// selectSomething keeps the selection on something that is there.
func (m *topModel) selectSomething() {
	if apps := m.report.Apps; m.current() == nil && len(apps) > 0 {
		m.app = apps[0].Name
	}
	workers := m.workers()
	if !slices.ContainsFunc(workers, func(w appWorker) bool { return w.PID == m.pid }) {
		m.pid = 0
		if len(workers) > 0 {
			m.pid = workers[0].PID
		}
	}
}

// workers are those of all applications, in the order that they are shown.
func (m *topModel) workers() []appWorker {
	list, _ := workersIn(*m.report, "") // of all: there is no wrong name
	return list
}

// current is the application that commands are for.
func (m *topModel) current() *appReport {
	if m.report == nil {
		return nil
	}
	name := m.app
	if m.byWorker {
		for _, w := range m.workers() {
			if w.PID == m.pid {
				name = w.App
			}
		}
	}
	for i := range m.report.Apps {
		if m.report.Apps[i].Name == name {
			return &m.report.Apps[i]
		}
	}
	return nil
}

// key does what a key asks for.
func (m *topModel) key(k string) tea.Cmd {
	switch {
	case k == "ctrl+c":
		return tea.Quit
	case m.asking != "":
		return m.answer(k)
	case m.help:
		m.help = false // any key leaves it
		return nil
	}
	m.note = ""
	switch k {
	case "q", "esc":
		return tea.Quit
	case "?", "h":
		m.help = true
	case "tab":
		m.byWorker = !m.byWorker
		m.follow()
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "r":
		if a := m.current(); a != nil {
			m.asking = a.Name
		}
	case "+", "=":
		return m.scale(1)
	case "-":
		return m.scale(-1)
	}
	return nil
}

// follow carries the selection over from one view to the other.
func (m *topModel) follow() {
	if m.report == nil {
		return
	}
	if !m.byWorker {
		for _, w := range m.workers() {
			if w.PID == m.pid {
				m.app = w.App
			}
		}
		return
	}
	for _, w := range m.workers() {
		if w.App == m.app {
			m.pid = w.PID
			return
		}
	}
}

// move selects what stands so many lines below, as far as there is something.
func (m *topModel) move(by int) {
	if m.report == nil {
		return
	}
	if m.byWorker {
		list := m.workers()
		at := slices.IndexFunc(list, func(w appWorker) bool { return w.PID == m.pid }) + by
		if at >= 0 && at < len(list) {
			m.pid = list[at].PID
		}
		return
	}
	list := m.report.Apps
	at := slices.IndexFunc(list, func(a appReport) bool { return a.Name == m.app }) + by
	if at >= 0 && at < len(list) {
		m.app = list[at].Name
	}
}

// answer takes the answer to whether an application is to be restarted.
func (m *topModel) answer(k string) tea.Cmd {
	app := m.asking
	m.asking = ""
	if k != "y" && k != "Y" {
		m.note = app + " is left as it is"
		return nil
	}
	what := "restart " + app
	m.note = what + " …"
	return func() tea.Msg { return topDone{what, m.daemon.restart(m.ctx, app)} }
}

func (m *topModel) scale(by int) tea.Cmd {
	a := m.current()
	if a == nil {
		return nil
	}
	name, n := a.Name, a.wanted()+by
	if n < 1 {
		m.note = name + ": one worker is the least"
		return nil
	}
	what := fmt.Sprintf("scale %s to %d", name, n)
	m.note = what + " …"
	return func() tea.Msg { return topDone{what, m.daemon.scale(m.ctx, name, n)} }
}

// wanted is how many workers the application is meant to have now.
func (a *appReport) wanted() int {
	return a.States.Busy + a.States.Idle + a.States.Starting + a.States.Failing
}

// rss is the resident memory of all workers.
func (a *appReport) rss() (sum int64) {
	for _, w := range a.Workers {
		sum += w.RSS
	}
	return sum
}

// Restarts are those that nobody asked for.
func (a appReport) Restarts() (n uint64) {
	for cause, count := range a.Ended {
		if slices.Contains(trouble, cause) {
			n += count
		}
	}
	return n
}

// trouble are the causes of a worker's end that nobody asked for.
var trouble = strings.Fields("signal exit oom start-failed request-timeout")
