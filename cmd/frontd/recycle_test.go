package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

const greedyPython = `
import os

kept = []

def app(environ, start_response):
    if environ["PATH_INFO"] == "/grow":
        kept.append(os.urandom(1 << 20))
    if environ["PATH_INFO"] == "/child":
        pid = os.fork()
        if pid == 0:
            kept.append(os.urandom(120 << 20))
            import time
            time.sleep(1000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello\n"]
`

// recycled waits until a worker was recycled for a cause, by its counter.
func (r *running) recycled(cause string) {
	r.t.Helper()
	counterpart.Await(r.t, "a worker "+cause, patience, func() error {
		s, err := r.tryStatus()
		if err != nil {
			return err
		}
		if n := s.Apps[0].Ended[cause]; n == 0 {
			return fmt.Errorf("ended: %v", s.Apps[0].Ended)
		}
		return nil
	})
}

// Workers that grow, or whose children do, or that are old, are renewed; the
// new one serves before the old one leaves, and no request fails.
func TestRecycleByMemoryAndAge(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	for _, c := range []struct{ name, limit, cause, path string }{
		{"its own memory", `recycle = { memory = "80MiB", jitter = 0.1 }`, "recycled-memory", "/grow"},
		{"its child's memory", `recycle = { memory = "100MiB", jitter = 0.0 }`, "recycled-memory", "/child"},
		{"age", `recycle = { age = "2s", jitter = 0.5 }`, "recycled-age", "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := counterpart.Dir(t)
			write(t, filepath.Join(dir, "app.py"), greedyPython)
			r := serve(t, dir, configure(t, dir, jsonLog+strings.Replace(wsgiApp(2), "[[route]]", c.limit+"\n[[route]]", 1))...)
			before := r.awaitServing("app", 2)
			var l *load
			if c.path == "/child" {
				r.get("/child")
				l = startLoad(t, r.client, 1, http.MethodGet, r.url+"/", "", "hello\n")
			} else {
				l = startLoad(t, r.client, 1, http.MethodGet, r.url+c.path, "", "hello\n")
			}
			r.recycled(c.cause)
			r.awaitServing("app", 2)
			l.awaitMore(t, 5)
			l.clean(t, "GET")
			counterpart.Await(t, "the end of one of the first", patience, func() error {
				if alivePIDs(before[:1]) == nil || alivePIDs(before[1:]) == nil {
					return nil
				}
				return fmt.Errorf("%v live", before)
			})
		})
	}
}

// php-cgi ends with 255 when it is asked to, if its last script failed: no news.
func TestRecyclePHPAfterFatal(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "php-cgi")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "php", "index.php"), `<?php no_such_function();`)
	r := serve(t, dir, configure(t, dir, jsonLog+`
[app.php]
kind = "php"
target = "php"
workers = 1
recycle = { requests = 1 }
[[route]]
app = "php"
`)...)
	r.awaitServing("php", 1)
	if a := r.get("/"); a.status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", a.status)
	}
	r.AwaitLine(`"msg":"worker gone".*"exit":"exit status 255`, patience)
	if n := r.Count(`"level":"WARN","msg":"worker gone"`); n > 0 {
		t.Error("its end was told as a warning")
	}
}
