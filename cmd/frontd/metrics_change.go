package main

import "github.com/frontd/frontd/config"

// A numbersChange is what a reload changes of the listener of [metrics]. One that
// comes listens already, so that probes wait for it, and the one that goes serves still.
type numbersChange struct {
	d             *daemon
	before, after *numbersServer // the same: it stays; nil: there is none
	hosts         []string
}

// prepareNumbers opens the listener of a configuration that is not open. An
// address that cannot be had is an error and leaves nothing behind.
func (d *daemon) prepareNumbers(c *config.Config) (*numbersChange, error) {
	before := d.numbersNow()
	ch := &numbersChange{d: d, before: before, after: before, hosts: c.Metrics.Hosts}
	if before != nil && before.address == c.Metrics.Listen {
		return ch, nil
	}
	var err error
	if ch.after, err = d.openNumbers(c.Metrics); err != nil {
		return nil, config.Error{File: c.File, Pos: c.Metrics.Set["listen"], Key: "metrics.listen", Reason: err.Error()}
	}
	return ch, nil
}

// abort closes what was opened.
func (ch *numbersChange) abort() {
	if ch.after != ch.before {
		ch.after.close()
	}
}

// enforce serves at the new address and ends the old one. A daemon that stops has
// the listener that it had.
func (ch *numbersChange) enforce() {
	d := ch.d
	if ch.after == ch.before {
		if ch.after != nil {
			ch.after.admit(ch.hosts)
		}
		return
	}
	d.mu.Lock()
	stops := d.stopping.Load() // whoever sets it looks at the listener only then
	if !stops {
		d.numbers = ch.after
		ch.after.serve()
	}
	d.mu.Unlock()
	if stops {
		ch.abort()
		return
	}
	if ch.after == nil {
		d.traffic.leave()
	} else {
		d.traffic.keep()
		ch.after.say(d.log)
	}
	if ch.before != nil {
		leave := func() {
			ch.before.close()
			d.log.Info("numbers do not listen any more", "address", ch.before.address.String())
		}
		if !d.serving.Go(leave) { // shutdown waits for it
			leave()
		}
	}
}

// numbersNow is the listener of [metrics], nil if there is none.
func (d *daemon) numbersNow() *numbersServer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.numbers
}
