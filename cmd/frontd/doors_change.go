package main

import (
	"context"
	"errors"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
)

// A doorChange is what a reload changes of the doors: those that come listen
// already, so that connections wait for them, and those that go serve still.
type doorChange struct {
	d       *daemon
	all     []*door // in the order of the configuration
	added   []*door
	dropped []*door
	certs   *front.Certificates // before
}

// prepareDoors opens what a configuration has that is not open. An address in
// use, or one that cannot be had, is an error and leaves nothing behind. A door
// whose address has stayed is not touched.
func (d *daemon) prepareDoors(c *config.Config) (*doorChange, error) {
	have := make(map[config.Address]*door)
	for _, door := range d.allDoors() {
		have[door.address] = door
	}
	d.mu.Lock()
	ch := &doorChange{d: d, certs: d.certs}
	d.mu.Unlock()
	var errs []error
	for _, a := range c.Server.Listen {
		if door := have[a]; door != nil {
			delete(have, a)
			ch.all = append(ch.all, door)
			continue
		}
		door, err := d.openDoor(a, c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ch.all, ch.added = append(ch.all, door), append(ch.added, door)
	}
	if err := errors.Join(errs...); err != nil {
		ch.abort()
		return nil, config.Error{File: c.File, Pos: c.Server.Set["listen"], Key: "server.listen", Reason: err.Error()}
	}
	for _, door := range have {
		ch.dropped = append(ch.dropped, door)
	}
	return ch, nil
}

// abort closes what was opened.
func (ch *doorChange) abort() {
	for _, door := range ch.added {
		door.listener.Close()
	}
	ch.d.mu.Lock()
	ch.d.certs = ch.certs
	ch.d.mu.Unlock()
}

// enforce serves at the new doors and closes those that are no more, which
// answer what is under way within the given time. A daemon that stops has the
// doors that it had.
func (ch *doorChange) enforce(within time.Duration) {
	d := ch.d
	d.mu.Lock()
	stops := d.stopping.Load() // whoever sets it looks at the doors only then
	if !stops {
		d.doors = ch.all
	}
	d.mu.Unlock()
	if stops {
		ch.abort()
		return
	}
	for _, door := range ch.added {
		d.serveAt(door)
		d.log.Info("listening", "address", doorURL(door))
	}
	var stale []string
	for _, door := range ch.dropped {
		if l, ok := door.listener.(*config.UnixListener); ok {
			l.SetUnlinkOnClose(true) // whether it was stored or not
		}
		if door.address.Storable() {
			stale = append(stale, door.address.SocketName())
		}
		d.serving.Go(func() { door.leave(d, within) }) // shutdown waits for it
	}
	d.storeSockets(ch.added, stale)
}

// leave stops accepting and answers what is there.
func (door *door) leave(d *daemon, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	url := doorURL(door)
	if err := door.shutdown(ctx); err != nil {
		d.log.Warn("requests were cut off by the end of a listener", "listener", url, "error", err)
		door.close()
		return
	}
	d.log.Info("does not listen any more", "address", url)
}
