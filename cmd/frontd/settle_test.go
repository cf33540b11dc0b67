package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// An application that holds each thread for as long as the test wants it to.
const holdingApp = `
import sys
def application(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        print("holding", file=sys.stderr, flush=True)
        with open("gate", "rb", 0) as gate:
            gate.read(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
`

// A thread that is at work for a client who left has its place: nobody else is
// sent to it before it is done.
func TestPlaceOfAbandonedRequest(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	r := serveSite(t, holdingApp, "workers = 1\nthreads = 2\nqueue = { size = 4, timeout = \"500ms\" }\n")
	r.awaitServing("site", 1)
	path := filepath.Join(r.dir, "gate")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	gate, err := os.OpenFile(path, os.O_RDWR, 0) // a writer, whether a thread reads or not yet
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	mark := r.Mark()
	for range 2 {
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := ask(ctx, r.client, http.MethodGet, r.url+"/hold", "", nil)
			ended <- err // received below
		}()
		r.AwaitLineAfter(mark, "holding", patience)
		leave()
		if err := <-ended; err == nil {
			t.Fatal("/hold was answered")
		}
		r.AwaitLineAfter(mark, `"uri":"/hold".*"cause":"client-gone"`, patience)
		mark = r.Mark()
	}
	if a := r.get("/quick"); a.status != http.StatusServiceUnavailable {
		t.Errorf("with both threads at work: %d %q", a.status, a.body)
	}
	r.AwaitLineAfter(mark, `"uri":"/quick".*"cause":"queue-timeout"`, patience)
	if _, err := gate.WriteString("12"); err != nil {
		t.Fatal(err)
	}
	counterpart.Await(t, "the places to come back", patience, func() error {
		s, err := r.tryStatus()
		if err == nil && s.Apps[0].Busy > 0 {
			err = fmt.Errorf("%d are taken", s.Apps[0].Busy)
		}
		return err
	})
	if a := r.get("/quick"); a.body != "done" {
		t.Errorf("with no thread at work: %d %q", a.status, a.body)
	}
}
