package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
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
	renewed []doorRenewal
	dropped []*door
	mode    fs.FileMode         // of unix sockets; 0: as they are
	certs   *front.Certificates // before
}

// A doorRenewal is another door of the same socket, that serves in another manner.
type doorRenewal struct{ before, after *door }

// prepareDoors opens what a configuration has that is not open. An address in
// use, or one that cannot be had, is an error and leaves nothing behind. A door
// whose address has stayed keeps its socket, and with it who waits there.
func (d *daemon) prepareDoors(c *config.Config) (*doorChange, error) {
	have := make(map[config.Address]*door)
	for _, door := range d.allDoors() {
		have[door.address] = door
	}
	d.mu.Lock()
	ch := &doorChange{d: d, certs: d.certs}
	if d.config.Server.SocketMode != c.Server.SocketMode {
		ch.mode = c.Server.SocketMode
	}
	d.mu.Unlock()
	var errs []error
	for _, a := range c.Server.Listen {
		before := have[a]
		if before != nil && before.manner == mannerAt(a, c) {
			delete(have, a)
			ch.all = append(ch.all, before)
			continue
		}
		if before != nil {
			delete(have, a)
			door, err := d.renewDoor(before, c)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			ch.all, ch.renewed = append(ch.all, door), append(ch.renewed, doorRenewal{before, door})
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

// renewDoor makes another door of the same socket.
func (d *daemon) renewDoor(before *door, c *config.Config) (*door, error) {
	l, err := config.Share(before.listener)
	if err != nil {
		return nil, err
	}
	door, err := d.newDoor(before.address, l, c)
	if err != nil {
		l.Close()
		return nil, err
	}
	return door, nil
}

// abort closes what was opened.
func (ch *doorChange) abort() {
	for _, pair := range ch.renewed {
		pair.after.listener.Close()
	}
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
	for _, pair := range ch.renewed {
		before, door := pair.before, pair.after
		config.HandUnlink(before.listener, door.listener)
		d.serveAt(door) // beside the one before, for as long as that has requests
		d.log.Info("listening in another manner", "address", doorURL(door))
		if !d.serving.Go(func() { before.leave(d, within, "") }) { // shutdown waits for it
			before.close() // it has waited, and gave up who was left
		}
	}
	ch.enforceMode()
	var stale []string
	for _, door := range ch.dropped {
		if l, ok := door.listener.(*config.UnixListener); ok {
			l.SetUnlinkOnClose(true) // whether it was stored or not
		}
		if door.address.Storable() {
			stale = append(stale, door.address.SocketName())
		}
		if !d.serving.Go(func() { door.leave(d, within, "does not listen any more") }) { // shutdown waits for it
			door.close() // as above
		}
	}
	d.storeSockets(ch.added, stale)
}

// enforceMode gives the files of unix sockets that stay another mode. Those of
// systemd have the mode of their unit.
func (ch *doorChange) enforceMode() {
	for _, door := range ch.all {
		if ch.mode == 0 || door.address.Net != "unix" || door.address.Addr[0] == '@' {
			continue
		}
		if err := os.Chmod(door.address.Addr, ch.mode); err != nil {
			ch.d.log.Error("socket_mode not set", "address", doorURL(door), "error", err)
		}
	}
}

// leave stops accepting, answers what is there, and says so.
func (door *door) leave(d *daemon, within time.Duration, said string) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	url := doorURL(door)
	if err := door.shutdown(ctx); err != nil {
		d.log.Warn("requests were cut off by the end of a listener", "listener", url, "error", err)
		door.close()
		return
	}
	if said != "" {
		d.log.Info(said, "address", url)
	}
}
