package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/supervisor"
)

// reload reads the configuration again and takes every application over to
// new workers, whether its settings have changed or not: its code may have. It
// is all or nothing: only when the new workers of every application are ready
// does any of them serve, and only then is the new chain in force. What does
// not come up leaves everything as it was, and is told.
func (d *daemon) reload(ctx context.Context) (report reloadReport, err error) {
	d.changes.Lock()
	defer d.changes.Unlock()
	if d.fate.Load() == fateHandedOver {
		return report, errHandedOver
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.life, func() { cancel(errStops) })() // whoever asked waits no longer
	c, err := d.load()
	if err != nil {
		return report, err
	}
	d.mu.Lock()
	certs := d.certs
	d.mu.Unlock()
	heralds, err := heraldsOf(c, d.log)
	if err != nil {
		return report, err
	}
	doors, err := d.prepareDoors(c)
	if err != nil {
		return report, err
	}
	numbers, err := d.prepareNumbers(c)
	if err != nil {
		doors.abort()
		return report, err
	}
	s, err := d.prepareApps(ctx, c)
	if err != nil {
		if d.life.Err() != nil {
			err = fmt.Errorf("%w: %w", errStops, err)
		}
		doors.abort()
		numbers.abort()
		return report, err
	}
	s.enlist()
	next, err := d.chain(c)
	useCerts := func() {}
	if err == nil && certs != nil && hasTLS(c) {
		useCerts, err = certs.Prepare(certificateFiles(c))
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = s.takeOver()
	}
	if err != nil {
		if next != nil {
			next.roots.close()
		}
		s.abort(ctx)
		doors.abort()
		numbers.abort()
		return report, err
	}
	useCerts()
	err = d.incidents.telling.replace(heralds)
	before := d.enforce(next)
	doors.enforce(c.Server.ShutdownTimeout)
	numbers.enforce()
	d.incidents.kept.Bound(incidentBounds(c))
	d.mu.Lock()
	d.config = c
	if !hasTLS(c) {
		d.certs = nil
	}
	d.mu.Unlock()
	var stale []*application
	for _, a := range d.apps.all() {
		if c.App(a.name) == nil {
			d.apps.drop(a)
			stale = append(stale, a)
		}
	}
	for _, st := range s.steps {
		if st.old != nil {
			stale = append(stale, st.old)
		}
	}
	d.doubt(c)
	report.Waits, report.Rescaled = waitingIn(d.first, c), s.rescaled()
	if err = errors.Join(err, s.finish(ctx), d.retireAll(ctx, stale, before)); err != nil {
		err = fmt.Errorf("%w: %w", errInForce, err)
	}
	return report, err
}

// errInForce is of a reload that was one, and of which not all went well.
var errInForce = errors.New("the new configuration is in force, but for this")

// A succession is the applications of a new configuration, ready to take over
// from those of the old one.
type succession struct {
	d     *daemon
	steps []*step
}

// A step is one application's part in it.
type step struct {
	app    *application
	next   *config.App
	change *supervisor.Change // nil: it is new, or its workers are not ours
	output string             // the file that its workers wrote to before
	fresh  bool               // it was not there before
	old    *application       // that of the same name which it replaces; nil: none
	scaled *config.App        // what it had, where scale had changed its number of workers; else nil
}

// prepareApps starts the new workers of every application, a few applications at
// a time, and returns when all are ready. If one does not come up, none stays.
func (d *daemon) prepareApps(ctx context.Context, c *config.Config) (*succession, error) {
	apps := hosted(c)
	s := &succession{d: d, steps: make([]*step, len(apps))}
	errs := make([]error, len(apps))
	turns := make(chan struct{}, max(2, numCPU()))
	var wg sync.WaitGroup
	for i, ac := range apps {
		turns <- struct{}{}
		wg.Go(func() { // waited for below
			s.steps[i], errs[i] = d.prepareApp(ctx, c, ac)
			<-turns
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		s.abort(ctx)
		return nil, err
	}
	return s, nil
}

func (d *daemon) prepareApp(ctx context.Context, c *config.Config, ac *config.App) (*step, error) {
	a := d.apps.get(ac.Name)
	switch {
	case a == nil || a.shape != shapeOf(ac, c.AppLimits(ac).Queue.Size):
		return d.prepareNew(ctx, c, ac, a)
	case a.group == nil:
		return &step{app: a, next: ac}, nil
	}
	return a.prepare(ctx, ac, c.AppLimits(ac), d.dir)
}

// prepareNew starts an application that was not there before, or that old
// cannot become: its pool and its workers are its own, and until enlist nobody
// finds it. It counts as not come up when none of its workers has.
func (d *daemon) prepareNew(ctx context.Context, c *config.Config, ac *config.App, old *application) (*step, error) {
	before, err := d.log.outputs.use(ac.Name, ac.Output.File)
	if err != nil {
		return nil, err
	}
	a, err := d.startApp(c, ac)
	if err != nil {
		_, undo := d.log.outputs.use(ac.Name, before)
		return nil, errors.Join(err, undo)
	}
	s := &step{app: a, next: ac, fresh: true, old: old, output: before, scaled: old.scaledConfig()}
	if old == nil {
		d.apps.put(a)
	}
	select {
	case <-a.tried:
		err = a.notUp()
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("app %s: not started: %w", a.name, err), d.withdraw(ctx, s))
	}
	return s, nil
}

// withdraw ends a fresh application. What does not end in time is killed.
func (d *daemon) withdraw(ctx context.Context, st *step) error {
	if st.old != nil {
		d.apps.put(st.old)
	}
	d.apps.drop(st.app)
	err := d.retire(ctx, st.app)
	_, undo := d.log.outputs.use(st.app.name, st.output)
	return errors.Join(err, undo)
}

// enlist has the chain that is made next find the applications that are to
// take another's place.
func (s *succession) enlist() {
	for _, st := range s.steps {
		if st.old != nil {
			s.d.apps.put(st.app)
		}
	}
}

// abort leaves everything as it was.
func (s *succession) abort(ctx context.Context) {
	for _, st := range s.steps {
		switch {
		case st == nil:
		case st.fresh:
			s.d.withdraw(ctx, st)
		case st.change != nil:
			st.change.Abort()
			st.app.log.outputs.use(st.app.name, st.output) // it could be used before
		}
	}
}

// takeOver has the new workers serve beside the old, of all applications or of
// none: a worker may have ended since it was ready.
func (s *succession) takeOver() error {
	var changes []*supervisor.Change
	for _, st := range s.steps {
		if st.change != nil {
			changes = append(changes, st.change)
		}
	}
	if err := supervisor.TakeOver(changes...); err != nil {
		return err
	}
	for _, st := range s.steps {
		st.app.adopt(st.next)
	}
	return nil
}

// takeOver is for one application alone.
func (st *step) takeOver() error {
	if err := st.change.TakeOver(); err != nil {
		_, undo := st.app.log.outputs.use(st.app.name, st.output)
		return errors.Join(err, undo)
	}
	st.app.adopt(st.next)
	return nil
}

// finish ends the old workers.
func (s *succession) finish(ctx context.Context) error {
	errs := make([]error, len(s.steps))
	var wg sync.WaitGroup
	for i, st := range s.steps {
		if st.change != nil {
			wg.Go(func() { errs[i] = st.change.Finish(ctx) }) // waited for below
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// prepare starts the workers of new settings beside those that serve.
func (a *application) prepare(ctx context.Context, ac *config.App, limits config.Limits, dir string) (*step, error) {
	spec, err := a.spec(ac, limits, dir)
	if err != nil {
		return nil, fmt.Errorf("app %s: %w", a.name, err)
	}
	if e := ac.Elastic; e.Max > 0 { // as many as there are; one at least proves the new settings
		n := a.group.Count()
		spec.Workers = min(max(n.Serving+n.Starting+len(n.Backoff), e.Min, 1), e.Max)
	}
	before, err := a.log.outputs.use(a.name, ac.Output.File)
	if err != nil {
		return nil, err
	}
	change, err := a.group.Prepare(ctx, spec)
	if err != nil {
		_, undo := a.log.outputs.use(a.name, before)
		return nil, errors.Join(err, undo)
	}
	return &step{app: a, next: ac, change: change, output: before, scaled: a.scaledConfig()}, nil
}

// adopt is for the settings that the workers have by now.
func (a *application) adopt(ac *config.App) {
	a.mu.Lock()
	a.config = ac
	a.mu.Unlock()
	a.draft.served(ac)
	a.keeper.poke()
}

// replace takes the application over to new workers.
func (a *application) replace(ctx context.Context, ac *config.App, limits config.Limits, dir string) error {
	st, err := a.prepare(ctx, ac, limits, dir)
	if err != nil {
		return err
	}
	if err := st.takeOver(); err != nil {
		return err
	}
	return st.change.Finish(ctx)
}

// retire ends an application that nobody finds any more.
func (d *daemon) retire(ctx context.Context, a *application) error {
	defer d.apps.leave(a)
	a.close()
	if a.group == nil {
		return nil
	}
	return a.group.Stop(ctx)
}

// retireAll ends applications that the configuration no longer has, or that
// others have replaced, when the last request has left the chain that led to
// them. Who asked for the reload may go meanwhile: their requests have the same
// time. timeout.stop bounds each wait.
func (d *daemon) retireAll(ctx context.Context, stale []*application, before *chain) error {
	if len(stale) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	d.mu.Lock()
	c := d.config
	d.mu.Unlock()
	var longest time.Duration
	for _, a := range stale {
		a.mu.Lock()
		longest = max(longest, c.AppLimits(a.config).Timeout.Stop)
		a.mu.Unlock()
	}
	wait, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	before.await(wait)
	errs := make([]error, len(stale))
	var wg sync.WaitGroup
	for i, a := range stale {
		wg.Go(func() { errs[i] = d.retire(ctx, a) }) // waited for below
	}
	wg.Wait()
	for _, a := range stale {
		if c.App(a.name) == nil {
			_, err := d.log.outputs.use(a.name, "")
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
