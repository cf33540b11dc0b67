package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// parentOf reads a process's parent, 0 if there is no such process; a zombie
// is none.
func parentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name may hold anything, even parentheses: the fields begin after the last.
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " ")
	f := strings.Fields(rest)
	if f[0] == "Z" || f[0] == "X" {
		return 0
	}
	ppid, _ := strconv.Atoi(f[1])
	return ppid
}

// prompt is for what has to be done within a time where the machine is ours
// alone (FRONTD_LONG=1). Elsewhere it is told: a busy machine says nothing of us.
func prompt(t testing.TB, what string, took, within time.Duration) {
	t.Helper()
	switch {
	case took <= within:
	case long():
		t.Errorf("%s took %v, want at most %v", what, took, within)
	default:
		t.Logf("%s took %v, which is much (%v on a machine of its own)", what, took, within)
	}
}

// killWorker kills a worker and waits for its successor, which has to serve
// within a second. It returns how long that took.
func killWorker(r *running, app string, pids []int, pid int) time.Duration {
	r.t.Helper()
	start := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	var now []int
	counterpart.Await(r.t, fmt.Sprintf("a new worker for %d", pid), patience, func() error {
		s, err := r.tryStatus()
		if err != nil {
			return err
		}
		now, err = servingPIDs(s, app)
		if err == nil && (len(now) != len(pids) || slices.Contains(now, pid)) {
			err = fmt.Errorf("serving are %v", now)
		}
		return err
	})
	took := time.Since(start)
	prompt(r.t, "the start of another worker", took, time.Second)
	for _, p := range now {
		if got := parentOf(p); got != r.PID() {
			r.t.Errorf("parent of worker %d is %d, want frontd, %d", p, got, r.PID())
		}
	}
	return took
}

// Every worker in turn, then some at random, are killed while clients ask
// without a pause: none of them notices.
func TestKillUnderGet(t *testing.T) {
	r := serve(t, counterpart.Dir(t), "--workers", "8")
	first := r.awaitServing("demo", 8)
	for _, pid := range first {
		if got := parentOf(pid); got != r.PID() {
			t.Errorf("parent of worker %d is %d, want frontd, %d", pid, got, r.PID())
		}
	}
	l := startLoad(t, r.client, 8, http.MethodGet, r.url+"/hello", "", "hello\n")
	l.awaitMore(t, 50)
	var slowest time.Duration
	kill := func(pid int) {
		slowest = max(slowest, killWorker(r, "demo", first, pid))
		l.awaitMore(t, 20)
		l.round(t) // a request that is under way over three kills is lost
	}
	for _, pid := range first {
		kill(pid)
	}
	for range 8 {
		now := r.awaitServing("demo", 8)
		kill(now[rand.IntN(len(now))])
	}
	l.clean(t, "16 workers killed under GET")
	t.Logf("slowest successor after %v", slowest)
	if pids := r.awaitServing("demo", 8); slices.ContainsFunc(pids, func(p int) bool { return slices.Contains(first, p) }) {
		t.Errorf("a killed worker is listed: %v of %v", pids, first)
	}
}

// What cannot be repeated is lost with its worker, and nothing else.
func TestKillUnderPost(t *testing.T) {
	const clients, kills = 8, 6
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(4))...)
	pids := r.awaitServing("demo", 4)
	l := startLoad(t, r.client, clients, http.MethodPost, r.url+"/sleep?ms=5", "body", "slept 5 ms\n")
	l.awaitMore(t, 50)
	var killed []int
	for range kills {
		now := r.awaitServing("demo", 4)
		killed = append(killed, now[rand.IntN(len(now))])
		killWorker(r, "demo", pids, killed[len(killed)-1])
		l.awaitMore(t, 20)
	}
	l.stop()
	for _, err := range l.errs {
		t.Errorf("a broken answer: %v", err)
	}
	for _, f := range l.failures {
		if f.status != http.StatusBadGateway || !strings.Contains(f.body, "worker-died") {
			t.Errorf("status %d, %q; want 502, worker-died", f.status, f.body)
		}
	}
	r.wantIncidents(l.failures)
	// Lost is only what a killed worker had in its hands: of all clients at most one each.
	lost := map[int]int{}
	for _, a := range r.requestLines() {
		if a.Status == http.StatusOK {
			continue
		}
		if lost[a.Worker]++; a.Cause != "worker-died" || !slices.Contains(killed, a.Worker) || lost[a.Worker] > clients {
			t.Errorf("lost without a kill (of %v): %+v", killed, a)
		}
	}
	t.Logf("%d kills: %d of %d requests were lost", kills, len(l.failures), l.total.Load())
}

const jsonLog = `
[server]
listen = ["127.0.0.1:0"]
shutdown_timeout = "10s"
[log]
format = "json"
`

// demoApp is the demo at every URL.
func demoApp(workers int, more ...string) string {
	return fmt.Sprintf(`
[app.demo]
kind = "demo"
workers = %d
%s
[[route]]
path = "/"
app = "demo"
`, workers, strings.Join(more, "\n"))
}

// alivePIDs is an error that names those of pids that are still there.
func alivePIDs(pids []int) error {
	var alive []string
	for _, pid := range pids {
		if parentOf(pid) != 0 {
			alive = append(alive, strconv.Itoa(pid))
		}
	}
	if len(alive) > 0 {
		return errors.New("alive: " + strings.Join(alive, " "))
	}
	return nil
}

// descendants returns all processes below pid.
func descendants(t testing.TB, pid int) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for _, dir := range all {
		p, _ := strconv.Atoi(filepath.Base(dir))
		children[parentOf(p)] = append(children[parentOf(p)], p)
	}
	var list []int
	for next := []int{pid}; len(next) > 0; {
		next = append(next[1:], children[next[0]]...)
		list = append(list, next...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
