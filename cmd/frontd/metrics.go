package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/metrics"
)

// A numbersServer is the listener of [metrics]: read-only, and no worker is
// asked for anything that it tells. docs/metrics.md has what it serves.
type numbersServer struct {
	address  config.Address
	listener net.Listener
	server   *http.Server
	answers  http.Handler
	admits   atomic.Pointer[http.Handler] // answers, to those who call it by a name of its own
	ending   context.CancelFunc           // of answers that would go on
	serving  bool                         // set by serve, before anybody may close
	done     chan struct{}
}

// startNumbers listens where the configuration says, if it does, and serves from
// then on, but for the heir of another frontd: two that answer at one address would
// be one that changes its mind.
func (d *daemon) startNumbers(c config.Metrics) error {
	s, err := d.openNumbers(c)
	if err != nil || s == nil {
		return err
	}
	d.numbers = s
	d.traffic.keep()
	s.say(d.log)
	if d.elder == nil {
		s.serve()
	}
	return nil
}

// openNumbers listens where the configuration says; it returns nil where it
// says nothing.
func (d *daemon) openNumbers(c config.Metrics) (*numbersServer, error) {
	if c.Listen == (config.Address{}) {
		return nil, nil
	}
	l, err := config.Listen(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &numbersServer{address: c.Listen, listener: l, answers: d.numbersHandler(), ending: cancel, done: make(chan struct{})}
	s.admit(c.Hosts)
	s.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.admits.Load()).ServeHTTP(w, r) }),
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog:    d.log.ofServer(),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	return s, nil
}

// admit says by which names it may be called from now on.
func (s *numbersServer) admit(hosts []string) {
	h := guarded(hosts, s.answers)
	s.admits.Store(&h)
}

func (s *numbersServer) say(log *logbook) {
	log.Info("numbers listen", "address", nameOf(s.address, s.listener))
}

// serve answers from now on.
func (s *numbersServer) serve() {
	if s == nil || s.serving {
		return
	}
	s.serving = true
	go func() {
		defer close(s.done) // close receives it
		s.server.Serve(s.listener)
	}()
}

// close ends the listener; an answer under way is given a moment.
func (s *numbersServer) close() {
	if s == nil {
		return
	}
	if !s.serving {
		s.listener.Close()
		return
	}
	s.ending()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
	<-s.done
}

func (d *daemon) numbersHandler() http.Handler {
	alive := &liveness{check: d.dispatches}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(d.writeMetrics))
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, r *http.Request) { health(w, "alive", alive.ask(r.Context())) })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { health(w, "ready", d.ready()) })
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(d.publicStatus())
	})
	newStatusPage("status.json", d.publicStatus).serve(mux)
	return mux
}

// health answers a probe: 200, or 503 and one line for each reason.
func health(w http.ResponseWriter, word string, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		word = err.Error()
	}
	fmt.Fprintln(w, word)
}

// ready says whether requests are to be sent here: each application has a
// worker, or starts one when it is needed, and frontd does not stop.
func (d *daemon) ready() error {
	if d.stopping.Load() {
		return errors.New("stopping")
	}
	d.mu.Lock()
	c := d.config
	d.mu.Unlock()
	var errs []error
	for _, name := range appNames(c) {
		a := d.apps.get(name)
		if a == nil {
			errs = append(errs, fmt.Errorf("%s: not started yet", name))
			continue
		}
		errs = append(errs, a.able())
	}
	return errors.Join(errs...)
}

// able says why the application cannot take a request, if it cannot.
func (a *application) able() error {
	st := a.pool.Stats()
	a.mu.Lock()
	group := a.group
	a.mu.Unlock()
	switch {
	case st.Workers > 0:
		return nil
	case st.Failing != nil: // its reason names files: it is for status
		return fmt.Errorf("%s: its workers do not start", a.name)
	case group != nil && len(group.Workers()) == 0:
		return nil // none is wanted, until a request comes
	}
	return fmt.Errorf("%s: no worker is ready", a.name)
}

func appNames(c *config.Config) []string {
	var names []string
	for _, a := range c.Apps {
		names = append(names, a.Name)
	}
	return names
}

// publicStatus is status without what is for the control socket only: the
// queries of requests, which may hold secrets, and what workers printed.
func (d *daemon) publicStatus() statusReport {
	s := d.status(true)
	for i := range s.Apps {
		a := &s.Apps[i]
		if a.Failing != "" {
			a.Failing, _, _ = strings.Cut(a.Failing, "; its last lines on stderr")
		}
		for j := range a.Workers {
			for k := range a.Workers[j].InFlight {
				f := &a.Workers[j].InFlight[k]
				f.URI, _, _ = strings.Cut(f.URI, "?")
			}
		}
	}
	return s
}
