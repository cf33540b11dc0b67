// Package demo is the built-in application: it shows a request as a worker
// sees it, and has a page for each thing that is worth trying on a server.
package demo

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// Options tell the demo what it cannot find in a request.
type Options struct {
	// Params returns the FastCGI parameters of a request. Nil: none are shown.
	Params func(*http.Request) map[string]string

	// Mount returns the part of r.URL.Path above the demo, without a slash at
	// its end. Nil: "".
	Mount func(*http.Request) string

	// Session returns the visitor's session. Nil: there are none.
	Session func(*http.Request) Session

	// Worker names this worker. Empty: its host's name.
	Worker string
}

// A site is the demo as one worker shows it. It is immutable.
type site struct {
	Options
}

// New returns the demo. It keeps nothing between requests and reads no file.
func New(o Options) http.Handler {
	if o.Worker == "" {
		o.Worker, _ = os.Hostname() // only shown
	}
	s := &site{o}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.index)
	mux.HandleFunc("/form", s.form)
	mux.HandleFunc("GET /upload", s.uploadForm)
	mux.HandleFunc("POST /upload", s.upload)
	mux.HandleFunc("PUT /upload", s.uploadRaw)
	mux.HandleFunc("/checksum", s.uploadRaw)
	mux.HandleFunc("/redirect", s.redirect)
	mux.HandleFunc("/session", s.session)
	mux.HandleFunc("GET /crash", s.crashForm)
	// A page of another site must not be able to crash a worker.
	mux.Handle("POST /crash", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.crash)))
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/headers", headers)
	mux.HandleFunc("/status", status)
	mux.HandleFunc("/sleep", sleep)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/stream", stream)
	mux.HandleFunc("/events", events)
	mux.HandleFunc("/download", download)
	mux.HandleFunc("/", s.notFound)
	return s.unmount(mux)
}

// unmount gives next the path below the mount, and every answer the headers
// that keep a browser from seeing more in it than is there.
func (s *site) unmount(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", contentPolicy)
		mount := s.mount(r)
		path, ok := strings.CutPrefix(r.URL.Path, mount)
		if !ok || path != "" && path[0] != '/' {
			s.notFound(w, r)
			return
		}
		if path == "" {
			path = "/"
		}
		if mount != "" {
			r = r.WithContext(context.WithValue(r.Context(), mountKey{}, mount))
			r.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
		}
		next.ServeHTTP(w, r)
	})
}

// mountKey keeps in the context what was taken off the path.
type mountKey struct{}

func (s *site) mount(r *http.Request) string {
	if mount, ok := r.Context().Value(mountKey{}).(string); ok {
		return mount
	}
	if s.Mount == nil {
		return ""
	}
	return s.Mount(r)
}

// hello is the smallest answer, for benchmarks.
func hello(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", "6")
	_, _ = w.Write([]byte("hello\n")) // the client's leaving ends it
}

func (s *site) notFound(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusNotFound, "missing", r.URL.Path)
}
