package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/internal/gcpace"
	"github.com/frontd/frontd/supervisor"
)

// A daemon is frontd serving.
type daemon struct {
	// Immutable.
	log        *logbook
	sup        *supervisor.Supervisor
	name       string // tells this user's daemons apart
	dir        string // runtime directory: sockets of workers
	dirLock    *os.File
	dev        bool
	why        string // how APP was detected, "" if it was named
	started    time.Time
	first      *config.Config                 // that it was started with
	load       func() (*config.Config, error) // reads the configuration again
	program    string                         // what an upgrade starts
	stderr     *os.File                       // an heir's too
	elder      *elder                         // nil: nobody served before us
	life       context.Context                // ends when the stop begins
	stop       chan struct{}                  // closed by the control socket's stop
	handed     chan struct{}                  // closed when an heir serves
	stopped    sync.Once
	chained    atomic.Pointer[chain] // in force
	fate       atomic.Int32
	speaks     atomic.Bool // to systemd: we are its main process
	forClients *descriptors

	reloadDue atomic.Bool // a HUP's reload waits for its turn: others are one with it

	upgrading sync.Mutex  // held by an upgrade; guards the field below
	heir      *os.Process // set when handed is closed

	apps      registry
	crowd     *crowd
	incidents *incidents
	stores    sessionStores
	traffic   *traffic
	stopping  atomic.Bool // for who asks from outside
	leaving   atomic.Bool // set before requests are cut off: their clients did not leave
	changes   sync.Mutex  // one reload, restart or scale at a time

	mu      sync.Mutex // guards the fields below
	config  *config.Config
	certs   *front.Certificates // nil: no https
	doors   []*door
	numbers *numbersServer // nil: no [metrics]

	control *controlServer
	serving errands
	failed  chan error // a door's Serve ended although nobody closed it
}

// serveDaemon runs until it is asked to stop. Its order of starting and
// stopping reads top to bottom.
func serveDaemon(ctx context.Context, c *config.Config, d *daemon, stderr io.Writer) (err error) {
	gcpace.Start()
	// A crash ends by SIGABRT and not by status 2, which says that the
	// configuration is wrong, so that nobody would start us again.
	debug.SetTraceback("crash")
	signals := make(chan os.Signal, 64) // none that asks to stop is to be lost behind others
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	defer outliveReaders()()
	life, cancel := context.WithCancel(ctx)
	defer cancel()

	if err := d.prepare(life, c, stderr); err != nil {
		return err
	}
	defer d.log.Close()
	defer func() { d.incidents.close() }() // it is opened later
	defer d.closeStores()
	defer d.traffic.close()
	defer d.elder.close()
	defer func() {
		if err != nil {
			d.tellFailure(err)
		}
	}()
	// The doors first: an address in use is told before anything is started.
	if err := d.open(c); err != nil {
		return err
	}
	defer d.closeDoors()
	if err := d.startNumbers(c.Metrics); err != nil {
		return err
	}
	defer func() { d.numbersNow().close() }() // last: that frontd is not ready is told to the end
	stale, err := d.start(c)
	if err == nil {
		err = d.elder.askToServe(life, d, signals)
	}
	if err != nil {
		d.control.close()
		if d.sup != nil {
			d.stopWorkers(context.Background())
		}
		d.removeDir()
		return err
	}
	d.serve()
	d.control.serve()
	d.numbersNow().serve()
	d.elder.takeOver(d)
	d.speaks.Store(true)
	d.storeSockets(d.allDoors(), stale)
	d.serving.Go(func() { d.settleIn(life, c, d.stderr) }) // shutdown waits for it
	d.serving.Go(func() { d.feedWatchdog(life) })          // likewise
	d.serving.Go(func() { d.shareProcessors(life) })       // likewise
	asked, err := d.wait(life, signals)
	cancel()
	within := d.configNow().Server.ShutdownTimeout
	d.part(within, asked)
	return errors.Join(err, d.shutdown(within, signals))
}

// configNow is the configuration in force.
func (d *daemon) configNow() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// prepare makes what needs no socket and no process.
func (d *daemon) prepare(life context.Context, c *config.Config, stderr io.Writer) (err error) {
	if d.elder, err = findElder(); err != nil {
		return err
	}
	d.stderr = os.Stderr
	if f, ok := stderr.(*os.File); ok {
		d.stderr = f
	}
	if d.elder != nil {
		d.stderr, stderr = d.elder.stderr, d.elder.stderr
	}
	if d.program, err = startedAs(); err != nil {
		return err
	}
	if d.log, err = openLogbook(c.Log, stderr, d.dev); err != nil {
		return err
	}
	d.doubt(c)
	if d.why != "" {
		d.log.Info("detected " + d.why)
	}
	d.crowd, d.forClients = newCrowd(), newDescriptors(d.log.Logger)
	d.config, d.first, d.started, d.traffic, d.life = c, c, time.Now(), newTraffic(), life
	d.stop, d.handed, d.failed = make(chan struct{}), make(chan struct{}), make(chan error, 1)
	d.speaks.Store(d.elder == nil)
	return nil
}

// doubt tells what is odd about a configuration that holds nevertheless.
func (d *daemon) doubt(c *config.Config) {
	for _, w := range c.Warnings {
		d.log.Warn("configuration: " + w.Error())
	}
}

// start starts what is behind the doors. It returns the names of sockets that
// a frontd before this one had and this configuration has no more.
func (d *daemon) start(c *config.Config) (stale []string, err error) {
	d.name = daemonName(nameOf(c.Server.Listen[0], d.doors[0].listener))
	if d.dir, d.dirLock, err = runtimeDir(d.name); err != nil {
		return nil, err
	}
	if d.incidents, err = openIncidents(c, d.log, d.name, d.elder != nil); err != nil {
		return nil, err
	}
	d.incidents.dev, d.incidents.apps = d.dev, &d.apps
	if d.sup, err = d.newSupervisor(); err != nil {
		return nil, err
	}
	if err := d.startApps(c); err != nil {
		return nil, err
	}
	if err := d.openControl(c); err != nil {
		return nil, err
	}
	unused, stale := config.CloseUnused()
	for _, name := range unused {
		d.log.Warn("a socket that systemd passed is closed: no listen names it", "socket", name)
	}
	return stale, nil
}

// part settles what becomes of us: a stop, or the end behind an heir, which a
// signal to stop that came meanwhile then concerns.
func (d *daemon) part(within time.Duration, asked os.Signal) {
	if d.fate.CompareAndSwap(fateOpen, fateStopping) {
		d.tellStopping(within)
		return
	}
	<-d.handed // at once: it has been decided
	if asked != nil {
		d.heir.Signal(asked)
	}
}

func (d *daemon) newSupervisor() (*supervisor.Supervisor, error) {
	path, err := self()
	if err != nil {
		return nil, err
	}
	sayRoot(d.log, os.Geteuid(), d.config.Apps)
	return supervisor.New(supervisor.Options{
		Events:   d.event,
		Output:   d.output,
		Guard:    []string{path, guardName},
		Launcher: []string{path, launchName},
		Cgroup:   openCgroup(d.config, d.log),
	}), nil
}

// output takes a line that a worker printed.
func (d *daemon) output(w supervisor.Worker, stream string, line []byte) {
	a := d.apps.ofGroup(w.App)
	if a != nil {
		w.App = a.name
	}
	d.log.output(w, stream, line)
	d.incidents.tails.wrote(w, stream, line)
	if a != nil {
		a.dumps.wrote(w, stream, line)
		a.draft.wrote(w, line)
	}
}

// event hands a worker's news to its application.
func (d *daemon) event(e supervisor.Event) {
	if a := d.apps.ofGroup(e.Worker.App); a != nil {
		a.event(e)
	}
}

// wait returns when frontd is to stop: with the signal that asked for it, if
// one did, or with the error that makes it.
func (d *daemon) wait(ctx context.Context, signals <-chan os.Signal) (os.Signal, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-d.stop:
			d.log.Info("stopping", "by", "control socket")
			return nil, nil
		case <-d.handed:
			return nil, nil
		case err := <-d.failed:
			return nil, err
		case s := <-signals:
			switch s {
			case syscall.SIGHUP:
				if d.reloadDue.CompareAndSwap(false, true) {
					d.serving.Go(func() { d.reloadOnce(ctx) }) // shutdown waits for it
				}
			case syscall.SIGUSR1:
				d.serving.Go(d.reopenLogs) // shutdown waits for it, as long as it waits for a log that takes nothing
			case syscall.SIGUSR2:
				d.serving.Go(func() { d.upgradeLogged(ctx) }) // shutdown waits for it
			default:
				awaitEcho(signals, d.heedWhileStopping)
				d.log.Info("stopping", "signal", s.String())
				return s, nil
			}
		}
	}
}
