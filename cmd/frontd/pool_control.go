package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/supervisor"
)

// openControl makes the control socket of a pool.
func (p *pool) openControl(c *config.Config, name string) error {
	path, err := controlPath(c, daemonName(name))
	if err != nil {
		return err
	}
	p.control, err = openControl(path, orders{
		status: func(bool) statusReport { return p.status() },
		reload: func(ctx context.Context) (reloadReport, error) { return reloadReport{}, p.replace(ctx) },
		restart: func(ctx context.Context, app string) error {
			if err := p.mine(app); err != nil {
				return err
			}
			return p.replace(ctx)
		},
		scale:     p.scale,
		incidents: p.incidents,
		stop:      func() { p.stopped.Do(func() { close(p.asked) }) },
	}, p.log)
	if err != nil {
		return err
	}
	p.control.serve()
	return nil
}

// mine says that there is no application of another name.
func (p *pool) mine(app string) error {
	if app != p.name {
		return fmt.Errorf("%w: %q; there is %s", errUnknownApp, app, p.name)
	}
	return nil
}

// replace takes the workers over to new ones.
func (p *pool) replace(ctx context.Context) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	p.log.Info("new workers take over")
	if err := p.group.Replace(ctx, p.spec); err != nil {
		p.log.Error("workers not replaced", "error", err)
		return err
	}
	return nil
}

func (p *pool) scale(ctx context.Context, app, workers string) error {
	if err := p.mine(app); err != nil {
		return err
	}
	n, err := workersAsked(workers)
	if err != nil {
		return err
	}
	p.changes.Lock()
	defer p.changes.Unlock()
	if err = p.group.Scale(ctx, n); err == nil || errors.Is(err, supervisor.ErrStillStopping) {
		p.spec.Workers = n // the next replacement keeps it
	}
	return p.log.told("scale", err, "app", app, "workers", n)
}

// status is what the supervisor knows: the requests go by frontd, to the
// workers themselves, so that one that serves counts as idle.
func (p *pool) status() statusReport {
	now := time.Now()
	r := appReport{Name: p.name, Kind: p.kind, Target: p.target, Workers: []workerReport{}, Ended: endedBy(p.group)}
	for _, w := range p.group.Workers() {
		r.add(newWorkerReport(w, now), w.State)
		if w.LastErr != nil {
			r.Failing = w.LastErr.Error()
		}
	}
	return statusReport{
		PID: os.Getpid(), Version: version, Uptime: now.Sub(p.started).Seconds(), LogLost: p.log.lost(),
		Listen: []string{p.listens}, Apps: []appReport{r},
	}
}
