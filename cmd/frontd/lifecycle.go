package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/supervisor"
)

// A registry holds the applications by name.
type registry struct {
	mu   sync.Mutex // guards the field below
	apps map[string]*application
}

func (r *registry) get(name string) *application {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.apps[name]
}

func (r *registry) put(a *application) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.apps == nil {
		r.apps = make(map[string]*application)
	}
	r.apps[a.name] = a
}

func (r *registry) drop(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.apps, name)
}

func (r *registry) all() []*application {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.apps), func(a, b *application) int { return strings.Compare(a.name, b.name) })
}

// startApps starts every application and makes the chain over them.
func (d *daemon) startApps(c *config.Config) error {
	var errs []error
	for _, ac := range hosted(c) {
		if err := d.startApp(c, ac); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return d.route(c)
}

func (d *daemon) startApp(c *config.Config, ac *config.App) error {
	limits := c.AppLimits(ac)
	a := newApplication(ac, limits.Queue.Size, d.dev, d.log)
	a.incidents, a.held = d.incidents, d.incidents.held
	a.setPolicy(d.incidents.policy(c, ac, nil))
	a.draft = d.newDraft(a)
	d.apps.put(a) // before the start: events come from the first moment on
	if err := a.start(d.sup, limits, d.dir); err != nil {
		d.apps.drop(a.name)
		a.draft.drop()
		return fmt.Errorf("app %s: %w", a.name, err)
	}
	if a.draft != nil {
		d.serving.Go(a.draft.run) // shutdown waits for it
	}
	return nil
}

// route puts the chain of a configuration in force.
func (d *daemon) route(c *config.Config) error {
	ch, err := d.chain(c)
	if err == nil {
		d.enforce(ch)
	}
	return err
}

// A chain is the way of requests through one configuration.
type chain struct {
	handler http.Handler
	roots   folders
	apps    []string
	stores  []string // the places of its sessions
}

// chain makes the chain of a configuration.
func (d *daemon) chain(c *config.Config) (*chain, error) {
	var routes []front.Route
	var roots folders
	stages := newStager(c)
	sessions := chainSessions{daemon: d}
	for _, rc := range c.Routes {
		rt, err := d.routeOf(c, rc, &roots)
		if err != nil {
			roots.close()
			return nil, fmt.Errorf("route %s: %w", rc.Path, err)
		}
		stages.apply(rc, &rt)
		rt.Errors = d.incidents.policy(c, c.App(rc.App), rc)
		rt.Settings.ShowErrors = d.dev || c.Exception(c.App(rc.App), rc).Show
		if rt.Settings.ErrorPages, err = errorPagesOf(c, rc); err != nil {
			roots.close()
			return nil, fmt.Errorf("route %s: %w", rc.Path, err)
		}
		if rc.App != "" {
			if rt.Sessions, err = sessions.of(c, c.App(rc.App), rc); err != nil {
				roots.close()
				return nil, fmt.Errorf("route %s: %w", rc.Path, err)
			}
		}
		routes = append(routes, rt)
	}
	if err := stages.err(); err != nil {
		roots.close()
		return nil, err
	}
	general := settings(c, c.Server.Limits, false, d.dev)
	for _, ac := range c.Apps {
		if a := d.apps.get(ac.Name); a != nil {
			a.setPolicy(d.incidents.policy(c, ac, nil))
		}
	}
	h, err := front.New(front.Config{
		Routes: routes, Settings: &general, Log: d.log.Logger, AccessLog: d.log.access,
		Observe: d.traffic.observe, Incident: d.incidents.failed, Keep: d.incidents.keep(),
		Proxies: front.Proxies{Trusted: c.Server.TrustedProxies},
	})
	if err != nil {
		roots.close()
		return nil, err
	}
	return &chain{h, roots, appNames(c), sessions.places}, nil
}

// enforce puts a chain in force.
func (d *daemon) enforce(ch *chain) {
	d.handler.Store(&ch.handler)
	d.traffic.set.Keep(ch.apps)
	// The folders of the chain before the last are in nobody's hands any more.
	d.oldRoots.close()
	d.oldRoots, d.roots = d.roots, ch.roots
	if err := d.stores.use(ch.stores); err != nil {
		d.log.Error("store of sessions not closed", "error", err)
	}
}

// folders are those that a chain has open.
type folders []io.Closer

func (f folders) close() {
	for _, c := range f {
		c.Close() // of a folder: nothing is lost
	}
}

// open opens one for files whose path in a URL begins with prefix.
func (f *folders) open(folder, prefix string) (*front.Static, error) {
	files, err := front.NewStatic(folder, prefix)
	if err == nil {
		*f = append(*f, files)
	}
	return files, err
}

func (d *daemon) routeOf(c *config.Config, rc *config.Route, roots *folders) (front.Route, error) {
	rt := front.Route{Host: rc.Host, Path: rc.Path.String(), App: rc.App, MountPrefix: rc.Mount, Internal: rc.Internal}
	if rc.Authorizer != "" {
		rt.Authorizer = d.apps.get(rc.Authorizer).gateway
	}
	for _, folder := range rc.Sendfile {
		files, err := roots.open(folder, "")
		if err != nil {
			return rt, err
		}
		rt.Sendfile = append(rt.Sendfile, front.FileRoot{Folder: folder, Files: files})
	}
	if rc.App == "" {
		rt.Settings = settings(c, c.Limits(rc), false, d.dev)
		if rc.Root == "" {
			return rt, nil // it redirects or returns
		}
		files, err := roots.open(rc.Root, filePrefix(rc.Path))
		if err != nil {
			return rt, err
		}
		setFiles(files, rc)
		rt.Handler = files
		return rt, nil
	}
	ac := c.App(rc.App)
	if ac.Kind == config.KindFolder {
		return d.folderRoute(c, rc, rt, roots)
	}
	a := d.apps.get(rc.App)
	rt.Settings = settings(c, c.Limits(rc), ac.Body == "spool", d.dev)
	a.keeper.watchSlow(rt.Settings.Slow)
	h, root, err := a.handler(ac)
	if root != nil && err == nil {
		*roots = append(*roots, root)
	}
	rt.Handler = a.draft.gate(h)
	return rt, err
}

// filePrefix is what of a URL's path is no part of a file's: the prefix of a
// prefix, the folder of an exact path, nothing of an expression's.
func filePrefix(p config.Path) string {
	switch p.Match {
	case config.MatchPrefix:
		return p.Text
	case config.MatchExact:
		return path.Dir(p.Text)
	}
	return ""
}

// reloadOnce is what a HUP asks for, and every other one that comes before it
// has begun: what it reads is newer than all of them.
func (d *daemon) reloadOnce(ctx context.Context) {
	d.changes.Lock() // whatever is under way has ended
	d.reloadDue.Store(false)
	d.changes.Unlock()
	d.reloadLogged(ctx)
}

// reloadLogged is reload for those outside: systemd is told, and the log.
func (d *daemon) reloadLogged(ctx context.Context) error {
	d.tell(sd.SdNotifyReloading + "\n" + monotonicUsec())
	defer d.tell(sd.SdNotifyReady)
	d.log.Info("reloading")
	err := d.reload(ctx)
	switch {
	case errors.Is(err, supervisor.ErrStillStopping):
		// Whoever asked has stopped waiting; what is new serves.
		d.log.Warn("reloaded", "note", err)
	case err != nil:
		d.log.Error("reload failed, what served before still serves", "error", err)
	default:
		d.log.Info("reloaded")
	}
	return err
}

func (d *daemon) reopenLogs() {
	for _, err := range append(d.log.outputs.reopen(), d.log.sink.reopen()) {
		if err != nil {
			d.log.Error("log not reopened, the old file stays in use", "error", err)
		}
	}
}

// shutdown stops in order: not ready, listeners, requests in flight, workers.
func (d *daemon) shutdown(timeout time.Duration, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	d.stopping.Store(true)
	go d.hasten(ctx, cancel, signals) // ends with ctx, which this function cancels
	d.control.close()
	if d.fate.Load() == fateHandedOver {
		d.numbers.close() // the heir's are what holds
	}
	var doors sync.WaitGroup
	for _, door := range d.doors {
		doors.Go(func() { // waited for below
			if err := door.shutdown(ctx); err != nil {
				d.log.Warn("requests were cut off by the stop", "listener", door.address.String(), "error", err)
				d.leaving.Store(true)
				door.close()
			}
		})
	}
	doors.Wait()
	for _, a := range d.apps.all() {
		a.close()
	}
	err := d.stopWorkers(ctx)
	d.awaitCut()
	d.serving.Wait()
	d.upgrading.Lock() // an heir that is not to be has ended
	d.upgrading.Unlock()
	d.removeDir()
	d.elder.awaitEnd(ctx)
	d.log.Info("stopped")
	return err
}

// hasten makes a stop one at once when it is asked for again. Behind an heir
// the first TERM is meant for the service: it goes to the heir.
func (d *daemon) hasten(ctx context.Context, atOnce func(), signals <-chan os.Signal) {
	forward := d.fate.Load() == fateHandedOver
	for {
		select {
		case s := <-signals:
			switch {
			case s != syscall.SIGTERM && s != syscall.SIGINT: // too late for what else there is
			case s == syscall.SIGTERM && forward:
				forward = false
				d.heir.Signal(s) // if it is gone, so is the service
			default:
				d.log.Warn("stopping at once", "signal", s.String())
				atOnce()
			}
		case <-ctx.Done():
			return
		}
	}
}

// cutWait bounds the wait for the handlers of requests that were cut off, whose
// workers are gone by now.
const cutWait = time.Second

// awaitCut lets requests that were cut off say so in the log before it closes.
func (d *daemon) awaitCut() {
	if !d.leaving.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), cutWait)
	defer cancel()
	for _, door := range d.doors {
		if err := door.shutdown(ctx); err != nil {
			d.log.Warn("requests that were cut off have not ended", "listener", door.address.String())
		}
	}
}

// stopWorkers ends every process that frontd has started.
func (d *daemon) stopWorkers(ctx context.Context) error {
	err := d.sup.Stop(ctx)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		d.log.Warn("workers were killed: a stop at once was asked for")
		return nil
	case err != nil && ctx.Err() != nil:
		d.log.Warn("workers were killed: they did not stop within shutdown_timeout")
		return nil
	}
	return err
}

// settleIn tells systemd, and who started frontd, that it is up: each
// application has a worker that serves, or is known to have none. Requests
// that come before wait in the queues.
func (d *daemon) settleIn(ctx context.Context, c *config.Config, stderr io.Writer) {
	for _, door := range d.doors {
		d.log.Info("listening", "address", doorURL(door))
	}
	d.warnOfDev()
	d.awaitApps(ctx)
	if ctx.Err() != nil {
		return
	}
	if isTerminal(stderr) {
		d.announce(c, stderr)
	}
	d.tell(sd.SdNotifyReady)
	d.tellStatus(ctx)
}

// awaitApps waits until each application was started, or could not be.
func (d *daemon) awaitApps(ctx context.Context) {
	for _, a := range d.apps.all() {
		select {
		case <-a.tried:
		case <-ctx.Done():
			return
		}
	}
}

// announce says what runs, to a person at a terminal.
func (d *daemon) announce(c *config.Config, stderr io.Writer) {
	for _, door := range d.doors {
		fmt.Fprintf(stderr, "\n  frontd serves %s\n", doorURL(door))
	}
	for _, a := range c.Apps {
		if a.Folder != "" {
			continue // told with the folder; its workers start with a request
		}
		fmt.Fprintf(stderr, "  %s", strings.TrimRight(fmt.Sprintf("%s: %s %s", a.Name, a.Kind, a.Target), " "))
		if app := d.apps.get(a.Name); app != nil && app.group != nil {
			var pids []string
			for _, s := range app.group.Workers() {
				pids = append(pids, fmt.Sprint(s.Worker.PID))
			}
			fmt.Fprintf(stderr, ", %d workers: pids %s", len(pids), strings.Join(pids, " "))
		}
		fmt.Fprintln(stderr)
	}
	fmt.Fprintf(stderr, "  control socket %s; Ctrl-C stops\n\n", d.control.path)
}

// doorURL is a listener's address as a person would use it, with the port
// that was really taken.
func doorURL(d *door) string {
	switch {
	case d.address.Net == "tcp" && d.address.Scheme == "":
		return "http://" + d.listener.Addr().String()
	case d.address.Net == "tcp":
		return d.address.Scheme + "://" + d.listener.Addr().String()
	}
	return d.address.String()
}
