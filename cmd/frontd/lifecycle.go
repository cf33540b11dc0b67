package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/supervisor"
)

// A registry holds the applications by name, and those too that have one no
// more, or not yet, by the name of their group of workers.
type registry struct {
	mu     sync.Mutex // guards the fields below
	apps   map[string]*application
	groups map[string]*application
}

// join lets news of a's workers reach it, and settles the name of their group:
// that of the application, with a number where one before has it, or where
// another application is called so.
func (r *registry) join(a *application, c *config.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.groups == nil {
		r.groups = make(map[string]*application)
	}
	a.workers = a.name
	for n := 2; r.groups[a.workers] != nil || a.workers != a.name && c.App(a.workers) != nil; n++ {
		a.workers = fmt.Sprintf("%s.%d", a.name, n)
	}
	r.groups[a.workers] = a
}

// leave is for one whose workers are gone.
func (r *registry) leave(a *application) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.groups, a.workers)
}

// ofGroup finds the application of a worker.
func (r *registry) ofGroup(name string) *application {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.groups[name]
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

func (r *registry) drop(a *application) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.apps[a.name] == a {
		delete(r.apps, a.name)
	}
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
		a, err := d.startApp(c, ac)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d.apps.put(a)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return d.route(c)
}

// startApp starts an application; it has no name yet by which others find it.
func (d *daemon) startApp(c *config.Config, ac *config.App) (*application, error) {
	limits := c.AppLimits(ac)
	a := newApplication(ac, limits.Queue.Size, d.dev, d.log)
	a.incidents, a.held = d.incidents, d.incidents.held
	a.setPolicy(d.incidents.policy(c, ac, nil))
	a.draft = d.newDraft(a)
	a.pool.Wanted = func() { // as long as a worker of ours may be what it waits for
		a.keeper.waits()
		d.crowd.waits()
	}
	d.apps.join(a, c) // before the start: events come from the first moment on
	if err := a.start(d.sup, limits, d.dir); err != nil {
		d.apps.leave(a)
		a.draft.drop()
		return nil, err
	}
	if a.draft != nil && !d.serving.Go(a.draft.run) { // shutdown waits for it
		a.draft.drop()
	}
	return a, nil
}

// reloadOnce is what a HUP asks for, and every other one that comes before it
// has begun: what it reads is newer than all of them.
func (d *daemon) reloadOnce(ctx context.Context) {
	d.changes.Lock() // whatever is under way has ended
	d.reloadDue.Store(false)
	d.changes.Unlock()
	if _, err := d.reloadLogged(ctx); errors.Is(err, errHandedOver) {
		d.heir.Signal(syscall.SIGHUP) // it read the configuration before; if it is gone, so is the service
	}
}

// reloadLogged is reload for those outside: systemd is told, and the log.
func (d *daemon) reloadLogged(ctx context.Context) (reloadReport, error) {
	d.tell(sd.SdNotifyReloading + "\n" + monotonicUsec())
	defer d.tell(sd.SdNotifyReady)
	d.log.Info("reloading")
	report, err := d.reload(ctx)
	if len(report.Waits) > 0 {
		d.log.Warn("settings have changed that wait for a restart", "settings", strings.Join(report.Waits, ", "))
	}
	for _, said := range report.Rescaled {
		d.log.Warn("a number of workers holds no more: " + said)
	}
	switch {
	case errors.Is(err, supervisor.ErrStillStopping):
		// Whoever asked has stopped waiting; what is new serves.
		d.log.Warn("reloaded", "note", err)
	case errors.Is(err, errHandedOver):
		d.log.Info("not reloaded here", "note", err)
	case errors.Is(err, errInForce):
		d.log.Error("reloaded, but not all went well", "error", err)
	case err != nil:
		d.log.Error("reload failed, what served before still serves", "error", err)
	default:
		d.log.Info("reloaded")
	}
	return report, err
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
		d.numbersNow().close() // the heir's are what holds
	}
	var doors sync.WaitGroup
	for _, door := range d.allDoors() {
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

// echoTime is for how long an echo of a signal to stop is waited for, before anything is
// said or done: who signals a process and its group, as timeout(1) does, a wrapper that
// passes on a terminal's Ctrl-C, and a shell with a trap say twice what they mean once.
// Who has seen that the stop has begun, and asks again, asks for one at once.
const echoTime = 20 * time.Millisecond

// awaitEcho takes off signals what comes within echoTime. Those that do not
// ask to stop are given to other.
func awaitEcho(signals <-chan os.Signal, other func(os.Signal)) {
	over := time.After(echoTime)
	for {
		select {
		case s := <-signals:
			if !asksToStop(s) {
				other(s)
			}
		case <-over:
			return
		}
	}
}

// asksToStop reports whether a signal does; a second one has a stop be one at once.
func asksToStop(s os.Signal) bool { return s == syscall.SIGTERM || s == syscall.SIGINT }

// hasten makes a stop one at once when it is asked for again. Behind an heir
// the first TERM is meant for the service: it goes to the heir.
func (d *daemon) hasten(ctx context.Context, atOnce func(), signals <-chan os.Signal) {
	forward := d.fate.Load() == fateHandedOver
	for {
		select {
		case s := <-signals:
			switch {
			case !asksToStop(s):
				d.heedWhileStopping(s)
			case s == syscall.SIGTERM && forward:
				forward = false
				d.heir.Signal(s) // if it is gone, so is the service
				awaitEcho(signals, d.heedWhileStopping)
			default:
				d.log.Warn("stopping at once", "signal", s.String())
				atOnce()
			}
		case <-ctx.Done():
			return
		}
	}
}

// heedWhileStopping does what signals other than those to stop can still mean: logs
// are opened again as long as something may be written to them, and behind an heir
// they and the configuration are the heir's, too.
func (d *daemon) heedWhileStopping(s os.Signal) {
	if s == syscall.SIGUSR1 {
		d.reopenLogs()
	}
	if s != syscall.SIGUSR1 && s != syscall.SIGHUP {
		return
	}
	select {
	case <-d.handed: // not before: it is decided a moment before the heir is known here
		d.heir.Signal(s)
	default:
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
	for _, door := range d.allDoors() {
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
	for _, door := range d.allDoors() {
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
	for _, door := range d.allDoors() {
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
			fmt.Fprintf(stderr, ", %s: %s %s", count(len(pids), "worker"), plural(len(pids), "pid"), strings.Join(pids, " "))
			if app.pool.Stats().Failing != nil {
				fmt.Fprint(stderr, ", which do not start (see above, and frontd status); they are tried again and again")
			}
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
