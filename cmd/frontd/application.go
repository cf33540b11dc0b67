package main

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/supervisor"
)

// An application joins what stands apart: the processes of the supervisor,
// the dispatch of fcgi, and the gateway of the front.
type application struct {
	// Immutable.
	name      string
	kind      app.Kind
	shape     shape
	workers   string // the name of their group
	log       *logbook
	dev       bool
	tried     chan struct{} // closed when as many starts as there are workers went well or failed
	pool      *fcgi.Pool
	gateway   *front.Gateway
	keeper    *keeper
	dumps     dumps
	draft     *draft            // nil: not in development, or nothing of it is kept by workers
	incidents *incidents        // nil: nobody records them
	held      func(heldRequest) // if not nil, told of requests that took too long, with stacks; it must not block for long

	mu           sync.Mutex // guards the fields below
	config       *config.App
	scaled       bool                      // its number of workers is what scale made it
	group        *supervisor.Group         // nil: its workers are not ours
	answers      map[uint64]answer         // of workers about to be ready, by generation
	upstreams    map[uint64]*fcgi.Upstream // by generation
	hands        map[*fcgi.Upstream]*hand  // the same, by what the pool knows
	due          map[int]time.Time         // when a slot starts again that has none that serves; zero: now
	policy       *incident.Policy          // of errors that are no request's
	lastErr      error                     // of the last worker that did not come up, or that crashed
	external     *fcgi.Upstream
	failures     int    // starts failed in a row
	startFailure string // the incident of the last of them
	untried      int    // starts until tried is closed
}

// An answer is what a worker said when it was asked whether it serves.
type answer struct {
	fcgi.Capabilities
	concurrency int            // as its command has it
	recycle     config.Recycle // as it was started with
}

// fcgiConcurrency is how many requests at once go to a FastCGI server that is
// not ours, unless workers says otherwise: what it does not take waits in its backlog.
const fcgiConcurrency = 32

func newApplication(c *config.App, queue int, dev bool, log *logbook) *application {
	s := shapeOf(c, queue)
	a := &application{
		name: c.Name, kind: s.kind, shape: s, log: log, dev: dev, config: c,
		pool:      fcgi.NewPool(s.queue),
		tried:     make(chan struct{}),
		untried:   workersOf(c),
		answers:   make(map[uint64]answer),
		upstreams: make(map[uint64]*fcgi.Upstream),
		hands:     make(map[*fcgi.Upstream]*hand),
		due:       make(map[int]time.Time),
	}
	a.keeper = newKeeper(a)
	a.pool.Wanted = a.keeper.waits
	if a.untried == 0 {
		close(a.tried) // its first worker starts with the first request
	}
	if a.kind == app.FCGI {
		a.untried = 1
	}
	a.gateway = &front.Gateway{
		Name: a.name, Pool: a.pool,
		NeedLength: s.needLength, FewPlaces: s.fewPlaces, OnDemand: s.kind == app.WSGI, DocumentRoot: s.root,
		External: s.kind == app.FCGI,
		Stderr:   log.requestOutput,
		Overdue:  a.overdue,
		Note: func(x *front.Exchange, what string) {
			log.Warn(what, "app", x.App, "pid", x.Worker.PID, "id", x.ID, "uri", x.RequestURI)
		},
	}
	return a
}

// A shape is what an application's pool and gateway are made by, for as long
// as they live: where a reload changes it, another application takes its place.
type shape struct {
	kind       app.Kind
	queue      int
	needLength bool
	fewPlaces  bool
	root       string         // of CGI programs
	address    config.Address // of a server that is not ours, and its places
	places     int
}

func shapeOf(c *config.App, queue int) shape {
	s := shape{kind: app.Kind(c.Kind), queue: queue, needLength: needsLength(c)}
	s.fewPlaces = s.kind != app.Demo && s.kind != app.Go && !c.Set.Has("body")
	switch s.kind {
	case app.CGI:
		s.root = c.Directory
	case app.FCGI:
		s.address, s.places = c.Address, c.Workers
	}
	return s
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

// handler is what a route to this application serves with; fallback is for paths
// without a file. The closer, if not nil, ends it.
func (a *application) handler(c *config.App, fallback string) (http.Handler, *front.Folder, error) {
	root := docroot(c)
	if root == "" || c.Folder != "" { // of a folder, a stage before has found it
		return a.gateway, nil, nil
	}
	php, err := front.NewPHP(root, strings.TrimPrefix(fallback, "/"), a.gateway, c.LimitExtensions...)
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
		Dev: a.dev, Found: docroot(c) != "" || c.Folder != "", Middleware: c.Middleware, Settings: settingsOf(c),
		Tracebacks: a.incidents != nil, Template: a.preloads(c),
	})
	if err != nil {
		return supervisor.Spec{}, err
	}
	spec := supervisor.Spec{
		Name: a.workers, Path: cmd.Path, Args: workerArgs(cmd), Dir: cmd.Dir,
		Env:     slices.Concat(baseEnv(), procsEnv(c), cmd.Env, c.Environ()),
		Workers: workersOf(c), SocketDir: dir, Preload: a.preloads(c),
		Ready: func(ctx context.Context, w supervisor.Worker) error { return a.ready(ctx, w, c, cmd.Concurrency) },
		Drain: a.drain, Surge: c.Surge,

		StartTimeout: limits.Timeout.Start, StopTimeout: limits.Timeout.Stop,
	}
	if a.draft != nil {
		devSpec(&spec)
	}
	return spec, confine(&spec, c)
}

// preloads says whether workers are forked from a template. In development one
// worker is the rule, and a change is there faster without a process in between.
func (a *application) preloads(c *config.App) bool { return c.Preload && !a.dev }

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
// what can never work is an error, which names it.
func (a *application) start(sup *supervisor.Supervisor, limits config.Limits, dir string) error {
	if a.kind == app.FCGI {
		return a.connect()
	}
	spec, err := a.spec(a.config, limits, dir)
	if err != nil {
		return &usageError{err: fmt.Errorf("app %s: %w", a.name, err)} // it names what is not there
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
	a.group = group
	a.mu.Unlock()
	a.keeper.start()
	return nil
}

// close refuses what waits and comes, and ends what goes on beside the workers.
func (a *application) close() {
	a.pool.Close()
	a.keeper.stop()
	a.draft.close()
}

// connect uses a FastCGI server that is not ours. Its connections are not
// kept: an idle one would pin one of its processes.
func (a *application) connect() error {
	addr := a.shape.address
	u := &fcgi.Upstream{
		Name: a.name, Capacity: fcgiConcurrency,
		Transport: &fcgi.Transport{Dial: dialer(addr.Network(), addr.Addr)},
	}
	if n := a.shape.places; n > 0 {
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

// drain waits until a worker has nothing in hand, and has written its stacks
// if it was asked to.
func (a *application) drain(ctx context.Context, w supervisor.Worker) {
	if u := a.upstream(w); u != nil {
		a.pool.Drain(ctx, u)
		u.Transport.Close()
	}
	a.dumps.await(ctx, w)
}

func (a *application) upstream(w supervisor.Worker) *fcgi.Upstream {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.upstreams[w.Generation]
}

// notUp says why no worker serves, nil if one does or none is needed yet.
func (a *application) notUp() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.upstreams) > 0 || a.failures == 0 {
		return nil
	}
	return a.lastErr
}

// serving is how many workers serve.
func (a *application) serving() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.upstreams)
}

// workersOf is how many processes an application has at first.
func workersOf(c *config.App) int {
	switch {
	case c.Elastic.Max > 0:
		return c.Elastic.Min
	case c.Workers > 0:
		return c.Workers
	}
	return numCPU()
}
