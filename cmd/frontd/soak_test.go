package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// soakFor is how long TestSoak takes when it is not asked for more: enough to
// see that it works. FRONTD_SOAK=30m is what `make soak` does.
const soakFor = 6 * time.Second

// TestSoak serves mixed traffic through faults and reloads. At three points the
// traffic rests, and what the daemon holds is counted: at the end it must hold
// no more than at the start. What is safe to repeat must never have failed.
func TestSoak(t *testing.T) {
	length := soakFor
	if s := os.Getenv("FRONTD_SOAK"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil || length <= 0 {
			t.Fatalf("FRONTD_SOAK=%s: want a duration such as 30m", s)
		}
	}
	s := &soak{running: serveSoak(t), t: t}
	for first := true; first || s.least() < 5; first = false {
		s.phase(length / 6) // buffers, pools and pages find their size
	}
	start := s.sample("start")
	s.phase(length * 5 / 12)
	middle := s.sample("middle")
	s.phase(length * 5 / 12)
	end := s.sample("end")
	s.report(start, middle, end)
	s.judge(start, end)
}

func serveSoak(t *testing.T) *running {
	counterpart.Find(t, "php-cgi")
	dir := counterpart.Dir(t)
	layMisbehave(t, dir)
	layPHP(t, dir)
	r := serve(t, dir, configure(t, dir, strings.Replace(jsonLog, `format = "json"`, "format = \"json\"\naccess = false", 1)+`
[app.demo]
kind = "demo"
workers = 3
recycle = { requests = 2000, jitter = 0.2 }
[app.php]
kind = "php"
target = "site"
workers = 2
recycle = { requests = 200 }
[app.bad]
kind = "go"
target = "./misbehave"
workers = 2
timeout = { request = "1s", stop = "1s" }
output = { file = "bad.log" }
[[route]]
path = "/php/"
app = "php"
[[route]]
path = "/bad/"
app = "bad"
mount = "/bad"
[[route]]
app = "demo"
`)...)
	return r
}

// A soak is one long run.
type soak struct {
	*running
	t     *testing.T
	done  sync.Map // name -> *tally
	kills atomic.Int64
	turns atomic.Int64 // reloads and restarts
}

// A tally counts the requests of one kind.
type tally struct {
	total, failed atomic.Int64
	cut           atomic.Int64           // the connection ended while the body was still being sent
	first         atomic.Pointer[string] // failure
}

func (s *soak) tally(name string) *tally {
	v, _ := s.done.LoadOrStore(name, new(tally))
	return v.(*tally)
}

// phase lets everything run for a while, and then rest.
func (s *soak) phase(length time.Duration) {
	client := newClient(s.t)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(s.t.Context(), length)
	defer cancel()
	var all sync.WaitGroup
	repeat := func(clients int, what func(ctx context.Context)) {
		for range clients {
			all.Go(func() { // Wait below
				for ctx.Err() == nil {
					what(context.WithoutCancel(ctx))
				}
			})
		}
	}
	request := func(name, method, path, body string, ok func(fetched) bool) func(context.Context) {
		return func(ctx context.Context) {
			var r io.Reader
			if body != "" {
				r = strings.NewReader(body)
			}
			a, err := ask(ctx, client, method, s.url+path, "application/octet-stream", r)
			if err != nil && body != "" && (a.status == 0 || a.status == http.StatusBadGateway || errors.Is(err, io.ErrUnexpectedEOF)) {
				// Its worker was killed, and the 502 or its end overtaken by the connection's;
				// or an answer that had begun, as an echo does with the body's first piece, broke off, which is seen.
				s.tally(name).total.Add(1)
				s.tally(name).cut.Add(1)
				return
			}
			s.count(name, err == nil && ok(a), fmt.Sprintf("%d %.100q %v", a.status, a.body, err))
		}
	}
	is := func(body string) func(fetched) bool {
		return func(a fetched) bool { return a.status == http.StatusOK && strings.Contains(a.body, body) }
	}
	// A POST dies with its worker: 502, and nothing else.
	orDied := func(ok func(fetched) bool) func(fetched) bool {
		return func(a fetched) bool {
			return ok(a) || a.status == http.StatusBadGateway && strings.Contains(a.body, "worker-died")
		}
	}
	repeat(3, request("GET", http.MethodGet, "/hello", "", is("hello\n")))
	repeat(1, request("POST", http.MethodPost, "/echo", strings.Repeat("x", 3000), orDied(is("xxx"))))
	repeat(1, request("POST 1 MiB", http.MethodPost, "/checksum", strings.Repeat("y", 1<<20), orDied(is(`"size":1048576`))))
	repeat(1, request("GET slow", http.MethodGet, "/sleep?ms=200", "", is("slept")))
	repeat(1, request("GET php", http.MethodGet, "/php/form.php?name=n&text=t", "", is("")))
	repeat(1, request("GET bad", http.MethodGet, "/bad/hello", "", func(a fetched) bool { return a.status < 600 }))
	repeat(1, s.leave(client))
	all.Go(func() { s.disturb(ctx, client) }) // Wait below
	all.Wait()
}

// least is how often it was asked for what was asked for least.
func (s *soak) least() int64 {
	least := int64(math.MaxInt64)
	s.done.Range(func(_, v any) bool {
		least = min(least, v.(*tally).total.Load())
		return true
	})
	return least
}

func (s *soak) count(name string, ok bool, what string) {
	n := s.tally(name)
	n.total.Add(1)
	if !ok {
		n.failed.Add(1)
		n.first.CompareAndSwap(nil, &what)
	}
}

// leave goes away in the middle of an answer.
func (s *soak) leave(client *http.Client) func(context.Context) {
	return func(ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/download?bytes=10000000", nil)
		if err != nil {
			s.t.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err == nil {
			_, err = io.CopyN(io.Discard, resp.Body, 100_000)
			cancel()
			resp.Body.Close()
		}
		// It dies with its worker once it has begun: that is no failure here.
		s.count("GET left", err == nil || resp != nil, fmt.Sprint(err))
	}
}

// disturb does to the daemon what may be done to it, one thing after the other.
func (s *soak) disturb(ctx context.Context, client *http.Client) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		ctx := context.WithoutCancel(ctx)
		switch n % 6 {
		case 0, 2:
			s.killOne()
		case 1:
			s.command(ctx, "/reload")
		case 3:
			s.command(ctx, "/restart?app="+[]string{"demo", "php", "bad"}[n/6%3])
		case 4:
			what := []string{"/bad/hang", "/bad/flood?bytes=1000000", "/bad/open", "/bad/leave"}[n/6%4]
			_, err := ask(ctx, client, http.MethodPost, s.url+what, "", nil)
			s.count("faults", err == nil, fmt.Sprint(what, err))
		case 5:
			s.Signal(syscall.SIGUSR1)
		}
	}
}

func (s *soak) command(ctx context.Context, path string) {
	f := controlFlag{path: s.control}
	err := f.call(ctx, http.MethodPost, path, nil)
	s.turns.Add(1)
	s.count("control", err == nil, fmt.Sprint(path, " ", err))
}

// killOne kills a serving worker at random, of an application that has another.
func (s *soak) killOne() {
	st, err := s.tryStatus()
	if err != nil {
		s.count("control", false, err.Error())
		return
	}
	app := st.Apps[rand.IntN(len(st.Apps))]
	pids, err := servingPIDs(st, app.Name)
	if err != nil || len(pids) < 2 {
		return
	}
	if syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL) == nil {
		s.kills.Add(1)
	}
}

// A holding is what the daemon holds when nothing is asked of it.
type holding struct {
	name                                     string
	descriptors, goroutines, children, dead  int
	memory                                   int64
	requests, failed, kills, turns, logsLost int64
}

// sample waits until the daemon rests, with workers that have served nothing
// yet, and counts. What is on its way to its end is given its time.
func (s *soak) sample(name string) holding {
	s.t.Helper()
	s.command(s.t.Context(), "/reload")
	h := holding{name: name}
	counterpart.Await(s.t, "the daemon to rest", patience, func() error {
		st, err := s.tryStatus()
		if err != nil {
			return err
		}
		for _, a := range st.Apps {
			for _, w := range a.Workers {
				if w.State != "serving" || len(w.InFlight) > 0 {
					return fmt.Errorf("worker %d of %s is %s with %d requests", w.PID, a.Name, w.State, len(w.InFlight))
				}
			}
		}
		before := h
		h.descriptors, h.goroutines = descriptorsOf(s.t, s.PID()), st.Routines
		h.children, h.dead = len(descendants(s.t, s.PID())), deadChildren(s.t, s.PID())
		h.logsLost = int64(st.LogLost)
		switch {
		case st.Open > 0:
			return fmt.Errorf("%d connections are open", st.Open)
		case h != before || h.dead > 0:
			return fmt.Errorf("it still changes: %+v", h)
		}
		return nil
	})
	h.memory, h.kills, h.turns = rss(s.t, s.PID()), s.kills.Load(), s.turns.Load()
	s.done.Range(func(_, v any) bool {
		h.requests += v.(*tally).total.Load()
		h.failed += v.(*tally).failed.Load()
		return true
	})
	return h
}

// deadChildren counts the zombies of a process.
func deadChildren(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0 // a kernel without CONFIG_PROC_CHILDREN
	}
	n := 0
	for _, child := range strings.Fields(string(b)) {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		if _, rest, ok := strings.Cut(string(stat), ") "); err == nil && ok && strings.HasPrefix(rest, "Z") {
			n++
		}
	}
	return n
}

func (s *soak) report(list ...holding) {
	var b strings.Builder
	row := func(name string, value func(holding) any) {
		fmt.Fprintf(&b, "\n%-14s", name)
		for _, h := range list {
			fmt.Fprintf(&b, "%12v", value(h))
		}
	}
	row("", func(h holding) any { return h.name })
	row("descriptors", func(h holding) any { return h.descriptors })
	row("goroutines", func(h holding) any { return h.goroutines })
	row("children", func(h holding) any { return h.children })
	row("RSS, MiB", func(h holding) any { return h.memory >> 20 })
	row("requests", func(h holding) any { return h.requests })
	row("failed", func(h holding) any { return h.failed })
	row("kill -9", func(h holding) any { return h.kills })
	row("reloads", func(h holding) any { return h.turns })
	row("log lines lost", func(h holding) any { return h.logsLost })
	var kinds []string
	s.done.Range(func(name, v any) bool {
		n := v.(*tally)
		kinds = append(kinds, fmt.Sprintf("\n%-14s%12d, %d failed, %d cut", name, n.total.Load(), n.failed.Load(), n.cut.Load()))
		return true
	})
	slices.Sort(kinds)
	s.t.Log(b.String() + "\n" + strings.Join(kinds, ""))
}

// Growth that is none: what the runtime keeps for the next time.
const (
	memorySlack     = memoryFactor * 16 << 20
	routineSlack    = 4
	descriptorSlack = 2 // a connection to a worker that was kept, or not
)

func (s *soak) judge(start, end holding) {
	if end.descriptors > start.descriptors+descriptorSlack {
		s.t.Errorf("%d descriptors are open, %d were", end.descriptors, start.descriptors)
	}
	if end.goroutines > start.goroutines+routineSlack {
		s.t.Errorf("%d goroutines, there were %d", end.goroutines, start.goroutines)
	}
	if end.children != start.children {
		s.t.Errorf("%d processes, there were %d", end.children, start.children)
	}
	if end.memory > start.memory*5/4+memorySlack {
		s.t.Errorf("RSS is %d MiB, was %d MiB", end.memory>>20, start.memory>>20)
	}
	s.done.Range(func(name, v any) bool {
		n := v.(*tally)
		if n.cut.Load() > end.kills {
			s.t.Errorf("%s: %d of %d were cut, of %d kills", name, n.cut.Load(), n.total.Load(), end.kills)
		}
		if n.failed.Load() > 0 {
			s.t.Errorf("%s: %d of %d failed, the first with %s", name, n.failed.Load(), n.total.Load(), *n.first.Load())
		}
		return true
	})
}
