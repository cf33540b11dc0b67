package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

const brokenPython = "raise RuntimeError('it does not start')\n"

const goodPython = `
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"version 1"]
`

// wsgiApp is app.py in the configuration's folder, at every URL.
func wsgiApp(workers int) string {
	return fmt.Sprintf(`
[app.app]
kind = "wsgi"
target = "app:app"
workers = %d
[[route]]
path = "/"
app = "app"
`, workers)
}

// An application that cannot start is told, tried again with pauses that
// grow, and served as soon as it is repaired.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "app.py"), brokenPython)
	began := time.Now()
	r := serve(t, dir, configure(t, dir, jsonLog+wsgiApp(1))...)
	const failed = `"msg":"worker did not start"`
	r.AwaitLine(failed+`.*RuntimeError: it does not start`, patience)

	a := r.get("/first")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "RuntimeError") {
		t.Errorf("status %d, Retry-After %q, %q; want 503 without a traceback", a.status, a.header.Get("Retry-After"), a.body)
	}
	if l := r.awaitRequestLine("/first"); l.Cause != "start-failed" {
		t.Errorf("the access log has %+v", l)
	}
	counterpart.Await(t, "the sixth start", patience, func() error {
		if n := r.Count(failed); n < 6 {
			return fmt.Errorf("%d have failed", n)
		}
		return nil
	})
	// The pauses before the third to the sixth start are 100, 200, 400 and 800 ms,
	// less a fifth at most.
	if took := time.Since(began); took < 1200*time.Millisecond {
		t.Errorf("six starts within %v: the pauses do not grow", took)
	}
	if s := r.status(); !strings.Contains(s.Apps[0].Failing, "it does not start") {
		t.Errorf("status says %q", s.Apps[0].Failing)
	}

	write(t, filepath.Join(dir, "app.py"), goodPython)
	r.awaitServing("app", 1)
	if a := r.get("/"); a.status != http.StatusOK || a.body != "version 1" {
		t.Errorf("after the repair: %d %q", a.status, a.body)
	}
	if s := r.status(); s.Apps[0].Failing != "" {
		t.Errorf("status still says %q", s.Apps[0].Failing)
	}
}

// A worker that starts and always dies at its first request does not keep the
// machine busy with starting it.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(1))...)
	r.awaitServing("demo", 1)
	const window = 3 * time.Second
	crashes, lost := 0, 0
	for began := time.Now(); time.Since(began) < window || crashes < 3; crashes++ {
		a := r.do(http.MethodPost, "/crash?how=exit", "text/plain", nil)
		if a.status != http.StatusBadGateway && a.status != http.StatusServiceUnavailable {
			t.Fatalf("status %d: %q", a.status, a.body)
		}
		if a.status == http.StatusBadGateway {
			lost++
		}
	}
	// At 0, 0, 100, 200, 400, 800 and 1600 ms: some eight, with the requests
	// waiting for each.
	if crashes > 12 {
		t.Errorf("%d crashes in %v", crashes, window)
	}
	// The client learns of a death before the supervisor does.
	counterpart.Await(t, "an exit status in the log for each worker that died", patience, func() error {
		if n := r.Count(`"exit":"exit status 3`); n < max(lost, 3) {
			return fmt.Errorf("%d of %d", n, lost)
		}
		return nil
	})
	r.awaitServing("demo", 1)
	if a := r.get("/hello"); a.status != http.StatusOK {
		t.Errorf("in the end: status %d", a.status)
	}
}

// A worker that never gets ready is not waited for without end.
func TestNeverReady(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+`
[app.mute]
kind = "exec"
target = "sleep 1000"
workers = 1
timeout = { start = "300ms" }
[app.demo]
kind = "demo"
workers = 1
[[route]]
path = "= /mute"
app = "mute"
[[route]]
path = "/"
app = "demo"
`)...)
	if a := r.get("/hello"); a.status != http.StatusOK {
		t.Errorf("the other application: status %d", a.status)
	}
	r.AwaitLine(`"msg":"worker did not start".*"app":"mute"`, patience)
	r.AwaitLine(`(?s)"msg":"worker did not start".*"app":"mute"`, patience)
	a := r.get("/mute")
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", a.status)
	}
}
