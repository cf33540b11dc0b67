package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// beatsPerWatchdog is how often the watchdog is fed within WatchdogSec=: one
// beat may come late, or fail, without the end of everything.
const beatsPerWatchdog = 3

// feedWatchdog tells systemd that frontd works (WatchdogSec=) until ctx ends.
// It is not told so by a clock: each door's accept loop has to have come
// round, and what every request needs to be free.
func (d *daemon) feedWatchdog(ctx context.Context) {
	limit, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("no watchdog: systemd's environment makes no sense", "error", err)
	}
	if err != nil || limit <= 0 {
		return
	}
	pause := limit / beatsPerWatchdog
	tick := time.NewTicker(pause)
	defer tick.Stop()
	dispatch := &liveness{check: d.dispatches}
	for {
		if err := d.beats(ctx, dispatch, pause); err == nil {
			d.tell(sd.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			d.log.Error("the watchdog is not fed", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *daemon) beats(ctx context.Context, dispatch *liveness, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, p := range d.pulses() {
		if err := p.feel(ctx); err != nil {
			return err
		}
	}
	return dispatch.ask(ctx)
}

// A pulse is a listener whose accept loop can be felt, and leaves descriptors for others.
type pulse struct {
	net.Listener
	beat   chan struct{} // capacity 1: Accept has returned since the last look
	share  *descriptors
	open   func() int // connections that it has accepted and that are open
	closed chan struct{}
	once   sync.Once

	full bool // owned by the accept loop: there may be no room for another one
}

func newPulse(l net.Listener, share *descriptors, open func() int) *pulse {
	return &pulse{Listener: l, beat: make(chan struct{}, 1), share: share, open: open, closed: make(chan struct{})}
}

func (p *pulse) Accept() (net.Conn, error) {
	if p.full {
		p.share.await(p.closed, p.open, p.beats)
	}
	c, err := p.Listener.Accept()
	p.beats()
	p.full = err == nil && p.share.last(c)
	return c, err
}

func (p *pulse) beats() {
	select {
	case p.beat <- struct{}{}:
	default: // nobody has looked since the last one
	}
}

// Close ends an Accept that waits for room too.
func (p *pulse) Close() error {
	err := p.Listener.Close() // first: who wakes up finds it closed
	p.once.Do(func() { close(p.closed) })
	return err
}

// feel returns nil when the loop has accepted since it was called last, be it
// a connection of our own, made where nobody else came. A socket that cannot
// be reached from here says nothing against the loop: its address may be gone.
func (p *pulse) feel(ctx context.Context) error {
	select {
	case <-p.beat:
		return nil
	default:
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, p.Addr().Network(), p.Addr().String())
	switch {
	case err == nil:
		defer c.Close()
	case errors.Is(err, syscall.EAGAIN) || ctx.Err() != nil: // its queue is full
	default:
		return nil
	}
	select {
	case <-p.beat:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("listener %v: nothing was accepted", p.Addr())
	}
}
