package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/front"
)

// A door is a listener and the server behind it.
type door struct {
	address  config.Address
	manner   manner
	listener net.Listener
	serve    func(net.Listener) error
	shutdown func(context.Context) error
	close    func() error
	open     func() int // connections
	pulse    *pulse     // of its listener; nil until it serves, guarded by daemon.mu
}

// A manner is how a door serves, as configured. What of it changes in a reload
// makes another door of the same socket.
type manner struct {
	engine       front.Engine
	header, idle time.Duration
}

// mannerAt is that of a door for FastCGI too, which has none.
func mannerAt(a config.Address, c *config.Config) manner {
	if a.Scheme == "fcgi" {
		return manner{}
	}
	return manner{cmp.Or(engineOfTests, front.Engine(c.Server.Engine)), c.Server.HeaderTimeout, c.Server.IdleTimeout}
}

// open listens at every address and makes the servers. Requests wait in the
// listeners' queues until serve.
func (d *daemon) open(c *config.Config) error {
	var errs []error
	for _, a := range c.Server.Listen {
		door, err := d.openDoor(a, c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d.doors = append(d.doors, door)
	}
	if err := errors.Join(errs...); err != nil {
		d.closeDoors()
		return err
	}
	return nil
}

func (d *daemon) openDoor(a config.Address, c *config.Config) (*door, error) {
	l, err := config.ListenMode(a, c.Server.SocketMode)
	if err != nil {
		return nil, err
	}
	door, err := d.newDoor(a, l, c)
	if err != nil {
		l.Close()
		return nil, err
	}
	return door, nil
}

// allDoors are those that are open now: a reload may change them.
func (d *daemon) allDoors() []*door {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.doors)
}

// engineOfTests, if not empty, is in the place of the configured engine, so
// that the tests of the whole daemon run on either.
var engineOfTests front.Engine

func (d *daemon) newDoor(a config.Address, l net.Listener, c *config.Config) (*door, error) {
	m := mannerAt(a, c)
	where := front.Listener{Name: a.String(), TrustPeer: l.Addr().Network() == "unix", Leaving: &d.leaving}
	h := http.HandlerFunc(d.dispatch)
	if a.Scheme == "fcgi" {
		where.Kind = front.FastCGI
		s := &fcgi.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h(w, r.WithContext(front.WithListener(r.Context(), where)))
			}),
			ErrorLog: func(format string, args ...any) { d.log.Warn(fmt.Sprintf(format, args...), "listener", where.Name) },
		}
		return &door{address: a, manner: m, listener: l, serve: s.Serve, shutdown: s.Shutdown, close: s.Close, open: s.Connections}, nil
	}
	sc := front.ServerConfig{
		Listener: where, Log: d.log.Logger,
		Engine: m.engine, ReadHeaderTimeout: m.header, IdleTimeout: m.idle,
		Refusal: func(r front.Refusal) {
			d.traffic.set.Refuse(r.Cause.Status(), string(r.Cause))
			d.log.access.Refused(r)
			d.log.Info("request refused", "remote", r.Remote.String(), "cause", string(r.Cause), "detail", r.Detail)
		},
	}
	if a.Scheme == "https" {
		var err error
		if sc.TLS, err = d.tlsConfig(c); err != nil {
			return nil, fmt.Errorf("listen at %v: %w", a, err)
		}
	}
	s := front.NewServer(h, sc)
	return &door{address: a, manner: m, listener: l, serve: s.Serve, shutdown: s.Shutdown, close: s.Close, open: s.Connections}, nil
}

func (d *daemon) tlsConfig(c *config.Config) (*tls.Config, error) {
	if c.Server.TLS.Certificate == "" {
		return nil, errors.New("no certificate: set certificate and key in [server.tls]")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.certs == nil {
		certs, err := front.LoadCertificates(certificateFiles(c), d.log.Logger)
		if err != nil {
			return nil, err
		}
		d.certs = certs
	}
	return d.certs.Config(), nil
}

func certificateFiles(c *config.Config) []front.CertificateFiles {
	return []front.CertificateFiles{{Cert: c.Server.TLS.Certificate, Key: c.Server.TLS.Key}}
}

// hasTLS reports whether any listener needs a certificate.
func hasTLS(c *config.Config) bool {
	return slices.ContainsFunc(c.Server.Listen, func(a config.Address) bool { return a.Scheme == "https" })
}

// dispatch serves with the chain in force now.
func (d *daemon) dispatch(w http.ResponseWriter, r *http.Request) {
	if d.dev && d.devNews(w, r) {
		return
	}
	ch := d.enter()
	defer ch.leave()
	ch.handler.ServeHTTP(w, r)
}

// serve lets the doors answer.
func (d *daemon) serve() {
	for _, door := range d.allDoors() {
		d.serveAt(door)
	}
}

// serveAt lets one answer. A door that ends by itself ends the daemon: it would
// be half deaf.
func (d *daemon) serveAt(door *door) {
	p := newPulse(door.listener, d.forClients, door.open)
	d.mu.Lock()
	door.pulse = p
	d.mu.Unlock()
	d.serving.Go(func() { // shutdown waits for it
		err := door.serve(p)
		if err == nil || errors.Is(err, fcgi.ErrServerClosed) {
			return
		}
		select {
		case d.failed <- fmt.Errorf("serve %v: %w", door.address, err):
		default: // another one failed first
		}
	})
}

// pulses are those of the doors that serve.
func (d *daemon) pulses() (list []*pulse) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, door := range d.doors {
		if door.pulse != nil {
			list = append(list, door.pulse)
		}
	}
	return list
}

func (d *daemon) closeDoors() {
	for _, door := range d.allDoors() {
		door.listener.Close()
	}
}
