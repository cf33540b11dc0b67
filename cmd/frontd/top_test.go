package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/frontd/frontd/front"
)

// A fakeDaemon notes what it is asked for.
type fakeDaemon struct {
	asked []string
	err   error
}

func (d *fakeDaemon) status(context.Context) (statusReport, error) { return twoApps(), d.err }
func (d *fakeDaemon) restart(_ context.Context, app string) error {
	d.asked = append(d.asked, "restart "+app)
	return d.err
}
func (d *fakeDaemon) scale(_ context.Context, app string, n int) error {
	d.asked = append(d.asked, fmt.Sprintf("scale %s %d", app, n))
	return d.err
}

func twoApps() statusReport {
	long := "/articles/" + strings.Repeat("ü", 300) + "\x1b[2J"
	return statusReport{
		PID: 77, Version: "9.9", Uptime: 3725, Listen: []string{"http://127.0.0.1:8080"}, Open: 3,
		Apps: []appReport{{
			Name: "blog", Queue: 4, Size: 100, States: stateReport{Busy: 1, Idle: 1}, Ended: map[string]uint64{"signal": 2, "replaced": 9},
			Rate: &rateReport{Requests: 12.34, P50: 0.0042, P99: 1.5},
			Workers: []appWorkerReport{
				{PID: 101, Slot: 0, State: "serving", Uptime: 90, Served: 5, Busy: 1, RSS: 30 << 20, CPU: 1,
					InFlight: []front.Flight{{PID: 101, Method: "GET", URI: long, Age: 2500 * time.Millisecond}, {}}},
				{PID: 102, Slot: 1, State: "serving", Uptime: 90, RSS: 20 << 20},
			},
		}, {
			Name: "shop", States: stateReport{Failing: 1}, Failing: "worker shop/0 did not start: exit status 1\n\tno module",
			Workers: []appWorkerReport{{PID: 103, State: "backoff", LastExit: "exit status 1 after 20ms"}},
		}},
	}
}

// appWorkerReport keeps the table above short.
type appWorkerReport = workerReport

func top(t *testing.T) (*topModel, *fakeDaemon) {
	d := &fakeDaemon{}
	m := newTop(t.Context(), d, time.Second)
	m.Update(m.look())
	return m, d
}

// press sends keys, runs what they cause, and gives its message back, as the
// program does.
func press(m *topModel, keys ...string) (last tea.Cmd) {
	for _, k := range keys {
		msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
		switch k {
		case "tab":
			msg = tea.KeyMsg{Type: tea.KeyTab}
		case "down":
			msg = tea.KeyMsg{Type: tea.KeyDown}
		case "up":
			msg = tea.KeyMsg{Type: tea.KeyUp}
		case "ctrl+c":
			msg = tea.KeyMsg{Type: tea.KeyCtrlC}
		}
		if _, last = m.Update(msg); last != nil {
			m.Update(last())
		}
	}
	return last
}

func TestTopShowsApplications(t *testing.T) {
	m, _ := top(t)
	v := ansi.Strip(m.View())
	for _, want := range []string{
		"frontd 9.9  pid 77  up 1h2m5s  3 connections  http://127.0.0.1:8080",
		"APP  QUEUE BUSY IDLE START FAIL   REQ/S  5XX/S     P50     P99     RSS CRASHED",
		"blog     4    1    1     0    0    12.3      0   4.2ms    1.5s   50.0M       2",
		"shop     0    0    0     0    1       -      -       -       -       -       0",
		"blog     101 serving    1m30s    -   30.0M   0    2.5s (+1) GET /articles/üü",
		"blog     102 idle       1m30s    -   20.0M   0",
		"q quit",
	} {
		if !strings.Contains(v, want) {
			t.Errorf("no %q in\n%s", want, v)
		}
	}
	if strings.Contains(m.View(), "\x1b[2J") || strings.Contains(m.View(), "\x1b[1m") {
		t.Error("a request can clear the screen, or there is colour where none is asked for")
	}
	press(m, "down")
	if v = ansi.Strip(m.View()); !strings.Contains(v, "failing: worker shop/0 did not start: exit status 1") || !strings.Contains(v, "before: exit status 1 af") {
		t.Errorf("the failing application, selected:\n%s", v)
	}
}

// No terminal is too small: no line is wider than it, none is too many.
func TestTopFitsEveryTerminal(t *testing.T) {
	for _, colour := range []bool{false, true} {
		for _, keys := range [][]string{nil, {"tab"}, {"?"}, {"r"}} {
			m, _ := top(t)
			m.colour = colour
			press(m, keys...)
			for width := range 140 {
				for _, height := range []int{0, 1, 2, 3, 5, 8, 24, 50} {
					m.Update(tea.WindowSizeMsg{Width: width, Height: height})
					lines := strings.Split(m.View(), "\n")
					if len(lines) > max(height, 1) {
						t.Fatalf("%v: %d lines at %dx%d", keys, len(lines), width, height)
					}
					for _, l := range lines {
						if ansi.StringWidth(l) > width {
							t.Fatalf("%v: %d cells at %dx%d: %q", keys, ansi.StringWidth(l), width, height, l)
						}
					}
				}
			}
		}
	}
}

// What a narrow terminal keeps: which application, how busy, what a worker serves.
func TestTopNarrow(t *testing.T) {
	m, _ := top(t)
	m.Update(tea.WindowSizeMsg{Width: 40, Height: 20})
	v := ansi.Strip(m.View())
	for _, want := range []string{"APP", "BUSY", "REQ/S", "blog", "SERVING", "(+1)"} {
		if !strings.Contains(v, want) {
			t.Errorf("no %s in\n%s", want, v)
		}
	}
}

func TestTopKeys(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  []string
		asked []string
		note  string
	}{
		{"a restart is confirmed", []string{"r", "y"}, []string{"restart blog"}, "restart blog: done"},
		{"or not", []string{"r", "n"}, nil, "blog is left as it is"},
		{"any other key is no yes", []string{"r", "q"}, nil, "blog is left as it is"},
		{"the selected one", []string{"j", "r", "y"}, []string{"restart shop"}, "restart shop: done"},
		{"letters that come at once", []string{"jry"}, []string{"restart shop"}, "restart shop: done"},
		{"not beyond the last", []string{"down", "down", "down", "up", "r", "y"}, []string{"restart blog"}, "restart blog: done"},
		{"not before the first", []string{"k", "k", "r", "y"}, []string{"restart blog"}, "restart blog: done"},
		{"one more", []string{"+"}, []string{"scale blog 3"}, "scale blog to 3: done"},
		{"one fewer", []string{"-"}, []string{"scale blog 1"}, "scale blog to 1: done"},
		{"one is the least", []string{"j", "-"}, nil, "shop: one worker is the least"},
		{"of the worker that is selected", []string{"tab", "j", "j", "r", "y"}, []string{"restart shop"}, "restart shop: done"},
		{"the selection comes along", []string{"j", "tab", "tab", "+"}, []string{"scale shop 2"}, "scale shop to 2: done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, d := top(t)
			press(m, c.keys...)
			if !slices.Equal(d.asked, c.asked) || m.note != c.note {
				t.Errorf("asked for %q, note %q; want %q and %q", d.asked, m.note, c.asked, c.note)
			}
			if !strings.Contains(m.View(), c.note) {
				t.Errorf("%q is not shown", c.note)
			}
		})
	}
}

func TestTopQuits(t *testing.T) {
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {"r", "ctrl+c"}, {"?", "x", "q"}} {
		m, _ := top(t)
		cmd := press(m, keys...)
		if cmd == nil {
			t.Errorf("%v does not quit", keys)
		} else if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%v does not quit", keys)
		}
	}
}

// A daemon that does not answer leaves what is known on the screen, with its
// age, and is asked again.
func TestTopOutlivesTheDaemon(t *testing.T) {
	m, d := top(t)
	d.err = errors.New("connection refused")
	_, again := m.Update(m.look())
	if v := ansi.Strip(m.View()); again == nil || !strings.Contains(v, "ago: connection refused") || !strings.Contains(v, "blog") {
		t.Errorf("view:\n%s", v)
	}
	press(m, "r", "y")
	if m.note != "restart blog: connection refused" {
		t.Errorf("note is %q", m.note)
	}
	fresh := newTop(t.Context(), d, time.Second)
	fresh.Update(fresh.look())
	press(fresh, "j", "tab", "r", "+", "?", "x")
	if v := fresh.View(); !strings.Contains(v, "connection refused") {
		t.Errorf("before the first answer:\n%s", v)
	}
}

func TestTopMeasuresCPU(t *testing.T) {
	m, _ := top(t)
	next := twoApps()
	next.Apps[0].Workers[0].CPU += 0.5
	m.Update(topReport{report: next, at: m.at.Add(2 * time.Second)})
	if share := m.cpu[101].share; share < 0.2499 || share > 0.2501 {
		t.Errorf("half a second of two is %v", share)
	}
	if !strings.Contains(ansi.Strip(m.View()), " 25% ") {
		t.Errorf("view:\n%s", m.View())
	}
}

// The selected worker goes: something else is selected, and nothing breaks.
func TestTopKeepsASelection(t *testing.T) {
	m, _ := top(t)
	press(m, "tab", "j")
	next := twoApps()
	next.Apps = next.Apps[1:]
	m.Update(topReport{report: next, at: m.at.Add(time.Second)})
	if m.pid != 103 || m.current().Name != "shop" {
		t.Errorf("selected are %d and %v", m.pid, m.current())
	}
	m.Update(topReport{report: statusReport{}, at: m.at.Add(time.Second)})
	press(m, "j", "k", "tab", "r", "+", "-", "tab")
	m.View()
}

func TestTopOnce(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, dir, "demo", "-w", "1")
	cmd := command(t, dir, "top", "--interval", "100ms", "--control", r.control)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "0.0 requests/s") || strings.Contains(string(out), "\x1b") {
		t.Errorf("without a terminal: %v\n%s", err, out)
	}
	var exit *exec.ExitError
	if _, err := command(t, dir, "top", "--interval", "1ms", "--control", r.control).Output(); !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		t.Errorf("an interval of 1ms: %v", err)
	}
}
