package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/internal/gcpace"
	"github.com/frontd/frontd/supervisor"
)

// A daemon is frontd serving.
type daemon struct {
	// Immutable.
	log     *logbook
	sup     *supervisor.Supervisor
	name    string // tells this user's daemons apart
	dir     string // runtime directory: sockets of workers
	dev     bool
	why     string // how APP was detected, "" if it was named
	started time.Time
	load    func() (*config.Config, error) // reads the configuration again
	stop    chan struct{}                  // closed by the control socket's stop
	stopped sync.Once
	handler atomic.Pointer[http.Handler]

	apps     registry
	traffic  *traffic
	stopping atomic.Bool // for who asks from outside
	changes  sync.Mutex  // one reload, restart or scale at a time; guards the fields below
	roots    folders
	// oldRoots are the folders of the chain that was replaced last: a request
	// may still be on its way through it.
	oldRoots folders

	mu     sync.Mutex // guards the fields below
	config *config.Config
	certs  *front.Certificates // nil: no https

	doors   []*door
	control *controlServer
	numbers *numbersServer // nil: no [metrics]
	serving sync.WaitGroup
	failed  chan error // a door's Serve ended although nobody closed it
}

// serveDaemon runs until it is asked to stop. Its order of starting and
// stopping reads top to bottom.
func serveDaemon(ctx context.Context, c *config.Config, d *daemon, stderr io.Writer) (err error) {
	gcpace.Start()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)

	if d.log, err = openLogbook(c.Log, stderr); err != nil {
		return err
	}
	defer d.log.Close()
	for _, w := range c.Warnings {
		d.log.Warn("configuration: " + w.Error())
	}
	d.config, d.started, d.traffic = c, time.Now(), newTraffic()
	defer d.traffic.close()
	d.stop, d.failed = make(chan struct{}), make(chan error, 1)

	if d.why != "" {
		d.log.Info("detected " + d.why)
	}
	// The doors first: an address in use is told before anything is started.
	if err := d.open(c); err != nil {
		return err
	}
	defer d.closeDoors()
	if d.numbers, err = openNumbers(c.Metrics, d); err != nil {
		return err
	}
	defer d.numbers.close() // last: that frontd is not ready is told to the end
	for _, name := range config.CloseUnused() {
		d.log.Warn("a socket that systemd passed is closed: no listen names it", "socket", name)
	}
	d.name = daemonName(nameOf(c.Server.Listen[0], d.doors[0].listener))
	if d.dir, err = runtimeDir(d.name); err != nil {
		return err
	}
	d.sup, err = d.newSupervisor()
	if err != nil {
		return err
	}
	if err := d.startApps(c); err != nil {
		d.stopWorkers(context.Background())
		return err
	}
	if err := d.openControl(c); err != nil {
		d.stopWorkers(context.Background())
		return err
	}
	d.serve()
	reloads, cancel := context.WithCancel(ctx)
	d.serving.Go(func() { d.settleIn(reloads, c, stderr) }) // shutdown waits for it
	err = d.wait(reloads, signals)
	cancel()

	d.tell(sd.SdNotifyStopping)
	return errors.Join(err, d.shutdown(c.Server.ShutdownTimeout, signals))
}

func (d *daemon) newSupervisor() (*supervisor.Supervisor, error) {
	path, err := self()
	if err != nil {
		return nil, err
	}
	return supervisor.New(supervisor.Options{
		Events:   d.event,
		Output:   d.log.output,
		Guard:    []string{path, guardName},
		Launcher: []string{path, launchName},
		Cgroup:   openCgroup(d.config, d.log),
	}), nil
}

// event hands a worker's news to its application.
func (d *daemon) event(e supervisor.Event) {
	if a := d.apps.get(e.Worker.App); a != nil {
		a.event(e)
	}
}

// wait returns when frontd is to stop, nil if it was asked to.
func (d *daemon) wait(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.stop:
			return nil
		case err := <-d.failed:
			return err
		case s := <-signals:
			switch s {
			case syscall.SIGHUP:
				d.serving.Go(func() { d.reloadLogged(ctx) }) // shutdown waits for it
			case syscall.SIGUSR1:
				d.reopenLogs()
			case syscall.SIGUSR2:
				d.log.Warn("handing over to a new binary is not available in this version")
			default:
				d.log.Info("stopping", "signal", s.String())
				return nil
			}
		}
	}
}
