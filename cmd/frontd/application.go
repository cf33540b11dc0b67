package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/supervisor"
)

// An application joins what stands apart: the processes of the supervisor,
// the dispatch of fcgi, and the gateway of the front.
type application struct {
	// Immutable.
	name    string
	kind    app.Kind
	log     *logbook
	dev     bool
	tried   chan struct{} // closed when as many starts as there are workers went well or failed
	pool    *fcgi.Pool
	gateway *front.Gateway

	mu        sync.Mutex // guards the fields below
	config    *config.App
	group     *supervisor.Group         // nil: its workers are not ours
	answers   map[uint64]answer         // of workers about to be ready, by generation
	upstreams map[uint64]*fcgi.Upstream // by generation
	external  *fcgi.Upstream
	failures  int   // starts failed in a row
	failed    error // why the last of them did
	untried   int   // starts until tried is closed
}

// An answer is what a worker said when it was asked whether it serves.
type answer struct {
	fcgi.Capabilities
	concurrency int // as its command has it
}

// fcgiConcurrency is how many requests at once go to a FastCGI server that is
// not ours, unless workers says otherwise: what it does not take waits in its backlog.
const fcgiConcurrency = 32

func newApplication(c *config.App, queue int, dev bool, log *logbook) *application {
	a := &application{
		name: c.Name, kind: app.Kind(c.Kind), log: log, dev: dev, config: c,
		pool:      fcgi.NewPool(queue),
		tried:     make(chan struct{}),
		untried:   workersOf(c),
		answers:   make(map[uint64]answer),
		upstreams: make(map[uint64]*fcgi.Upstream),
	}
	if a.kind == app.FCGI {
		a.untried = 1
	}
	a.gateway = &front.Gateway{
		Name: a.name, Pool: a.pool,
		NeedLength: needsLength(c),
		FewPlaces:  a.kind != app.Demo && a.kind != app.Go && !c.Set.Has("body"),
		External:   a.kind == app.FCGI,
		Stderr:     log.requestOutput,
		Note: func(x *front.Exchange, what string) {
			log.Warn(what, "app", x.App, "pid", x.Worker.PID, "id", x.ID, "uri", x.RequestURI)
		},
	}
	return a
}

// needsLength says whether a body without a length is spooled first. PHP and
// CGI programs drop it else; so do most Python frameworks (PEP 3333 knows no such
// body; Django and Bottle see an empty one), unless the configuration says that
// this application takes a stream. What a server that is not ours does is not known.
func needsLength(c *config.App) bool {
	switch c.Kind {
	case config.KindPHP, config.KindCGI, config.KindFCGI:
		return true
	case config.KindWSGI:
		return !c.Set.Has("body")
	}
	return false
}

// hostedApp is what the configuration's application is to package app.
func hostedApp(c *config.App) app.App {
	return app.App{Kind: app.Kind(c.Kind), Target: c.Target, Args: c.Command, Dir: c.Directory}
}

// handler is what a route to this application serves with; the closer, if
// not nil, ends it.
func (a *application) handler() (http.Handler, io.Closer, error) {
	a.mu.Lock()
	root := docroot(a.config)
	a.mu.Unlock()
	if root == "" {
		return a.gateway, nil, nil
	}
	php, err := front.NewPHP(root, a.gateway)
	return php, php, err
}

// docroot is the folder whose scripts the application runs, "" for one that
// finds its way by itself.
func docroot(c *config.App) string {
	switch {
	case c.Kind == config.KindPHP:
		return c.Target
	case c.Kind == config.KindFCGI && c.Set.Has("directory"):
		return c.Directory
	}
	return ""
}

// spec makes the supervisor's order of the configuration's.
func (a *application) spec(c *config.App, limits config.Limits, dir string) (supervisor.Spec, error) {
	path, err := self()
	if err != nil {
		return supervisor.Spec{}, err
	}
	cmd, err := hostedApp(c).Command(app.Options{
		Threads: threadsOf(c), Python: c.Python, Self: path, SelfArgs: []string{appworkerName},
		Dev: a.dev, Middleware: c.Middleware, Settings: settingsOf(c),
	})
	if err != nil {
		return supervisor.Spec{}, err
	}
	spec := supervisor.Spec{
		Name: a.name, Path: cmd.Path, Args: workerArgs(cmd), Dir: cmd.Dir,
		Env:     slices.Concat(baseEnv(), procsEnv(c), cmd.Env, c.Environ()),
		Workers: workersOf(c), SocketDir: dir,
		Ready: func(ctx context.Context, w supervisor.Worker) error { return a.ready(ctx, w, cmd.Concurrency) },
		Drain: a.drain,

		StartTimeout: limits.Timeout.Start, StopTimeout: limits.Timeout.Stop,
	}
	return spec, confine(&spec, c)
}

// workerArgs is a worker's argv: §2.2 wants the program's base name first.
func workerArgs(cmd app.Command) []string {
	name := cmd.Path[strings.LastIndexByte(cmd.Path, '/')+1:]
	if cmd.Path == "/proc/self/exe" {
		name = "frontd"
	}
	return append([]string{name}, cmd.Args...)
}

// baseEnv is all that a worker inherits.
func baseEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// settingsOf is what the application finds as its configuration.
func settingsOf(c *config.App) map[string]string {
	m := make(map[string]string, len(c.Settings))
	for _, v := range c.Settings {
		m[v.Name] = v.Value
	}
	return m
}

// threadsOf is what was set, or 0.
func threadsOf(c *config.App) int {
	if c.Set.Has("threads") {
		return c.Threads
	}
	return 0
}

// start brings the application up. Its workers' failures are its own: only
// what can never work is an error.
func (a *application) start(sup *supervisor.Supervisor, limits config.Limits, dir string) error {
	if a.kind == app.FCGI {
		return a.connect()
	}
	spec, err := a.spec(a.config, limits, dir)
	if err != nil {
		return &usageError{err: err} // it names what is not there
	}
	if _, err := a.log.outputs.use(a.name, a.config.Output.File); err != nil {
		return err
	}
	sayShortfall(a.log, a.name, sup.Shortfall(&spec))
	group, err := sup.Start(spec)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.group = group
	return nil
}

// connect uses a FastCGI server that is not ours. Its connections are not
// kept: an idle one would pin one of its processes.
func (a *application) connect() error {
	addr := a.config.Address
	u := &fcgi.Upstream{
		Name: a.name, Capacity: fcgiConcurrency,
		Transport: &fcgi.Transport{Dial: dialer(addr.Network(), addr.Addr)},
	}
	if n := a.config.Workers; n > 0 {
		u.Capacity = n
	}
	a.external = u
	a.pool.Add(u)
	a.wasTried()
	return nil
}

// dialer connects to a worker. A full backlog of a unix socket refuses at
// once where TCP would wait: it is asked again until ctx ends.
func dialer(network, address string) func(context.Context) (net.Conn, error) {
	var d net.Dialer
	if strings.HasPrefix(address, "@") && network == "unix" {
		address = "\x00" + address[1:]
	}
	return func(ctx context.Context) (net.Conn, error) {
		pause := time.Millisecond
		for {
			nc, err := d.DialContext(ctx, network, address)
			if !errors.Is(err, syscall.EAGAIN) {
				return nc, err
			}
			t := time.NewTimer(pause)
			select {
			case <-t.C:
				pause = min(2*pause, 50*time.Millisecond)
			case <-ctx.Done():
				t.Stop()
				return nil, context.Cause(ctx)
			}
		}
	}
}

// ready asks a worker whether it serves, and what it is able to.
func (a *application) ready(ctx context.Context, w supervisor.Worker, concurrency int) error {
	nc, err := dialer("unix", w.Addr)(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	caps, err := fcgi.Probe(ctx, nc)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[w.Generation] = answer{caps, concurrency}
	return nil
}

// drain waits until a worker has nothing in hand.
func (a *application) drain(ctx context.Context, w supervisor.Worker) {
	if u := a.upstream(w); u != nil {
		a.pool.Drain(ctx, u)
		u.Transport.Close()
	}
}

func (a *application) upstream(w supervisor.Worker) *fcgi.Upstream {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.upstreams[w.Generation]
}

// wasTried counts a worker that has come up, or has failed to.
func (a *application) wasTried() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.untried--; a.untried == 0 {
		close(a.tried)
	}
}

// event follows a worker's life.
func (a *application) event(e supervisor.Event) {
	log := a.log.With("app", a.name, "slot", e.Worker.Slot, "pid", e.Worker.PID)
	switch e.Kind {
	case supervisor.EventStarted:
		log.Debug("worker started")
	case supervisor.EventReady:
		a.joined(e.Worker)
		a.wasTried()
		log.Info("worker ready", "took", time.Since(e.Worker.Started).Round(time.Millisecond))
	case supervisor.EventStopping:
		log.Info("worker stopping", "reason", e.Reason)
	case supervisor.EventGone:
		a.gone(log, e)
	case supervisor.EventFailing:
		a.failing(e)
	case supervisor.EventBackoff:
		if e.Delay > 0 {
			log.Warn("worker starts again later", "in", e.Delay.Round(time.Millisecond))
		}
	}
}

// joined gives the pool a worker that has become ready.
func (a *application) joined(w supervisor.Worker) {
	a.mu.Lock()
	said := a.answers[w.Generation]
	delete(a.answers, w.Generation)
	capacity := said.concurrency
	// A worker of one request at a time is to be freed from slow clients, by
	// taking its answer ahead of them: with flow control it would wait for them.
	flow := said.Multiplex && said.Window > 0 && capacity > 1
	if flow && said.MaxRequests > 0 {
		capacity = min(capacity, said.MaxRequests)
	}
	u := &fcgi.Upstream{
		Name: fmt.Sprintf("%s/%d", a.name, w.Slot), PID: w.PID, Capacity: max(capacity, 1),
		Transport: &fcgi.Transport{
			Dial: dialer("unix", w.Addr), Flow: flow, Hold: said.Hold,
			Keep: true, MaxIdle: max(capacity, 1),
		},
	}
	u.Kill = func(reason string) { a.kill(w, reason) }
	a.upstreams[w.Generation] = u
	a.failures = 0
	a.mu.Unlock()
	a.pool.Add(u)
}

// kill ends a worker that holds a request for too long.
func (a *application) kill(w supervisor.Worker, reason string) {
	a.mu.Lock()
	group := a.group
	a.mu.Unlock()
	if group != nil {
		group.Kill(w, supervisor.CauseTimeout, reason)
	}
}

// gone takes a worker out whose process has ended.
func (a *application) gone(log *slog.Logger, e supervisor.Event) {
	a.mu.Lock()
	u := a.upstreams[e.Worker.Generation]
	delete(a.upstreams, e.Worker.Generation)
	delete(a.answers, e.Worker.Generation)
	a.mu.Unlock()
	said := []any{"exit", e.Exit.String()}
	if u != nil {
		if held := describeFlights(a.flights(e.Worker.PID)); held != "" {
			said = append(said, "in_flight", held)
		}
		a.pool.Remove(u)
		u.Transport.Close()
	}
	if e.Exit.OK() || e.Exit.Killed == "" && e.Exit.Signal == syscall.SIGTERM {
		log.Info("worker gone", said...)
		return
	}
	log.Warn("worker gone", said...)
}

// describeFlights names requests, each once: one that the same process has
// lost may be on its way to it again, through its socket.
func describeFlights(flights []front.Flight) string {
	seen := make(map[string]bool)
	var list []string
	for _, f := range flights {
		if seen[f.ID] {
			continue
		}
		seen[f.ID] = true
		list = append(list, fmt.Sprintf("%s %s (%s, %v)", f.Method, f.URI, f.ID, f.Age.Round(time.Millisecond)))
	}
	if n := len(list) - maxFlightsLogged; n > 0 {
		list = append(list[:maxFlightsLogged], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(list, "; ")
}

// maxFlightsLogged bounds the requests named when a worker dies.
const maxFlightsLogged = 5

// flights is what a process had in hand, whether its death was seen by the
// requests before it was by us or not.
func (a *application) flights(pid int) []front.Flight {
	list := a.gateway.Lost(pid)
	for _, f := range a.gateway.InFlight() {
		if f.PID == pid {
			list = append(list, f)
		}
	}
	return list
}

// failing says that a worker did not come up. A single failure may be an
// accident, and requests wait for the next start; a second one in a row, with
// nobody serving, is told to the clients at once.
func (a *application) failing(e supervisor.Event) {
	a.mu.Lock()
	a.failures++
	a.failed = e.Err
	failures := a.failures
	a.mu.Unlock()
	a.log.Error("worker did not start", "app", a.name, "slot", e.Worker.Slot, "pid", e.Worker.PID, "error", e.Err)
	if failures >= 2 {
		a.pool.SetFailing(e.Err, time.Now())
	}
	a.wasTried()
}

// notUp says why no worker serves, nil if one does or none is needed yet.
func (a *application) notUp() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.upstreams) > 0 || a.failures == 0 {
		return nil
	}
	return a.failed
}

// serving is how many workers serve.
func (a *application) serving() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.upstreams)
}

// workersOf is how many processes an application has.
func workersOf(c *config.App) int {
	if c.Workers > 0 {
		return c.Workers
	}
	return numCPU()
}
