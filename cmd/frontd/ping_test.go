package main

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A worker that hangs while it has nothing in hand is found and replaced
// before it costs a request.
func TestPing(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(2, `ping = "500ms"`))...)
	before := r.awaitServing("demo", 2)
	if err := syscall.Kill(before[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.AwaitLine(`"msg":"worker does not answer`, patience)
	counterpart.Await(t, "the end of the worker that hung", patience, func() error { return alivePIDs(before[:1]) })
	now := r.awaitServing("demo", 2)
	if now[0] == before[0] || now[1] == before[0] {
		t.Errorf("serving are %v, and %d hangs", now, before[0])
	}
	r.recycled("unresponsive")
	for range 20 {
		if a := r.get("/hello"); a.status != http.StatusOK {
			t.Errorf("status %d", a.status)
		}
	}
	if err := alivePIDs(before[1:]); err == nil {
		t.Error("the worker that answers was replaced too")
	}
}
