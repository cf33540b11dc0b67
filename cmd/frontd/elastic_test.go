package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/internal/counterpart"
	"github.com/frontd/frontd/supervisor"
)

// A crew is workers that need a second to start, on virtual time.
type crew struct {
	k    *keeper
	pool *fcgi.Pool

	mu      sync.Mutex // guards the fields below
	starts  int
	serving map[uint64]*fcgi.Upstream
	booting int
}

func (c *crew) Count() supervisor.Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return supervisor.Tally{Serving: len(c.serving), Starting: c.booting}
}

func (c *crew) Grow(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.starts++
		c.booting++
		w := supervisor.Worker{Generation: uint64(c.starts)}
		time.AfterFunc(time.Second, func() { c.ready(w) })
	}
	return nil
}

func (c *crew) ready(w supervisor.Worker) {
	u := &fcgi.Upstream{Capacity: 1, Transport: &fcgi.Transport{}}
	c.k.a.mu.Lock()
	c.k.a.hands[u] = &hand{worker: w}
	c.k.a.mu.Unlock()
	c.mu.Lock()
	c.booting--
	c.serving[w.Generation] = u
	c.mu.Unlock()
	c.pool.Add(u)
}

func (c *crew) Dismiss(w supervisor.Worker, _ string) bool {
	c.mu.Lock()
	u := c.serving[w.Generation]
	delete(c.serving, w.Generation)
	c.mu.Unlock()
	c.pool.Retire(u)
	c.pool.Remove(u)
	return true
}

// At zero, after ten idle minutes, the first request is answered after one
// start; and at zero nothing looks whether there is something to do.
func TestTenIdleMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ac := &config.App{Name: "a", Kind: config.KindDemo, Elastic: config.Elastic{Max: 4, Idle: time.Minute}}
		a := newApplication(ac, 16, false, &logbook{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		c := &crew{k: a.keeper, pool: a.pool, serving: map[uint64]*fcgi.Upstream{}}
		looks := 0
		a.keeper.spawn(func() {
			a.keeper.watch(func() time.Duration {
				looks++
				return a.keeper.attend(c, ac)
			})
		})
		defer a.close()
		ask := func() time.Duration {
			t.Helper()
			began := time.Now()
			u, err := a.pool.Acquire(t.Context(), fcgi.Turn{Timeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			waited := time.Since(began)
			a.pool.Release(u)
			return waited
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if looks != 1 || c.Count().Serving != 0 {
			t.Errorf("%d looks and %+v in ten minutes of nothing", looks, c.Count())
		}
		if waited := ask(); waited != time.Second || c.starts != 1 {
			t.Errorf("the first request waited %v and started %d, want one start of a second", waited, c.starts)
		}
		if waited := ask(); waited != 0 || c.starts != 1 {
			t.Errorf("the second waited %v, %d starts", waited, c.starts)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if n := c.Count(); n.Serving != 1 {
			t.Errorf("after 59 s idle: %+v", n)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := c.Count(); n.Serving != 0 {
			t.Errorf("after ten minutes idle: %+v", n)
		}
		if waited := ask(); waited != time.Second || c.starts != 2 {
			t.Errorf("the request after that waited %v, %d starts in all", waited, c.starts)
		}
	})
}

// elasticDemo is the demo, one request a worker, from none to four.
const elasticDemo = `
[app.demo]
kind = "demo"
threads = 1
workers = { min = 0, max = 4, idle = "1s" }
[[route]]
path = "/"
app = "demo"
`

func workersOfApp(s statusReport, app string) (n int) {
	for _, a := range s.Apps {
		if a.Name == app {
			n = len(a.Workers)
		}
	}
	return n
}

// awaitWorkers waits until an application has n processes in whatever state.
func (r *running) awaitWorkers(app string, n int) {
	r.t.Helper()
	counterpart.Await(r.t, fmt.Sprintf("%d processes of %s", n, app), patience, func() error {
		s, err := r.tryStatus()
		if err == nil && workersOfApp(s, app) != n {
			err = fmt.Errorf("there are %d", workersOfApp(s, app))
		}
		return err
	})
}

// From none to as many as the load needs and back, and no request notices.
func TestElastic(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+elasticDemo)...)
	if n := workersOfApp(r.status(), "demo"); n != 0 {
		t.Errorf("%d workers before the first request", n)
	}
	for range 2 {
		l := startLoad(t, r.client, 8, http.MethodGet, r.url+"/sleep?ms=20", "", "slept 20 ms\n")
		r.awaitServing("demo", 4)
		l.awaitMore(t, 50)
		l.clean(t, "scaling up")
		r.awaitWorkers("demo", 0)
	}
	if a := r.get("/hello"); a.status != http.StatusOK {
		t.Errorf("from zero again: %d %q", a.status, a.body)
	}
	// A reload proves the new settings with a worker, though none is needed.
	r.awaitWorkers("demo", 0)
	reload := command(t, dir, "reload", "--control", r.control)
	if out, err := reload.CombinedOutput(); err != nil {
		t.Errorf("reload at zero: %v\n%s", err, out)
	}
	scale := command(t, dir, "scale", "demo", "2", "--control", r.control)
	if out, err := scale.CombinedOutput(); err != nil {
		t.Errorf("scale: %v\n%s", err, out)
	}
	r.awaitServing("demo", 2)
}

// What does not start at the first request's wish is told to it, and tried
// again by the next.
func TestElasticDoesNotStart(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "app.py"), brokenPython)
	app := strings.Replace(wsgiApp(1), "workers = 1", `workers = { min = 0, max = 2, idle = "300ms" }`, 1)
	r := serve(t, dir, configure(t, dir, jsonLog+app)...)
	a := r.get("/first")
	r.refused("/first", a, "start-failed")
	r.awaitWorkers("app", 0) // the loop of failing starts ends with the requests
	able := func() error {
		if failing := r.status().Apps[0].Failing; failing != "" {
			return fmt.Errorf("failing: %s", failing)
		}
		return nil
	}
	counterpart.Await(t, "an application that is able to start", patience, able)
	f := controlFlag{path: r.control}
	if err := f.call(t.Context(), http.MethodPost, "/scale?app=app&workers=1", nil); err == nil {
		t.Error("scaled, with an application that does not start")
	}
	counterpart.Await(t, "it to be able again: nobody tries any more", patience, able)
	write(t, filepath.Join(dir, "app.py"), goodPython)
	if a := r.get("/second"); a.status != http.StatusOK || a.body != "version 1" {
		t.Errorf("after the repair: %d %q", a.status, a.body)
	}
}
