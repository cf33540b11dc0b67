package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/internal/counterpart"
)

// inLong is how often something happens: in the suite, and with FRONTD_LONG set
// as often as is promised, for a minute, twenty times.
func inLong(short, often int) int {
	if long() {
		return often
	}
	return short
}

const stormPython = `
import time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/boom":
        import os
        os._exit(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/stream":
        def slow():
            for i in range(20):
                time.sleep(0.05)
                yield b"piece %d\n" % i
        return slow()
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return [b"hello\n"]
`

const stormPHP = `<?php
header("Content-Type: text/plain");
if (($_GET["do"] ?? "") == "stream") {
    for ($i = 0; $i < 20; $i++) { echo "piece $i\n"; flush(); usleep(50000); }
    exit;
}
file_get_contents("php://input");
echo "hello\n";
`

// A stormApp is an application that stands the storms: it says hello, and
// streams twenty pieces within a second.
type stormApp struct {
	name, config  string // %s: more settings
	hello, stream string
	streams       int // clients at once that read slowly
	workers       int
}

// stormApps lays them in dir.
func stormApps(t *testing.T, dir string) []stormApp {
	write(t, filepath.Join(dir, "app.py"), stormPython)
	write(t, filepath.Join(dir, "php", "index.php"), stormPHP)
	route := func(name string) string { return "\n[[route]]\npath = \"/\"\napp = \"" + name + "\"\n" }
	return []stormApp{
		{"demo", "[app.demo]\nkind = \"demo\"\nworkers = 4\n%s" + route("demo"), "/hello", "/stream?n=20&interval=50", 50, 4},
		{"wsgi", "[app.wsgi]\nkind = \"wsgi\"\ntarget = \"app:app\"\nworkers = 4\nthreads = 4\n%s" + route("wsgi"), "/", "/stream", 8, 4},
		{"php", "[app.php]\nkind = \"php\"\ntarget = \"php\"\nworkers = 6\n%s" + route("php"), "/index.php", "/index.php?do=stream", 3, 6},
	}
}

// serveStorm serves one of them, with more settings of the application.
func serveStorm(t *testing.T, dir string, a stormApp, more string) *running {
	t.Helper()
	switch a.name {
	case "wsgi":
		counterpart.Find(t, "python3")
	case "php":
		counterpart.Find(t, "php-cgi")
	}
	r := serve(t, dir, configure(t, dir, jsonLog+fmt.Sprintf(a.config, more))...)
	r.awaitServing(a.name, a.workers)
	return r
}

// Reloads and restarts, one after the other, under full load and with slow
// streams under way: no request fails, none is cut.
func TestTakeOverUnderLoad(t *testing.T) {
	for i := range 3 {
		dir := counterpart.Dir(t)
		a := stormApps(t, dir)[i]
		t.Run(a.name, func(t *testing.T) {
			r := serveStorm(t, dir, a, "")
			hello := startLoad(t, r.client, 8, http.MethodGet, r.url+a.hello, "", "hello\n")
			post := startLoad(t, r.client, 2, http.MethodPost, r.url+a.hello, "body", "hello\n")
			streams := startLoad(t, r.client, a.streams, http.MethodGet, r.url+a.stream, "", "")
			for range inLong(2, 20) {
				for _, args := range [][]string{{"reload"}, {"restart", a.name}} {
					hello.awaitMore(t, 20)
					if out, err := r.command(args...); err != nil {
						t.Fatalf("%v: %v\n%s", args, err, out)
					}
				}
			}
			hello.awaitMore(t, 20)
			hello.clean(t, "GET")
			post.clean(t, "POST")
			streams.clean(t, "streams")
		})
	}
}

// Workers that are recycled after 50 requests, under load: none of them is lost.
func TestRecycleUnderLoad(t *testing.T) {
	for i := range 3 {
		dir := counterpart.Dir(t)
		a := stormApps(t, dir)[i]
		t.Run(a.name, func(t *testing.T) {
			r := serveStorm(t, dir, a, "recycle = { requests = 50, jitter = 0.2 }\n")
			get := startLoad(t, r.client, 4, http.MethodGet, r.url+a.hello, "", "hello\n")
			post := startLoad(t, r.client, 2, http.MethodPost, r.url+a.hello, "body", "hello\n")
			streams := startLoad(t, r.client, 2, http.MethodGet, r.url+a.stream, "", "")
			want := inLong(8, 200)
			counterpart.Await(t, fmt.Sprintf("%d workers recycled", want), 10*patience, func() error {
				if n := r.Count(`"reason":"recycled after `); n < want {
					return fmt.Errorf("%d are", n)
				}
				return nil
			})
			get.clean(t, "GET")
			post.clean(t, "POST")
			streams.clean(t, "streams")
			if n := r.Count(`"msg":"worker did not start"`); n > 0 {
				t.Errorf("%d workers did not start", n)
			}
		})
	}
}

// Random workers are killed ten times a second. A GET notices nothing; of
// POSTs those are lost, and told, that a killed worker had in hand.
func TestKillStorm(t *testing.T) {
	dir := counterpart.Dir(t)
	a := stormApps(t, dir)[0]
	r := serveStorm(t, dir, a, "")
	get := startLoad(t, r.client, 8, http.MethodGet, r.url+"/hello", "", "hello\n")
	post := startLoad(t, r.client, 4, http.MethodPost, r.url+"/sleep?ms=2", "body", "slept 2 ms\n")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	kills := 0
	for range inLong(20, 600) {
		<-tick.C
		if !long() {
			r.awaitServing(a.name, a.workers) // a machine that starts none in time leaves nobody to repeat at
			get.round(t)                      // nor is a request to be under way over three kills
		}
		s := r.status()
		if pids, err := servingPIDs(s, a.name); err == nil && len(pids) > 0 {
			syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL) // one that is gone by now was killed before
			kills++
		}
	}
	r.awaitServing(a.name, a.workers)
	get.awaitMore(t, 50)
	get.clean(t, fmt.Sprintf("GET, %d kills", kills))
	for _, l := range r.requestLines() {
		if l.Method == http.MethodGet && l.Status != http.StatusOK {
			t.Logf("lost: %+v", l)
		}
	}
	post.stop()
	for _, err := range post.errs {
		t.Errorf("POST: a broken answer: %v", err)
	}
	for _, f := range post.failures {
		if f.status != http.StatusBadGateway || !strings.Contains(f.body, "worker-died") {
			t.Errorf("POST: status %d, %q; want 502, worker-died", f.status, f.body)
		}
	}
	r.wantIncidents(post.failures)
	if lost := len(post.failures); lost > 4*kills {
		t.Errorf("%d POSTs lost by %d kills of a worker that had 4 at most", lost, kills)
	}
	t.Logf("POST: %d of %d lost", len(post.failures), post.total.Load())
}

// incidentNamed is how an answer for programs names its incident.
var incidentNamed = regexp.MustCompile(`"incident":"([^"]+)"`)

// wantIncidents checks that each lost request's answer names an incident, which is
// kept and knows of a worker and a request.
func (r *running) wantIncidents(lost []fetched) {
	r.t.Helper()
	f := controlFlag{path: r.control}
	named := map[string]int{}
	for _, a := range lost {
		m := incidentNamed.FindStringSubmatch(a.body)
		if m == nil {
			r.t.Errorf("lost without an incident: %d %q", a.status, a.body)
			continue
		}
		named[m[1]]++
	}
	for id, n := range named {
		var i incident.Incident
		if err := f.call(r.t.Context(), http.MethodGet, "/incidents/"+url.PathEscape(id), &i); err != nil {
			r.t.Errorf("%d lost requests name %s: %v", n, id, err)
			continue
		}
		if i.Worker == nil || i.Worker.PID == 0 || i.Request == nil && len(i.InFlight) == 0 {
			r.t.Errorf("of incident %s neither worker nor request is known: %+v", id, i)
		}
		r.t.Logf("%d lost requests name incident %s: %s, %d times", n, id, i.Title(), i.Count)
	}
}

// A request that kills every worker it comes to takes three with it and no
// more: not the one that is just starting in a killed one's place.
func TestPoison(t *testing.T) {
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "app.py"), stormPython)
	r := serve(t, dir, configure(t, dir, jsonLog+wsgiApp(1))...)
	r.awaitServing("app", 1)
	a := r.get("/boom")
	if a.status != http.StatusBadGateway || !strings.Contains(a.body, "worker-died") {
		t.Errorf("status %d %q, want 502, worker-died", a.status, a.body)
	}
	if l := r.awaitRequestLine("/boom"); l.Attempts != 3 {
		t.Errorf("%d attempts, want 3", l.Attempts)
	}
	if a := r.get("/"); a.status != http.StatusOK {
		t.Errorf("after it: status %d", a.status)
	}
	if n := r.Count(`"msg":"worker did not start"`); n > 0 {
		t.Errorf("%d workers died before they were ready", n)
	}
	counterpart.Await(t, "the ends of three workers in the log", patience, func() error {
		if n := r.Count(`"exit":"exit status 3`); n != 3 {
			return fmt.Errorf("%d workers died of it, want 3", n)
		}
		return nil
	})
}
