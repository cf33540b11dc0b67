package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// A load is clients that ask without a pause until they are told to stop.
type load struct {
	total  atomic.Int64
	each   []atomic.Int64 // answers, by client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	failures []fetched
	errs     []error
	slowest  []time.Duration // of each answer, in order of arrival
}

// startLoad asks with as many clients at once; whatever is not a complete 200
// with the wanted body is a failure.
func startLoad(t testing.TB, c *http.Client, clients int, method, url, body, want string) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, each: make([]atomic.Int64, clients)}
	for i := range clients {
		l.wg.Go(func() { // stop waits for it
			for ctx.Err() == nil {
				l.one(ctx, c, method, url, body, want)
				l.each[i].Add(1)
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) one(ctx context.Context, c *http.Client, method, url, body, want string) {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	start := time.Now()
	// A client that leaves would be a failure of its own: a request that has
	// begun is let to end.
	a, err := ask(context.WithoutCancel(ctx), c, method, url, "application/octet-stream", r)
	took := time.Since(start)
	l.total.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = append(l.slowest, took)
	switch {
	case err != nil:
		l.errs = append(l.errs, err)
	case a.status != http.StatusOK:
		l.failures = append(l.failures, a)
	case want != "" && a.body != want:
		l.errs = append(l.errs, fmt.Errorf("200 with the body %.200q", a.body))
	}
}

// stop lets each client finish its last request.
func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

// round waits until each client has an answer to what it has asked for: none of
// the requests under way now is any more.
func (l *load) round(t testing.TB) {
	t.Helper()
	for i := range l.each {
		n := l.each[i].Load()
		counterpart.Await(t, fmt.Sprintf("an answer for client %d", i), patience, func() error {
			if l.each[i].Load() == n {
				return errors.New("none")
			}
			return nil
		})
	}
}

// awaitMore waits until n more requests have been answered: that the load is
// really on its way.
func (l *load) awaitMore(t testing.TB, n int64) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for until := l.total.Load() + n; l.total.Load() < until; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the load stands still after %d requests", l.total.Load())
		}
	}
}

// clean fails the test unless all was answered.
func (l *load) clean(t testing.TB, while string) {
	t.Helper()
	l.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures)+len(l.errs) > 0 {
		first := ""
		if len(l.failures) > 0 {
			first = fmt.Sprintf("%d %q", l.failures[0].status, l.failures[0].body)
		}
		t.Errorf("%s: of %d requests %d were refused (%s), %d broken (%v)", while, l.total.Load(), len(l.failures), first, len(l.errs), errors.Join(l.errs[:min(3, len(l.errs))]...))
		return
	}
	t.Logf("%s: %d requests, none failed", while, l.total.Load())
}
