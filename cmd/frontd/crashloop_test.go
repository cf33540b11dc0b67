package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

const crashLoopPython = `
import os
with open("starts", "a") as f:
    f.write("x")
if not os.path.exists("repaired"):
    import no_such_module
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"repaired\n"]
`

// An application whose workers all fail to start is tried rarely, in few lines
// of log; who asks for it is refused at once with the reason; the neighbour
// notices nothing; and once it is repaired it comes up by itself.
func TestCrashLoopIsQuiet(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "app.py"), crashLoopPython)
	const workers = 4
	began := time.Now()
	r := serve(t, dir, configure(t, dir, strings.Replace(jsonLog, "[log]", "[log]\naccess = false", 1)+fmt.Sprintf(`
[app.broken]
kind = "wsgi"
target = "app:app"
workers = %d
queue = { timeout = "100ms" }
[[route]]
path = "/broken"
app = "broken"
`, workers)+demoApp(1))...)
	r.awaitServing("demo", 1)
	neighbour := startLoad(t, r.client, 1, http.MethodGet, r.url+"/hello", "", "hello\n")
	counterpart.Await(t, "the first start of each", patience, func() error {
		if n := r.Count(`"msg":"worker did not start"`); n < workers {
			return fmt.Errorf("%d have failed", n)
		}
		return nil
	})
	window := time.Duration(inLong(5, 60)) * time.Second
	<-time.NewTimer(window).C // the time that is looked at, not a wait for something

	starts := func() int {
		b, err := os.ReadFile(filepath.Join(dir, "starts"))
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	// After the first of each, pauses that grow to 15 s: see supervisor.Backoff.
	// A busy machine takes longer to look: there is one more in five seconds at most.
	n, more := starts(), int((time.Since(began)-window)/(5*time.Second))
	if n < workers || n > workers+inLong(8, 15)+more {
		t.Errorf("%d starts", n)
	} else {
		t.Logf("%d starts", n)
	}
	// Beside what the workers say themselves.
	if n := strings.Count(r.Log(), "\n") - r.Count(`"stream":"stderr"`); n >= inLong(50, 100)+10*more {
		t.Errorf("%d lines of log", n)
	}
	var took []time.Duration
	for range 11 {
		begin := time.Now()
		a := r.get("/broken")
		took = append(took, time.Since(begin))
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "start-failed") {
			t.Errorf("status %d, %v, %q", a.status, a.header, a.body)
		}
	}
	slices.Sort(took)
	prompt(t, "a refusal", took[len(took)/2], 10*time.Millisecond)
	for _, a := range r.status().Apps {
		if a.Name == "broken" && !strings.Contains(a.Failing, "no_such_module") {
			t.Errorf("status says of it: %q", a.Failing)
		}
	}

	write(t, filepath.Join(dir, "repaired"), "")
	repaired := time.Now()
	r.awaitServing("broken", workers)
	prompt(t, "the return after the repair", time.Since(repaired), 16*time.Second)
	if a := r.get("/broken"); a.status != http.StatusOK {
		t.Errorf("repaired: status %d %q", a.status, a.body)
	}
	neighbour.clean(t, "the neighbour")
}
