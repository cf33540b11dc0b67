package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/supervisor"
)

// poolFlags are the command line of pool.
type poolFlags struct {
	listen  string
	workers int
	threads int
	allow   []string
	mode    string
	control string
}

func poolCommand() *cobra.Command {
	var f poolFlags
	cmd := &cobra.Command{
		Use:   "pool APP -l ADDRESS [-w N] [--threads N] [--control PATH]",
		Short: "Supervise workers that share one FastCGI socket, for nginx, Apache, Caddy or lighttpd",
		Long: "Start N workers that take requests from one FastCGI socket, and restart those that end.\n" +
			"A web server speaks to that socket; frontd itself takes no request. Crashes and failed starts of\n" +
			"workers are incidents (frontd incidents); what goes wrong in a request is in the web server's log.\n\nAPP is one of\n" + app.Forms(),
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.listen, "listen", "l", "", "`ADDRESS` of the socket: HOST:PORT, unix:/path, unix:@name or systemd:NAME")
	fl.IntVarP(&f.workers, "workers", "w", 0, "worker processes (default: as many as CPUs)")
	fl.IntVar(&f.threads, "threads", 0, "requests a worker serves at once (default: as the application's kind does)")
	fl.StringVar(&f.mode, "socket-mode", "0660", "`MODE` of a unix socket, octal: the web server's user must be able to write (0666, or its group on the folder)")
	fl.StringVar(&f.control, "control", "", "control socket `PATH` (default: a private one named after the address)")
	fl.StringSliceVar(&f.allow, "allow", nil, "`IP` addresses of web servers that TCP connections are taken from (FCGI_WEB_SERVER_ADDRS; default: this machine's, where the address is its own)")
	return cmd
}

func (f *poolFlags) run(cmd *cobra.Command, args []string) error {
	if f.listen == "" {
		return usagef(cmd, "no -l ADDRESS: the socket that the web server is to be pointed at, as unix:/run/frontd/app.sock")
	}
	addr, err := config.ParseAddress(f.listen)
	if err != nil {
		return &usageError{err, cmd}
	}
	if addr.Scheme == "http" || addr.Scheme == "https" {
		return usagef(cmd, "address %s: the workers of a pool speak FastCGI; HTTP is served by frontd serve", f.listen)
	}
	if cmd.Flags().Changed("workers") && f.workers < 1 || cmd.Flags().Changed("threads") && f.threads < 1 {
		return usagef(cmd, "--workers and --threads: want 1 or more")
	}
	c, why, err := appConfig(cmd, args)
	if err != nil {
		return err
	}
	if c.Apps[0].Kind == config.KindFCGI {
		return usagef(cmd, "%s: a FastCGI server already running needs no pool", args[0])
	}
	c.Server.Listen = []config.Address{addr}
	mode, err := strconv.ParseUint(f.mode, 8, 9)
	if err != nil {
		return usagef(cmd, "--socket-mode %q: want octal digits, as in 0660", f.mode)
	}
	c.Server.SocketMode = fs.FileMode(mode)
	c.Server.Control = f.control
	a := c.Apps[0]
	a.Workers = f.workers
	if f.threads > 0 {
		a.Threads = f.threads
		a.Set["threads"] = config.Pos{}
	}
	return f.serve(cmd, c, why)
}

// A pool is workers behind a socket of their own.
type pool struct {
	// Immutable.
	log     *logbook
	name    string
	kind    string
	target  string
	address config.Address
	listens string // the address as it was really taken
	started time.Time
	group   *supervisor.Group
	control *controlServer
	// Of ends of workers: what goes wrong in a request goes to the web server.
	incidents *incidents
	policy    incident.Policy
	asked     chan struct{} // closed by the control socket's stop
	stopped   sync.Once

	changes sync.Mutex // one replacement or scaling at a time; guards the field below
	spec    supervisor.Spec
}

// serve runs until a signal asks for the end. HUP takes the workers over to
// new ones.
func (f *poolFlags) serve(cmd *cobra.Command, c *config.Config, why string) (err error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	defer outliveReaders()()
	log, err := openLogbook(c.Log, cmd.ErrOrStderr(), false)
	if err != nil {
		return err
	}
	defer log.Close()
	if why != "" {
		log.Info("detected " + why)
	}
	a := c.Apps[0]
	p := &pool{
		log: log, name: a.Name, kind: string(a.Kind), target: a.Target, address: c.Server.Listen[0],
		started: time.Now(), asked: make(chan struct{}),
	}
	listener, err := config.ListenMode(p.address, c.Server.SocketMode)
	if err != nil {
		return err
	}
	defer listener.Close()
	p.listens = nameOf(p.address, listener)
	socket, err := listenerFile(listener)
	if err != nil {
		return err
	}
	defer socket.Close()
	path, err := self()
	if err != nil {
		return err
	}
	if p.incidents, err = openIncidents(c, log, daemonName(p.listens), false); err != nil {
		return err
	}
	defer p.incidents.close()
	p.policy = *p.incidents.policy(c, a, nil)
	sup := supervisor.New(supervisor.Options{Events: p.event, Output: p.output, Guard: []string{path, guardName}})
	if p.spec, err = f.spec(c, p, socket, path); err != nil {
		return err
	}
	if p.group, err = sup.Start(p.spec); err != nil {
		return err
	}
	err = p.openControl(c, p.listens)
	if err == nil {
		log.Info("workers listen", "address", p.address.String(), "app", a.Name, "workers", p.spec.Workers)
		sd.SdNotify(false, sd.SdNotifyReady)
		p.wait(cmd.Context(), signals)
		sd.SdNotify(false, sd.SdNotifyStopping)
	}
	return errors.Join(err, p.stop(sup, c.Server.ShutdownTimeout, signals))
}

func (f *poolFlags) spec(c *config.Config, p *pool, socket *os.File, path string) (supervisor.Spec, error) {
	a := c.Apps[0]
	cmd, err := hostedApp(a).Command(app.Options{Threads: threadsOf(a), Self: path, SelfArgs: []string{appworkerName}})
	if err != nil {
		return supervisor.Spec{}, err
	}
	env := slices.Concat(baseEnv(), procsEnv(a), cmd.Env)
	if allow := f.allowed(p.address); allow != "" {
		env = append(env, "FCGI_WEB_SERVER_ADDRS="+allow)
	}
	l := c.AppLimits(a)
	return supervisor.Spec{
		Name: a.Name, Path: cmd.Path, Args: workerArgs(cmd), Dir: cmd.Dir, Env: env,
		Workers: workersOf(a), Listener: socket, Ready: p.ready,
		StartTimeout: l.Timeout.Start, StopTimeout: l.Timeout.Stop,
	}, nil
}

// allowed is FCGI_WEB_SERVER_ADDRS (FastCGI §3.2), which workers on TCP obey.
func (f *poolFlags) allowed(a config.Address) string {
	if len(f.allow) > 0 {
		return strings.Join(f.allow, ",")
	}
	host, _, err := net.SplitHostPort(a.Addr)
	if a.Net != "tcp" || err != nil {
		return ""
	}
	switch ip := net.ParseIP(host); {
	case host == "localhost":
		return "127.0.0.1,::1"
	case ip != nil && ip.IsLoopback():
		return ip.String()
	}
	return ""
}

// readyWait is how long a worker on a shared socket may leave its question
// unanswered before it counts as serving: the socket's others, and the web
// server's requests, may come between.
const readyWait = 3 * time.Second

// ready asks whoever answers at the shared socket. A worker that ends before,
// or while, it comes up is told by its end.
func (p *pool) ready(ctx context.Context, _ supervisor.Worker) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	nc, err := dialer(p.address.Network(), p.address.Addr)(ctx)
	if err != nil {
		return nil // all are busy, its end would have been told
	}
	defer nc.Close()
	fcgi.Probe(ctx, nc)
	return nil
}

// output takes a line that a worker printed.
func (p *pool) output(w supervisor.Worker, stream string, line []byte) {
	p.log.output(w, stream, line)
	p.incidents.tails.wrote(w, stream, line)
}

func (p *pool) event(e supervisor.Event) {
	log := p.log.With("app", p.name, "slot", e.Worker.Slot, "pid", e.Worker.PID)
	switch e.Kind {
	case supervisor.EventReady:
		log.Info("worker ready", "took", time.Since(e.Worker.Started).Round(time.Millisecond))
	case supervisor.EventStopping:
		log.Info("worker stopping", "reason", e.Reason)
	case supervisor.EventGone:
		p.incidents.gone(p.name, p.policy, e, 0, nil)
		switch {
		case e.Exit.Cause == supervisor.CauseStartFailed: // its failing was told
		case endedAsTold(app.Kind(p.kind), e.Exit):
			log.Info("worker gone", "exit", e.Exit.String())
		default:
			log.Warn("worker gone", "exit", e.Exit.String())
		}
	case supervisor.EventFailing:
		log.Error("worker did not start", "error", e.Err)
		p.incidents.notStarted(p.name, p.policy, e)
	case supervisor.EventBackoff:
		if e.Delay > 0 {
			log.Warn("worker starts again later", "in", e.Delay.Round(time.Millisecond))
		}
	}
}

// wait returns when the pool is to stop, and nothing is changed any more. HUP
// has new workers take over.
func (p *pool) wait(ctx context.Context, signals <-chan os.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	var replaced chan struct{} // not nil: a replacement is under way; closed at its end
	defer func() {
		cancel()
		p.control.close() // what it does is given up: a replacement waits for its turn behind it
		if replaced != nil {
			<-replaced
		}
	}()
	again := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.asked:
			p.log.Info("stopping", "by", "control socket")
			return
		case <-replaced:
			replaced = nil
			sd.SdNotify(false, sd.SdNotifyReady)
		case s := <-signals:
			if asksToStop(s) {
				awaitEcho(signals, func(os.Signal) {}) // a HUP is too late
				p.log.Info("stopping", "signal", s.String())
				return
			}
			again = true
		}
		if again && replaced == nil {
			again = false
			sd.SdNotify(false, sd.SdNotifyReloading+"\n"+monotonicUsec())
			replaced = make(chan struct{})
			go func(end chan<- struct{}) {
				// Its end is received above.
				defer close(end)
				p.replace(ctx) // it has told the log
			}(replaced)
		}
	}
}

func (p *pool) stop(sup *supervisor.Supervisor, timeout time.Duration, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	go p.hasten(ctx, cancel, signals) // ends with ctx, which this function cancels
	if err := sup.Stop(ctx); err != nil {
		p.log.Warn("workers were killed: they did not stop in time", "error", err)
	}
	p.log.Info("stopped")
	return nil
}

// hasten makes a stop one at once when it is asked for again.
func (p *pool) hasten(ctx context.Context, atOnce func(), signals <-chan os.Signal) {
	for {
		select {
		case s := <-signals:
			if asksToStop(s) {
				p.log.Warn("stopping at once", "signal", s.String())
				atOnce()
			}
		case <-ctx.Done():
			return
		}
	}
}

// listenerFile is the socket itself, to be a worker's fd 0.
func listenerFile(l net.Listener) (*os.File, error) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("listener %v has no descriptor", l.Addr())
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	// Not l.File(): package os would set the mode of its descriptor at every
	// start of a worker, and the mode is the socket's, shared by all of them.
	var fd int
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if ctl := raw.Control(func(s uintptr) {
		if fd, err = syscall.Dup(int(s)); err == nil {
			syscall.CloseOnExec(fd)
			err = syscall.SetNonblock(fd, false)
		}
	}); ctl != nil {
		err = ctl
	}
	if err != nil {
		return nil, fmt.Errorf("share listener %v: %w", l.Addr(), err)
	}
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}
