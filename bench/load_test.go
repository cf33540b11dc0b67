package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serveTest is a server and its address; its connections end with the test.
func serveTest(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestLoadCounts(t *testing.T) {
	address := serveTest(t, application())
	for _, w := range allWorkloads {
		if w.upload > 1<<20 {
			continue
		}
		l := newLoad(address, w, "", 4, false)
		l.run(newBudget(t.Context(), 0, 50))
		r := l.result()
		l.Close()
		if r.requests != 50 || len(r.failures) > 0 || r.again != 0 || r.p50 <= 0 || r.p99 < r.p50 || r.max < r.p99 {
			t.Errorf("%s: %+v, want 50 right answers", w.Name, r)
		}
		if r.dials < 1 || r.dials > 4 {
			t.Errorf("%s: %d connects by 4 connections that are kept", w.Name, r.dials)
		}
		l.reset()
		if r := l.result(); r.requests != 0 || r.dials != 0 {
			t.Errorf("%s: %+v after reset", w.Name, r)
		}
	}
}

func TestLoadReportsWhatGoesWrong(t *testing.T) {
	var n atomic.Int64
	address := serveTest(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 4 {
		case 0:
			http.Error(w, "no", http.StatusServiceUnavailable)
		case 1:
			io.WriteString(w, "hallo\n")
		case 2:
			w.Header().Set("Content-Length", "6")
			io.WriteString(w, "hel")
			panic(http.ErrAbortHandler)
		default:
			io.WriteString(w, "hello\n")
		}
	}))
	l := newLoad(address, findWorkload("hello"), "", 1, false)
	defer l.Close()
	l.run(newBudget(t.Context(), 0, 40))
	r := l.result()
	want := map[string]int64{"status 503": 10, "body differs": 10, "closed before the answer's end": 10}
	if r.requests != 10 || fmt.Sprint(r.failures) != fmt.Sprint(want) {
		t.Errorf("%d right answers, failures %v; want 10, %v", r.requests, r.failures, want)
	}
}

// A side where nothing listens does not hold the harness up.
func TestLoadGivesUp(t *testing.T) {
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(address, findWorkload("hello"), "", 1, false)
	l.run(newBudget(t.Context(), 0, 1000))
	total := int64(0)
	for what, n := range l.result().failures {
		if total += n; !strings.HasPrefix(what, "cannot connect") {
			t.Errorf("%d × %s", n, what)
		}
	}
	if total != maxFailures {
		t.Errorf("%d failures, want %d", total, maxFailures)
	}
}

// A kept connection that was closed between two requests costs a connect, no failure.
func TestLoadSendsAgain(t *testing.T) {
	address := serveTest(t, application())
	l := newLoad(address, findWorkload("hello"), "", 1, false)
	defer l.Close()
	l.run(newBudget(t.Context(), 0, 1))
	c := l.conns[0]
	c.nc = shutConn{c.nc} // the server's half is closed
	c.rd.reset(c.nc)
	l.reset()
	l.run(newBudget(t.Context(), 0, 1))
	if r := l.result(); r.requests != 1 || r.again != 1 || r.dials != 1 || len(r.failures) > 0 {
		t.Errorf("%+v, want one request, sent again on one new connection", r)
	}
}

func TestBudget(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := newBudget(ctx, time.Hour, 2)
	now := time.Now()
	if !b.take(now) || !b.take(now) || b.take(now) {
		t.Error("a budget of two requests is not two")
	}
	b = newBudget(ctx, time.Minute, 0)
	if !b.take(now) || b.take(now.Add(2*time.Minute)) {
		t.Error("a budget of a minute is not a minute")
	}
	cancel()
	if b.take(now) {
		t.Error("a cancelled budget still gives")
	}
}
