package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// A storm of exceptions that are all different: each is answered, so is everybody
// else, and what is kept of them stays within its bounds on disk and in memory.
// FRONTD_LONG=1 makes it a minute of 10,000 a second, and tells how long the others
// waited beside bare 500s, beside exceptions that make no incidents, and beside those that do,
// in turn, and what they cost frontd.
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
target = "%[5]s"
env = { PATH = "${PATH}" }
workers = 1
[app.untold]
kind = "go"
target = "%[5]s"
env = { PATH = "${PATH}" }
workers = 1
exception = { store = "none" }
[[route]]
host = "untold.test"
path = "/"
app = "untold"
[[route]]
path = "/"
app = "go"
`, os.DevNull, kept, keep, size, program))...)
	r.awaitServing("go", 1)
	r.awaitServing("untold", 1)
	r.url = r.status().Listen[0]
	rounds, each, rate := 1, 500, 0
	if long() {
		rounds, each, rate = 6, 100_000, 10_000
	}
	begun, before, most := time.Now(), rss(t, r.PID()), int64(0)
	var sent atomic.Int64
	urls := []string{"told.test/go/bare", "untold.test/go/odd", "told.test/go/odd"}
	waits, cost := make(map[string][]time.Duration), make(map[string]time.Duration)
	for range rounds {
		for _, url := range urls {
			others := r.startNeighbours(t, 2, "told.test/go/")
			from, used := time.Now(), cpuTime(r.PID())
			most = max(most, r.storm500(url, each, rate, &sent))
			took := time.Since(from)
			cost[url] += cpuTime(r.PID()) - used
			waits[url] = append(waits[url], others()...)
			t.Logf("%s: %.0f a second", url, float64(each)/took.Seconds())
		}
	}
	for _, url := range urls {
		w := waits[url]
		if len(w) == 0 {
			t.Fatal("the others were not answered")
		}
		slices.Sort(w)
		t.Logf("%s: %v of CPU for each, with the others'; %d others waited %v at the median, %v at p99", url,
			cost[url]/time.Duration(rounds*each+len(w)), len(w), w[len(w)/2], w[len(w)*99/100])
	}
	var found int
	counterpart.Await(t, "an incident", patience, func() error { // they are gathered behind the answers
		if found = len(r.incidents()); found == 0 {
			return errors.New("there is none yet")
		}
		return nil
	})
	if limit := min(keep, 50+5*int(time.Since(begun).Seconds()+1)); found > limit {
		t.Errorf("%d incidents, want some and at most %d", found, limit)
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

// storm500 has so many requests answered with 500, by 16 clients at once, at so
// many a second or, for 0, without a pause, and returns what frontd holds then, in bytes.
func (r *running) storm500(url string, requests, rate int, sent *atomic.Int64) (memory int64) {
	r.t.Helper()
	first := sent.Load()
	last, begun := first+int64(requests), time.Now()
	var wg sync.WaitGroup
	for range 16 {
		w := r.wire()
		wg.Go(func() { // waited for below
			for n := sent.Add(1); n <= last; n = sent.Add(1) {
				if rate > 0 {
					<-time.After(time.Until(begun.Add(time.Duration(n-first) * time.Second / time.Duration(rate))))
				}
				if status, _, err := w.get(fmt.Sprintf("%s?n=%d", url, n)); err != nil || status != http.StatusInternalServerError {
					r.t.Errorf("%s: status %d, %v", url, status, err)
					return
				}
			}
		})
	}
	wg.Wait()
	sent.Store(last)
	return rss(r.t, r.PID())
}

// startNeighbours has so many clients ask 200 times a second each. The function
// that it returns stops them, and returns how long each answer took.
func (r *running) startNeighbours(t *testing.T, clients int, url string) (stop func() []time.Duration) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	took := make([][]time.Duration, clients)
	for i := range clients {
		w := r.wire()
		wg.Go(func() { // waited for by stop
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				from := time.Now()
				if status, body, err := w.get(url); err != nil || status != http.StatusOK || body != "go is well\n" {
					t.Errorf("the others: status %d, %q, %v", status, body, err)
					return
				}
				took[i] = append(took[i], time.Since(from))
				select {
				case <-tick.C:
				case <-done:
					return
				}
			}
		})
	}
	return func() []time.Duration {
		close(done)
		wg.Wait()
		return slices.Concat(took...)
	}
}

// A wire is a connection of a client that costs little itself.
type wire struct {
	nc net.Conn
	br *bufio.Reader
}

func (r *running) wire() *wire {
	nc := r.dial()
	nc.SetDeadline(time.Now().Add(10 * time.Minute)) // longer than any storm
	return &wire{nc, bufio.NewReader(nc)}
}

// get asks for HOST/PATH.
func (w *wire) get(url string) (status int, body string, err error) {
	host, path, _ := strings.Cut(url, "/")
	if _, err := fmt.Fprintf(w.nc, "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(w.br, nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
