package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// A storm of exceptions that are all different: each is answered, so is everybody
// else, and what is kept of them stays within its bounds on disk and in memory.
// FRONTD_LONG=1 makes it a minute, and tells how long the others waited beside as
// many bare 500s and beside exceptions, in turn.
func TestExceptionStorm(t *testing.T) {
	program, err := exec.LookPath("failing")
	if err != nil {
		t.Fatal(err)
	}
	dir := counterpart.Dir(t)
	kept := filepath.Join(dir, "kept")
	const keep, size = 50, 1 << 20
	r := launch(t, dir, configure(t, dir, fmt.Sprintf(`
[server]
listen = ["127.0.0.1:0"]
[log]
access = false
file = "%s"
[incidents]
directory = "%s"
keep = %d
size = %d
[app.go]
kind = "go"
target = "%s"
env = { PATH = "${PATH}" }
workers = 1
`, os.DevNull, kept, keep, size, program))...)
	r.awaitServing("go", 1)
	r.url = r.status().Listen[0]
	rounds, each := 1, 500
	if long() {
		rounds, each = 6, 100_000
	}
	begun, before, most := time.Now(), rss(t, r.PID()), int64(0)
	var sent atomic.Int64
	for range rounds {
		for _, path := range []string{"/go/bare", "/go/odd"} {
			others := startLoad(t, r.client, 2, http.MethodGet, r.url+"/go/", "", "go is well\n")
			from := time.Now()
			most = max(most, r.storm500(path, each, &sent))
			took := time.Since(from)
			others.awaitMore(t, 1)
			others.clean(t, "beside "+path)
			slices.Sort(others.slowest)
			t.Logf("%s: %.0f a second; the others waited %v at the median, %v at p99", path, float64(each)/took.Seconds(),
				others.slowest[len(others.slowest)/2], others.slowest[len(others.slowest)*99/100])
		}
	}
	list := r.incidents()
	if limit := min(keep, 50+5*int(time.Since(begun).Seconds()+1)); len(list) == 0 || len(list) > limit {
		t.Errorf("%d incidents, want some and at most %d", len(list), limit)
	}
	r.Signal(syscall.SIGTERM) // what is on its way to the disk is there when it has ended
	r.AwaitExit(patience)
	entries, err := os.ReadDir(kept)
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		bytes += fi.Size()
	}
	if len(entries) > keep+1 || bytes > size+256<<10 { // and the counts
		t.Errorf("%d files of %d bytes are kept", len(entries), bytes)
	}
	t.Logf("%d files of %d KiB, memory grew by %d MiB", len(entries), bytes>>10, (most-before)>>20)
	if grown := most - before; grown > 64*memoryFactor<<20 {
		t.Errorf("frontd has grown by %d MiB", grown>>20)
	}
}

// storm500 has so many requests answered with 500, by 16 clients at once, and
// returns what frontd holds then, in bytes.
func (r *running) storm500(path string, requests int, sent *atomic.Int64) (memory int64) {
	r.t.Helper()
	last := sent.Load() + int64(requests)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { // waited for below
			for n := sent.Add(1); n <= last; n = sent.Add(1) {
				a, err := ask(r.t.Context(), r.client, http.MethodGet, fmt.Sprintf("%s%s?n=%d", r.url, path, n), "", nil)
				if err != nil || a.status != http.StatusInternalServerError {
					r.t.Errorf("%s: status %d, %v", path, a.status, err)
					return
				}
			}
		})
	}
	wg.Wait()
	sent.Store(last)
	return rss(r.t, r.PID())
}
