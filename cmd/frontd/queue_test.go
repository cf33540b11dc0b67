package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// hold has the only worker busy until the returned function is called.
func (r *running) hold() (release func()) {
	r.t.Helper()
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		// release receives its end, by done.
		defer close(done)
		resp, err := r.client.Post(r.url+"/checksum?hold", "application/octet-stream", pr)
		if err != nil || resp.StatusCode != http.StatusOK {
			r.t.Errorf("the request that held the worker: %v %v", resp, err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}()
	release = sync.OnceFunc(func() { pw.Close(); <-done })
	r.t.Cleanup(release)
	// Enough for body_rate to leave it alone for minutes.
	if _, err := pw.Write(make([]byte, 256<<10)); err != nil {
		r.t.Fatal(err)
	}
	counterpart.Await(r.t, "the worker to be busy", patience, func() error {
		if s := r.status(); s.Apps[0].Busy != 1 {
			return fmt.Errorf("busy: %d", s.Apps[0].Busy)
		}
		return nil
	})
	return release
}

// ask asks in the background; the answer is received from the channel.
func (r *running) ask(path string) <-chan fetched {
	got := make(chan fetched, 1)
	go func() {
		// Its end is received from the channel by whoever wants the answer.
		a, err := ask(r.t.Context(), r.client, http.MethodGet, r.url+path, "", nil)
		if err != nil {
			a.body = err.Error()
		}
		got <- a
	}()
	return got
}

// awaitQueue waits until n requests wait for a worker.
func (r *running) awaitQueue(n int) {
	r.t.Helper()
	counterpart.Await(r.t, fmt.Sprintf("%d requests in the queue", n), patience, func() error {
		if s := r.status(); s.Apps[0].Queue != n {
			return fmt.Errorf("%d wait", s.Apps[0].Queue)
		}
		return nil
	})
}

// One worker with one thread, and room for two to wait: the fourth is refused
// at once, those that wait are served when their turn comes.
func TestQueue(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(1, "threads = 1", `queue = { size = 2, timeout = "10m" }`))...)
	release := r.hold()
	first, second := r.ask("/hello?first"), r.ask("/hello?second")
	r.awaitQueue(2)

	start := time.Now()
	full := r.get("/hello?full")
	prompt(t, "the refusal of a full queue", time.Since(start), 500*time.Millisecond)
	r.refused("/hello?full", full, "queue-full")

	release()
	for uri, answer := range map[string]<-chan fetched{"/hello?first": first, "/hello?second": second} {
		if a := <-answer; a.status != http.StatusOK || a.body != "hello\n" {
			t.Errorf("%s, whose turn came in time: %d %q", uri, a.status, a.body)
		}
		if a := r.awaitRequestLine(uri); a.Cause != "" || a.Status != http.StatusOK {
			t.Errorf("the access log has %+v", a)
		}
	}
	if s := r.status(); s.Apps[0].Queue != 0 || s.Apps[0].Busy != 0 || s.Apps[0].Refused != 1 {
		t.Errorf("status: %d wait, %d busy, %d refused; want 0, 0, 1", s.Apps[0].Queue, s.Apps[0].Busy, s.Apps[0].Refused)
	}
}

// Those that wait too long are refused when their time is over.
func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(1, "threads = 1", `queue = { size = 2, timeout = "300ms" }`))...)
	release := r.hold()
	first, second := r.ask("/hello?first"), r.ask("/hello?second")
	r.refused("/hello?first", <-first, "queue-timeout")
	r.refused("/hello?second", <-second, "queue-timeout")
	release()
	if a := r.get("/hello"); a.status != http.StatusOK {
		t.Errorf("with nobody before it: %d %q", a.status, a.body)
	}
	if s := r.status(); s.Apps[0].Refused != 2 {
		t.Errorf("status: %d refused, want 2", s.Apps[0].Refused)
	}
}

func (r *running) refused(uri string, a fetched, cause string) {
	r.t.Helper()
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, cause) {
		r.t.Errorf("%s: status %d, Retry-After %q, %q; want 503 and %s", uri, a.status, a.header.Get("Retry-After"), a.body, cause)
	}
	if l := r.awaitRequestLine(uri); l.Cause != cause || l.Status != http.StatusServiceUnavailable {
		r.t.Errorf("the access log has %+v, want cause %s", l, cause)
	}
}

// A request that takes too long is answered, and its worker replaced.
func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(1, "threads = 1", `timeout = { request = "300ms" }`))...)
	before := r.awaitServing("demo", 1)
	start := time.Now()
	a := r.get("/sleep?ms=60000")
	took := time.Since(start)
	if a.status != http.StatusGatewayTimeout || took < 300*time.Millisecond {
		t.Errorf("status %d after %v, want 504 after 300ms", a.status, took)
	}
	if l := r.awaitRequestLine("/sleep?ms=60000"); l.Cause != "request-timeout" || l.Worker != before[0] {
		t.Errorf("the access log has %+v, want request-timeout by %d", l, before[0])
	}
	counterpart.Await(t, "the worker to be replaced", patience, func() error {
		s, err := r.tryStatus()
		if err != nil {
			return err
		}
		now, err := servingPIDs(s, "demo")
		if err == nil && (len(now) != 1 || slices.Contains(now, before[0])) {
			err = fmt.Errorf("serving are %v, before %v", now, before)
		}
		return err
	})
	// Its successor did not wait for it to tell what it was doing.
	counterpart.Await(t, "the end of the worker that hung", patience, func() error { return alivePIDs(before) })
	if a := r.get("/hello"); a.status != http.StatusOK {
		t.Errorf("the new worker: status %d", a.status)
	}
}

// A worker that dies in mid-answer leaves a visibly broken response.
func TestDeathInMidAnswer(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(1))...)
	pids := r.awaitServing("demo", 1)
	for _, path := range []string{"/stream?n=1000&interval=100", "/download?bytes=10737418240"} {
		resp, err := r.client.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		killWorker(r, "demo", pids, r.awaitServing("demo", 1)[0])
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: the body ended with %v, want an unexpected end", path, err)
		}
		if l := r.awaitRequestLine(path); l.Cause != "worker-died" {
			t.Errorf("the access log has %+v", l)
		}
	}
	// Whether the head was on its way or not: never a whole answer.
	if a, err := ask(t.Context(), r.client, http.MethodPost, r.url+"/crash?how=abort", "text/plain", nil); err == nil {
		t.Errorf("an answer that its application broke off is complete: %d %q", a.status, a.body)
	}
}
