package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/frontd/frontd/fcgi"
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

// Any middleware for net/http goes around the handler.
func ExampleServe_middleware() {
	logged := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			fmt.Fprintln(worker.Stderr(r.Context()), r.Method, r.URL.Path)
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
	if err := worker.Serve(http.TimeoutHandler(logged(mux), 10*time.Second, "too slow")); err != nil {
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
				// Not to worker.Stderr: for frontd this request is over.
				log.Printf("request %s: the client has gone", worker.RequestID(r.Context()))
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

// An Authorizer is asked before the application: in frontd.toml, a route's
// authorizer names it.
func ExampleServer_authorizer() {
	s := &worker.Server{Authorizer: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "ada" || password != "lovelace" {
			w.Header().Set("WWW-Authenticate", `Basic realm="engine"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Variable-User", user) // the application's variable USER
	})}
	ask(s, fcgi.RoleAuthorizer, "", "HTTP_AUTHORIZATION=Basic YWRhOmxvdmVsYWNl")
	ask(s, fcgi.RoleAuthorizer, "")
	// Output:
	// status 200
	// Variable-User: ada
	// status 401
}

// A Filter gets a file to send, here to send it in capitals.
func ExampleData() {
	s := &worker.Server{Filter: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(worker.Data(r.Context()))
		if err != nil {
			http.Error(w, "the file is not whole", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, strings.ToUpper(string(text)))
	})}
	ask(s, fcgi.RoleFilter, "quiet\n", "FCGI_DATA_LENGTH=6", "FCGI_DATA_LAST_MOD=0")
	// Output:
	// status 200
	// Content-Type: text/plain
	// QUIET
}

// The connection to the client is the web server's. What asks for it, as
// WebSockets do, gets an error that says so.
func ExampleServer_hijack() {
	s := &worker.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		if errors.Is(err, errors.ErrUnsupported) {
			http.Error(w, "no WebSockets here", http.StatusNotImplemented)
		}
	})}
	ask(s, fcgi.RoleResponder, "")
	// Output:
	// status 501
	// Content-Type: text/plain; charset=utf-8
	// no WebSockets here
}

// Deadlines of one request, over whatever the web server's are.
func ExampleServer_deadline() {
	s := &worker.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		control.SetReadDeadline(time.Now().Add(-time.Second)) // over already
		_, err := io.ReadAll(r.Body)
		fmt.Fprintln(w, "too slow:", errors.Is(err, os.ErrDeadlineExceeded))
	})}
	ask(s, fcgi.RoleResponder, "", "REQUEST_METHOD=POST", "CONTENT_LENGTH=3")
	// Output:
	// status 200
	// Content-Type: text/plain; charset=utf-8
	// too slow: true
}
