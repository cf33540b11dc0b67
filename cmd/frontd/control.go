package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
)

// A controlServer answers the commands on the control socket: HTTP and JSON,
// for the user that runs frontd only (mode 0600). See docs in contract order:
//
//	GET  /status                 what status --json prints
//	POST /reload                 answers when the new workers serve
//	POST /restart?app=NAME       the same for one application
//	POST /scale?app=NAME&workers=N
//	POST /stop                   answers when the stop has begun
//
// A failure is answered with a status of 4xx or 5xx and {"error": "..."}.
type controlServer struct {
	path     string
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

// runtimeBase is the private folder of this user's daemons: systemd's
// $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/frontd, or one in the temporary
// directory that nobody else may have made.
func runtimeBase() (string, error) {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		dir, _, _ = strings.Cut(dir, ":") // systemd joins several with colons
		return dir, nil
	}
	dir := filepath.Join(os.TempDir(), "frontd-"+strconv.Itoa(os.Getuid()))
	if xdg := os.Getenv("XDG_RUNTIME_DIR"); xdg != "" {
		dir = filepath.Join(xdg, "frontd")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make runtime directory: %w", err)
	}
	return dir, checkPrivate(dir)
}

// nameOf is the first address as it was really taken: the port of ":0" is
// known only to the listener.
func nameOf(a config.Address, l net.Listener) string {
	if a.Net == "tcp" {
		return l.Addr().String()
	}
	return a.String()
}

// daemonName tells the daemons of one user apart: by the first address.
func daemonName(address string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, address)
	if len(name) > 40 {
		name = name[len(name)-40:] // a socket's path has 107 bytes in all
	}
	return name
}

func controlPath(c *config.Config, name string) (string, error) {
	if c.Server.Control != "" {
		return c.Server.Control, nil
	}
	base, err := runtimeBase()
	if err != nil {
		return "", err
	}
	if os.Getenv("RUNTIME_DIRECTORY") != "" {
		return filepath.Join(base, "control.sock"), nil
	}
	return filepath.Join(base, name+".sock"), nil
}

func openControl(c *config.Config, d *daemon) (*controlServer, error) {
	path, err := controlPath(c, d.name)
	if err != nil {
		return nil, err
	}
	l, err := config.ListenMode(config.Address{Net: "unix", Addr: path}, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := &controlServer{path: path, listener: l, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, d.status(), nil) })
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) { reply(w, struct{}{}, d.reloadLogged(r.Context())) })
	mux.HandleFunc("POST /restart", func(w http.ResponseWriter, r *http.Request) {
		name := r.FormValue("app")
		reply(w, struct{}{}, d.logged("restart", d.restart(r.Context(), name), "app", name))
	})
	mux.HandleFunc("POST /scale", func(w http.ResponseWriter, r *http.Request) {
		name, n := r.FormValue("app"), r.FormValue("workers")
		reply(w, struct{}{}, d.logged("scale", d.scale(r.Context(), name, n), "app", name, "workers", n))
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, struct{}{}, nil)
		d.stopped.Do(func() { close(d.stop) })
	})
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done) // close receives it
		s.server.Serve(l)
	}()
	return s, nil
}

// close ends the control socket; an answer under way is given a moment.
func (s *controlServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
	<-s.done
}

// logged tells the log what was asked for on the control socket.
func (d *daemon) logged(what string, err error, args ...any) error {
	if err != nil {
		d.log.Error(what+" failed", append(args, "error", err)...)
	} else {
		d.log.Info(what+" done", args...)
	}
	return err
}

type failure struct {
	Error string `json:"error"`
}

// errUnknownApp is a command for an application that there is not.
var errUnknownApp = errors.New("no such application")

func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case errors.Is(err, errUnknownApp):
		w.WriteHeader(http.StatusNotFound)
		v = failure{err.Error()}
	case err != nil:
		w.WriteHeader(http.StatusInternalServerError)
		v = failure{err.Error()}
	}
	json.NewEncoder(w).Encode(v) // a client that left needs no answer
}

// hosted finds an application whose workers are ours.
func (d *daemon) hosted(name string) (*application, error) {
	a := d.apps.get(name)
	if a == nil {
		var names []string
		for _, a := range d.apps.all() {
			names = append(names, a.name)
		}
		return nil, fmt.Errorf("%w: %q; there is %s", errUnknownApp, name, strings.Join(names, ", "))
	}
	if a.group == nil {
		return nil, fmt.Errorf("%s: its workers are not frontd's", name)
	}
	return a, nil
}

// restart takes one application over to new workers of the same configuration.
func (d *daemon) restart(ctx context.Context, name string) error {
	d.changes.Lock()
	defer d.changes.Unlock()
	a, err := d.hosted(name)
	if err != nil {
		return err
	}
	d.mu.Lock()
	c := d.config
	d.mu.Unlock()
	return a.replace(ctx, a.config, c.AppLimits(a.config), d.dir)
}

func (d *daemon) scale(ctx context.Context, name, workers string) error {
	d.changes.Lock()
	defer d.changes.Unlock()
	a, err := d.hosted(name)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(workers)
	if err != nil || n < 1 || n > 1024 {
		return fmt.Errorf("workers %q: want 1 to 1024", workers)
	}
	if err := a.group.Scale(ctx, n); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := *a.config
	c.Workers = n
	a.config = &c
	return nil
}

// statusReport is what status tells. Fields are only ever added.
type statusReport struct {
	PID     int         `json:"pid"`
	Version string      `json:"version"`
	Uptime  float64     `json:"uptime_seconds"`
	Listen  []string    `json:"listen"`
	Apps    []appReport `json:"apps"`
	LogLost uint64      `json:"log_lines_lost"`
}

type appReport struct {
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`
	Target  string         `json:"target"`
	Queue   int            `json:"queue"`      // requests waiting for a worker
	Size    int            `json:"queue_size"` // that may wait
	Busy    int            `json:"busy"`       // requests in workers' hands
	Served  uint64         `json:"served"`
	Refused uint64         `json:"refused"`
	Failing string         `json:"failing,omitempty"`
	Workers []workerReport `json:"workers"`
}

type workerReport struct {
	PID      int            `json:"pid"`
	Slot     int            `json:"slot"`
	State    string         `json:"state"`
	Uptime   float64        `json:"uptime_seconds"`
	Served   uint64         `json:"requests"`
	InFlight []front.Flight `json:"in_flight"`
	RSS      int64          `json:"rss_bytes"`
	Restarts int            `json:"restarts"`
	LastExit string         `json:"last_exit,omitempty"`
}

// status gathers what is. It asks no worker.
func (d *daemon) status() statusReport {
	s := statusReport{PID: os.Getpid(), Version: version, Uptime: time.Since(d.started).Seconds(), LogLost: d.log.sink.dropped.Load()}
	for _, door := range d.doors {
		s.Listen = append(s.Listen, doorURL(door))
	}
	for _, a := range d.apps.all() {
		s.Apps = append(s.Apps, a.report())
	}
	return s
}

func (a *application) report() appReport {
	st := a.pool.Stats()
	a.mu.Lock()
	c, group := a.config, a.group
	served := make(map[int]uint64) // by pid
	for _, u := range a.upstreams {
		_, served[u.PID] = a.pool.UpstreamStats(u)
	}
	a.mu.Unlock()
	r := appReport{
		Name: a.name, Kind: string(a.kind), Target: c.Target, Queue: st.Waiting, Size: a.pool.Size(),
		Busy: st.Busy, Served: st.Served, Refused: st.Refused, Workers: []workerReport{},
	}
	if st.Failing != nil {
		r.Failing = st.Failing.Error()
	}
	if group == nil {
		return r
	}
	flights := a.gateway.InFlight()
	for _, w := range group.Workers() {
		wr := workerReport{
			PID: w.Worker.PID, Slot: w.Worker.Slot, State: w.State.String(), RSS: w.RSS, Restarts: w.Restarts,
			Served: served[w.Worker.PID], InFlight: []front.Flight{},
		}
		if !w.Worker.Started.IsZero() {
			wr.Uptime = time.Since(w.Worker.Started).Seconds()
		}
		if w.LastExit != nil {
			wr.LastExit = w.LastExit.String()
		}
		for _, f := range flights {
			if f.PID == wr.PID {
				wr.InFlight = append(wr.InFlight, f)
			}
		}
		slices.SortFunc(wr.InFlight, func(a, b front.Flight) int { return int(b.Age - a.Age) })
		r.Workers = append(r.Workers, wr)
	}
	return r
}
