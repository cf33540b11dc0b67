package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/frontd/frontd/worker"
)

// The whole of a worker. Start it with "frontd serve exec:./hello", or behind
// another web server with "spawn-fcgi -n -s /run/hello.sock ./hello".
func ExampleServe() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	if err := worker.Serve(nil); err != nil {
		log.Fatal(err)
	}
}

// A worker that listens by itself and takes eight requests at once.
func ExampleServer_ListenAndServe() {
	s := &worker.Server{
		Handler:      http.FileServer(http.Dir("/srv/files")),
		Concurrency:  8,
		DrainTimeout: 10 * time.Second,
	}
	if err := s.ListenAndServe("unix:/run/files/worker.sock"); err != nil {
		log.Fatal(err)
	}
}

// Work stops when the client has gone.
func ExampleServe_cancel() {
	worker.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(10 * time.Second):
			fmt.Fprintln(w, "done")
		case <-r.Context().Done():
			if errors.Is(context.Cause(r.Context()), worker.ErrAborted) {
				fmt.Fprintf(worker.Stderr(r.Context()), "request %s: the client has gone\n", worker.RequestID(r.Context()))
			}
		}
	}))
}

// Outside a worker, as in a program of several uses, fd 0 is no socket.
func ExampleServe_noSocket() {
	err := worker.Serve(nil)
	fmt.Println(errors.Is(err, worker.ErrNoSocket))
	// Output: true
}

// CGI variables that are no header fields, as the web server sent them.
func ExampleParams() {
	worker.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, p := range worker.Params(r) {
			fmt.Fprintf(w, "%s=%s\n", p.Name, p.Value)
		}
	}))
}
