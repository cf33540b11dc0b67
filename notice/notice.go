// Package notice tells people and programs of incidents: by mail and by a
// webhook. There is no queue that could overflow or be lost: what is still to
// be told is the difference between the incidents that are kept and a small
// file that says what was told (see ledger). A server that is away, a crash
// and a storm of errors all come to the same: it is told later, in one.
package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/frontd/frontd/incident"
)

// A Source has the incidents that are kept. It is called from the goroutines
// of Tellers and must be safe for that.
type Source interface {
	// Heads returns all of them in short, in any order.
	Heads() []Head
	// Incident returns one, nil where it is not kept any more.
	Incident(id string) *incident.Incident
}

// A Head is an incident in short.
type Head struct {
	ID    string
	Count uint64    // how often it came
	First time.Time // when it came first: the same ID with another First was forgotten between
	Last  time.Time
	Mute  bool // its route or application wants nobody told
}

// A News is an incident to tell of.
type News struct {
	Incident *incident.Incident
	New      bool   // nobody was told of it before
	Times    uint64 // that it came since somebody was told, at least 1
}

// A Batch is what is told at once.
type Batch struct {
	News []News // new ones first, then those that came most often; never empty
	Held bool   // it had to wait because of Rules.PerHour
	Rest int    // incidents that are told by their number alone
}

// A Sender hands a batch over. It returns when that is done or has failed,
// within the deadline of its context. An error that is a *Refusal says that
// the same batch will never be taken.
type Sender interface {
	Send(context.Context, Batch) error
}

// A Refusal is the other side's word that it does not want this batch, now
// or later: trying again is of little use.
type Refusal struct{ Err error }

func (r *Refusal) Error() string { return "refused: " + r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Rules bound how much is told. Their zero values are no bounds, and at once.
type Rules struct {
	Window  time.Duration // how long further incidents are gathered behind a new one
	Digest  time.Duration // the least between two batches of incidents that were told before
	PerHour int           // batches in any hour
	Most    int           // incidents in a batch
	Rest    bool          // what is over Most is told by its number alone, and not later
	Timeout time.Duration // of one attempt
}

const (
	firstPause   = 15 * time.Second // after a failure; each next one doubles it
	longestPause = 15 * time.Minute
	// maxRefusals is how often a batch that was refused is offered again: an
	// administrator may be repairing what refuses it.
	maxRefusals = 5
)

// A Teller tells one receiver.
type Teller struct {
	// Immutable.
	name   string
	source Source
	sender Sender
	rules  Rules
	log    *slog.Logger
	wake   chan struct{}
	stop   context.CancelFunc
	done   chan struct{}

	// Owned by the goroutine.
	ledger   *ledger
	failures int // in a row
	refusals int // in a row
	notYet   time.Time
}

// Start begins to tell of what source has, and remembers in the file at path
// what was told. Where there is no such file yet, what source has already counts
// as told. That the file cannot be written is logged and nothing more: a full disk
// keeps neither the server from starting nor anybody from being told. Close ends it.
func Start(name, path string, source Source, sender Sender, rules Rules, log *slog.Logger) (*Teller, error) {
	l, unsaved, err := openLedger(path, source.Heads())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t := &Teller{name: name, source: source, sender: sender, rules: rules, log: log,
		wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{}), ledger: l}
	if unsaved != nil {
		t.unmarked(unsaved)
	}
	go t.run(ctx)
	// Close receives its end, by t.done.
	return t, nil
}

// Wake says that an incident came. It never blocks, and any number of calls
// is as good as one. A nil Teller ignores it.
func (t *Teller) Wake() {
	if t == nil {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default: // it is about to look
	}
}

// Close breaks off what is under way; what was not told is told after the
// next Start. A nil Teller has nothing to end.
func (t *Teller) Close() {
	if t == nil {
		return
	}
	t.stop()
	<-t.done
}

func (t *Teller) run(ctx context.Context) {
	defer close(t.done)
	t.Wake() // a crash may have come before what was to be told
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-due:
		}
		due = nil
		if wait := t.step(ctx); wait >= 0 {
			due = time.After(wait)
		}
	}
}

// step tells what is due, and returns after how long to look again: below 0
// when there is nothing to wait for.
func (t *Teller) step(ctx context.Context) time.Duration {
	now := time.Now()
	if wait := t.notYet.Sub(now); wait > 0 {
		return wait
	}
	plan := t.ledger.plan(now, t.rules, t.source.Heads())
	if len(plan.heads) == 0 {
		return plan.wait
	}
	batch := t.batch(plan)
	if len(batch.News) == 0 { // forgotten between the two looks
		t.mark(plan, now, false)
		return 0
	}
	err := t.send(ctx, batch)
	switch {
	case ctx.Err() != nil:
		return -1
	case err == nil:
		t.succeeded(batch)
	case t.gaveUp(err, batch):
	default:
		return t.notYet.Sub(now)
	}
	t.refusals = 0
	t.mark(plan, now, true)
	return 0
}

func (t *Teller) send(ctx context.Context, b Batch) error {
	ctx, cancel := context.WithTimeout(ctx, t.rules.Timeout)
	defer cancel()
	return t.sender.Send(ctx, b)
}

// batch fetches what a plan names.
func (t *Teller) batch(p plan) Batch {
	b := Batch{Held: p.held, Rest: p.rest}
	for _, h := range p.heads[:len(p.heads)-p.rest] {
		if i := t.source.Incident(h.ID); i != nil {
			b.News = append(b.News, News{Incident: i, New: h.fresh, Times: h.times})
		}
	}
	return b
}

func (t *Teller) succeeded(b Batch) {
	if t.failures > 0 {
		t.log.Info(t.name+" is taken again", "failed", t.failures)
	}
	t.failures, t.notYet = 0, time.Time{}
	t.log.Debug(t.name+" sent", "incidents", len(b.News)+b.Rest)
}

// gaveUp decides what a failure means: it returns true where the batch is
// not offered again.
func (t *Teller) gaveUp(err error, b Batch) bool {
	t.failures++
	pause := min(firstPause<<min(t.failures-1, 10), longestPause)
	t.notYet = time.Now().Add(pause)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		t.refusals++
		if t.refusals >= maxRefusals {
			t.log.Error(t.name+" given up: refused too often", "err", refusal.Err, "incident", b.News[0].Incident.ID, "incidents", len(b.News)+b.Rest)
			return true
		}
	} else {
		t.refusals = 0
	}
	if t.failures == 1 || pause == longestPause {
		t.log.Warn(t.name+" not sent, tried again later", "err", err, "in", pause.String())
	}
	return false
}

// mark notes a plan as told.
func (t *Teller) mark(p plan, now time.Time, sent bool) {
	if err := t.ledger.told(p, now, sent); err != nil {
		t.unmarked(err)
	}
}

// unmarked logs that the ledger is not on disk: a full one keeps nobody from telling.
func (t *Teller) unmarked(err error) {
	t.log.Error("what was told is not on disk, and is told again after a restart", "by", t.name, "err", err)
}
