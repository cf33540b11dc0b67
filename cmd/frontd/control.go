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
	"strconv"
	"strings"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/supervisor"
)

// A controlServer answers the commands on the control socket: HTTP and JSON,
// for the user that runs frontd only (mode 0600). docs/control.md has every
// endpoint. A failure is answered with a status of 4xx or 5xx and {"error": "..."}.
type controlServer struct {
	path     string
	listener net.Listener
	server   *http.Server
	serving  bool // set by serve, before anybody may close
	done     chan struct{}
}

// orders are what a control socket can ask for. Each is called on a goroutine
// of its own, and must not wait for a worker to answer status.
type orders struct {
	status    func(watched bool) statusReport
	reload    func(context.Context) (reloadReport, error)
	restart   func(ctx context.Context, app string) error
	scale     func(ctx context.Context, app, workers string) error
	incidents *incidents                                   // nil: there are none
	upgrade   func(context.Context) (upgradeReport, error) // nil: there is none
	stop      func()                                       // returns when the stop has begun
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

func (d *daemon) openControl(c *config.Config) error {
	path, err := controlPath(c, d.name)
	if err != nil {
		return err
	}
	d.control, err = openControl(path, d.orders(), d.log)
	return err
}

// openControl listens at path.
func openControl(path string, o orders, log *logbook) (*controlServer, error) {
	l, err := config.ListenMode(config.Address{Net: "unix", Addr: path}, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := &controlServer{path: path, listener: l, done: make(chan struct{})}
	s.server = &http.Server{Handler: o.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.ofServer()}
	return s, nil
}

// serve lets the control socket answer. Commands that came before wait.
func (s *controlServer) serve() {
	s.serving = true
	go func() {
		defer close(s.done) // close receives it
		s.server.Serve(s.listener)
	}()
}

func (o orders) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		reply(w, o.status(r.FormValue("watch") != ""), nil)
	})
	mux.HandleFunc("GET /workers", func(w http.ResponseWriter, r *http.Request) {
		list, err := workersIn(o.status(false), r.FormValue("app"))
		reply(w, list, err)
	})
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		report, err := o.reload(r.Context())
		reply(w, report, err)
	})
	mux.HandleFunc("POST /restart", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, o.restart(r.Context(), r.FormValue("app")))
	})
	mux.HandleFunc("POST /scale", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, o.scale(r.Context(), r.FormValue("app"), r.FormValue("workers")))
	})
	if o.incidents != nil {
		o.incidents.handle(mux)
	}
	if o.upgrade != nil {
		mux.HandleFunc("POST /upgrade", func(w http.ResponseWriter, r *http.Request) {
			report, err := o.upgrade(r.Context())
			reply(w, report, err)
		})
	}
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, struct{}{}, nil)
		o.stop()
	})
	newStatusPage("status", func() statusReport { return o.status(true) }).serve(mux)
	return mux
}

// orders are the daemon's.
func (d *daemon) orders() orders {
	return orders{
		status: d.status,
		reload: d.reloadLogged,
		restart: func(ctx context.Context, app string) error {
			return d.log.told("restart", d.restart(ctx, app), "app", app)
		},
		scale: func(ctx context.Context, app, workers string) error {
			return d.log.told("scale", d.scale(ctx, app, workers), "app", app, "workers", workers)
		},
		upgrade: d.upgradeLogged, incidents: d.incidents,
		stop: func() { d.stopped.Do(func() { close(d.stop) }) },
	}
}

// close ends the control socket; an answer under way is given a moment.
func (s *controlServer) close() {
	if s == nil {
		return
	}
	if !s.serving {
		s.listener.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
	<-s.done
}

// told tells the log what was asked for on the control socket.
func (l *logbook) told(what string, err error, args ...any) error {
	switch {
	case errors.Is(err, supervisor.ErrStillStopping):
		l.Warn(what+" done", append(args, "note", err)...)
	case err != nil:
		l.Error(what+" failed", append(args, "error", err)...)
	default:
		l.Info(what+" done", args...)
	}
	return err
}

type failure struct {
	Error string `json:"error"`
}

// What is wrong with a command and not with the daemon.
var (
	errUnknownApp = errors.New("no such application")
	errAskedWrong = errors.New("not possible")
)

func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case errors.Is(err, errUnknownApp), errors.Is(err, incident.ErrUnknown):
		w.WriteHeader(http.StatusNotFound)
		v = failure{err.Error()}
	case errors.Is(err, errAskedWrong):
		w.WriteHeader(http.StatusBadRequest)
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
		return nil, fmt.Errorf("%w: the workers of %s are not frontd's", errAskedWrong, name)
	}
	return a, nil
}

// maxScale bounds what a slip of the finger may start.
const maxScale = 1024

func workersAsked(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxScale {
		return 0, fmt.Errorf("%w: workers %q: want 1 to %d", errAskedWrong, s, maxScale)
	}
	return n, nil
}

// restart takes one application over to new workers of the same configuration.
func (d *daemon) restart(ctx context.Context, name string) error {
	d.changes.Lock()
	defer d.changes.Unlock()
	if d.fate.Load() == fateHandedOver {
		return errHandedOver
	}
	d.mu.Lock()
	c := d.config
	d.mu.Unlock()
	for _, name := range partNames(c, name) {
		a, err := d.hosted(name)
		if err != nil {
			return err
		}
		a.mu.Lock()
		ac := a.config
		a.mu.Unlock()
		if err := a.replace(ctx, ac, c.AppLimits(ac), d.dir); err != nil {
			return err
		}
	}
	return d.route(c) // folders may be behind links that have changed
}

func (d *daemon) scale(ctx context.Context, name, workers string) error {
	d.changes.Lock()
	defer d.changes.Unlock()
	if d.fate.Load() == fateHandedOver {
		return errHandedOver
	}
	a, err := d.hosted(name)
	if err != nil {
		return err
	}
	n := 0
	if !a.isElastic() || workers != "0" {
		if n, err = workersAsked(workers); err != nil {
			return err
		}
	}
	if a.isElastic() {
		return a.scaleElastic(ctx, n)
	}
	return a.scaleFixed(ctx, n)
}

func (a *application) scaleFixed(ctx context.Context, n int) error {
	err := a.scaleGroup(ctx, n)
	if err != nil && !errors.Is(err, supervisor.ErrStillStopping) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := *a.config
	c.Workers = n
	a.config, a.scaled = &c, true
	return err
}

// scaledConfig is what the application has by now where scale has changed its
// number of workers, nil where it has not.
func (a *application) scaledConfig() *config.App {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.scaled {
		return nil
	}
	return a.config
}
