package main

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// Heads over the limit are 431, in one field or in many; just below it they
// reach the application whole.
func TestHeadTooLarge(t *testing.T) {
	t.Parallel()
	r := serve(t, counterpart.Dir(t), "-w", "1")
	ask := func(set func(http.Header)) fetched {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/headers", nil)
		if err != nil {
			t.Fatal(err)
		}
		set(req.Header)
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		if err := resp.Write(&b); err != nil {
			t.Fatal(err)
		}
		return fetched{resp.StatusCode, resp.Header, b.String()}
	}
	value := strings.Repeat("v", 8_000)
	if a := ask(func(h http.Header) { h.Set("X-Big", value) }); a.status != http.StatusOK || !strings.Contains(a.body, "X-Big: "+value+"\n") {
		t.Errorf("8,000 bytes: status %d, %d bytes", a.status, len(a.body))
	}
	if a := ask(func(h http.Header) { h.Set("X-Big", strings.Repeat("v", 200_000)) }); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("200,000 bytes in one field: status %d", a.status)
	}
	if a := ask(func(h http.Header) {
		for i := range 5000 {
			h.Set(fmt.Sprintf("X-%d", i), "some forty bytes of value for this field")
		}
	}); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("5,000 fields: status %d", a.status)
	}
	if a := r.get("/hello"); a.status != http.StatusOK {
		t.Errorf("afterwards: status %d", a.status)
	}
}

// A pool whose workers are taken over to new ones while a web server sends
// requests without a pause: none fails.
func TestPoolReplaceUnderLoad(t *testing.T) {
	dir := counterpart.Dir(t)
	socket := dir + "/pool.sock"
	p := counterpart.Start(t, command(t, dir, "pool", "demo", "-l", "unix:"+socket, "-w", "2"))
	p.AwaitLine("worker ready.*slot=0", patience)
	p.AwaitLine("worker ready.*slot=1", patience)
	open(t, socket)
	s := webServers[0].start(t, socket)
	l := startLoad(t, s.client, 4, http.MethodGet, s.url+"/hello", "", "hello\n")
	l.awaitMore(t, 50)
	for n := range 3 {
		p.Signal(syscall.SIGHUP)
		counterpart.Await(t, "the end of the workers before", patience, func() error {
			if gone := p.Count("worker gone"); gone < 2*(n+1) {
				return fmt.Errorf("%d are gone", gone)
			}
			return nil
		})
		l.awaitMore(t, 50)
	}
	l.clean(t, "a pool replaced three times")
}
