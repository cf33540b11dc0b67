package main

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/supervisor"
)

const (
	// devQuiet is for how long no file may change before the workers start
	// anew: an editor writes a file in several steps.
	devQuiet = 20 * time.Millisecond
	// devBurst is how long changes that go on may put that off: a checkout of
	// another branch. What changes later starts them once more.
	devBurst = 300 * time.Millisecond
	// devStop is how long an old worker may go on with what it has in hand: an
	// event stream would have it live for ever.
	devStop = 5 * time.Second
	// devOutput bounds what is kept of the output of a worker that starts, in bytes.
	devOutput = 64 << 10
)

// devBackoff is the pause between starts that fail: what they print is read by
// the one who writes the application, and the next change of a file starts
// them at once.
var devBackoff = supervisor.Backoff{Min: time.Second, Max: time.Minute}

// A draft is an application in development: its workers start anew when its
// files change, and requests wait for them. It has one goroutine, run.
type draft struct {
	// Immutable.
	app    *application
	change func(context.Context) error // has new workers take over
	life   context.Context
	end    context.CancelFunc

	mu       sync.Mutex // guards the fields below
	root     string
	watch    *watch        // nil: nothing is watched
	renewing chan struct{} // not nil: files have changed; closed when their workers serve, or do not come up
	broken   error         // why the workers of the newest files did not come up
	epoch    int64         // rises with each piece of news; of another frontd it is another
	news     chan struct{} // closed when epoch rises
	tried    int64         // rises with it where a change of the files has been tried
	starting uint64        // the newest generation that has printed something
	output   []byte        // of it
}

// newDraft watches the application's files. They are watched before the first
// worker starts: what changes later is seen.
func (d *daemon) newDraft(a *application) *draft {
	if !d.dev || !restartable(a.kind) {
		return nil
	}
	f := &draft{app: a, news: make(chan struct{}), epoch: time.Now().UnixNano()}
	f.tried = f.epoch
	f.change = func(ctx context.Context) error { return d.redraft(ctx, a) }
	f.life, f.end = context.WithCancel(d.life)
	f.settle(a.config)
	return f
}

// restartable says whether a kind's workers keep anything of the files: the
// programs of cgi are started for each request.
func restartable(kind app.Kind) bool {
	return kind != app.Demo && kind != app.CGI && kind != app.FCGI
}

// settle watches the folder of these settings.
func (f *draft) settle(c *config.App) {
	root, program := devRoot(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.root == root {
		return
	}
	w, err := newWatch(root, program, maxWatched, f.warn)
	if err != nil {
		f.warn("files are not watched, restart by hand: frontd restart "+f.app.name, "folder", root, "error", err)
	}
	if f.watch != nil {
		f.watch.close() // run goes on with the new one
	}
	f.root, f.watch = root, w
}

func (f *draft) warn(msg string, args ...any) {
	f.app.log.Warn("development: "+msg, append([]any{"app", f.app.name}, args...)...)
}

// devRoot is the folder that an application's files are in, and its program if
// it is a file of its own.
func devRoot(c *config.App) (root, program string) {
	root = c.Directory
	switch c.Kind {
	case config.KindPHP:
		root = c.Target
	case config.KindGo:
		program = c.Target
	case config.KindExec:
		if len(c.Command) > 0 && strings.Contains(c.Command[0], "/") {
			program = c.Command[0]
		}
	}
	root, err := filepath.Abs(root)
	if err != nil {
		root = c.Directory
	}
	if program != "" && !filepath.IsAbs(program) {
		program = filepath.Join(root, program)
	}
	return root, program
}

// redraft takes an application over to workers that have read its files anew.
// The old ones are left to end by themselves: nobody waits for them.
func (d *daemon) redraft(ctx context.Context, a *application) error {
	d.changes.Lock()
	defer d.changes.Unlock()
	if err := ctx.Err(); err != nil {
		return err // files have changed again
	}
	d.mu.Lock()
	c := d.config
	d.mu.Unlock()
	a.mu.Lock()
	ac := a.config
	a.mu.Unlock()
	st, err := a.prepare(ctx, ac, c.AppLimits(ac), d.dir)
	if err != nil {
		return err
	}
	old := a.joinedUpstreams()
	if err := st.takeOver(); err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	for _, u := range old {
		a.pool.Drain(done, u) // now: a request that comes after the change is for the new ones
	}
	st.change.Finish(done) // tells the old ones to stop; that they have not yet is no error here
	return nil
}

// joinedUpstreams are the workers that serve.
func (a *application) joinedUpstreams() []*fcgi.Upstream {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.upstreams))
}

// devSpec is what development changes about an application's workers.
func devSpec(spec *supervisor.Spec) {
	spec.Backoff, spec.Surge = devBackoff, 0
	spec.StopTimeout = min(spec.StopTimeout, devStop)
}

// run follows the files until the draft is closed.
func (f *draft) run() {
	var quiet <-chan time.Time // nil: nothing has changed that is not seen to
	var until time.Time        // when quiet comes at the latest
	var renewal *renewal       // nil: none under way
	again := false             // files have changed since it began
	for {
		w, events, failures := f.watched()
		select {
		case <-f.life.Done():
			renewal.abandon()
			f.open()
			f.unwatch()
			return
		case e, ok := <-events:
			if !ok || !w.take(e) {
				continue
			}
		case err, ok := <-failures:
			if !ok || !w.failed(err) {
				continue
			}
		case <-quiet:
			quiet, until = nil, time.Time{}
			if changed := w.changes(); len(changed) > 0 {
				f.app.log.Info("files changed", "app", f.app.name, "file", f.relative(changed[0]), "files", len(changed))
				again = true
				renewal.cancel()
			}
			if again && renewal == nil {
				again, renewal = false, f.renew()
			}
			if renewal == nil {
				f.open() // it was no change
			}
			continue
		case err := <-renewal.result():
			took := time.Since(renewal.began).Round(time.Millisecond)
			renewal = nil
			switch {
			case again:
				again, renewal = false, f.renew()
				continue
			case err == nil:
				f.app.log.Info("restarted", "app", f.app.name, "took", took)
			default:
				f.fail(err)
			}
			f.tellTried()
			if quiet == nil {
				f.open()
			}
			continue
		}
		// A file was touched.
		f.shut()
		if until.IsZero() {
			until = time.Now().Add(devBurst)
		}
		quiet = time.After(min(devQuiet, time.Until(until)))
	}
}

// watched are the watch in use and its channels, nil for ones that say nothing.
func (f *draft) watched() (*watch, <-chan fsnotify.Event, <-chan error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watch == nil {
		return nil, nil, nil
	}
	return f.watch, f.watch.events.Events, f.watch.events.Errors
}

func (f *draft) relative(path string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rel, err := filepath.Rel(f.root, path); err == nil {
		return rel
	}
	return path
}

// A renewal is new workers on their way up. The methods of a nil one do nothing.
type renewal struct {
	began time.Time
	stop  context.CancelFunc
	done  chan error
}

func (f *draft) renew() *renewal {
	ctx, cancel := context.WithCancel(f.life)
	r := &renewal{began: time.Now(), stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- f.change(ctx); cancel() }()
	// run receives its end, by result or in abandon.
	return r
}

func (r *renewal) cancel() {
	if r != nil {
		r.stop()
	}
}

func (r *renewal) result() <-chan error {
	if r == nil {
		return nil
	}
	return r.done
}

func (r *renewal) abandon() {
	if r != nil {
		r.stop()
		<-r.done
	}
}

// fail says why the newest files do not run. A renewal that was stopped has not
// failed.
func (f *draft) fail(err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, supervisor.ErrStopped) {
		return
	}
	said := []any{"app", f.app.name}
	if _, told := errors.AsType[*supervisor.StartError](err); !told {
		said = append(said, "error", err)
	}
	f.app.log.Warn("not restarted, the last workers that came up stay", said...)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
	f.tellLocked()
}

// served is called when workers of the newest files have come up, whoever
// started them.
func (f *draft) served(c *config.App) {
	if f == nil {
		return
	}
	f.settle(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = nil
	f.tellLocked()
}

// tell has the pages that show an error load themselves again.
func (f *draft) tell() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tellLocked()
}

// tellTried is tell for the pages of requests, too. They are not told when a
// worker starts that has died: of the request that they would send again.
func (f *draft) tellTried() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried++
	f.tellLocked()
}

func (f *draft) tellLocked() {
	f.epoch++
	close(f.news)
	f.news = make(chan struct{})
}

// shut has requests wait: the files have changed.
func (f *draft) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.renewing == nil {
		f.renewing = make(chan struct{})
	}
}

// open lets requests go on.
func (f *draft) open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.renewing != nil {
		close(f.renewing)
		f.renewing = nil
	}
}

func (f *draft) unwatch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watch != nil {
		f.watch.close()
	}
}

// drop ends a draft whose application did not start: run does not, either.
func (f *draft) drop() {
	if f != nil {
		f.end()
		f.unwatch()
	}
}

// close ends the draft, without waiting for its goroutine.
func (f *draft) close() {
	if f != nil {
		f.end()
	}
}
