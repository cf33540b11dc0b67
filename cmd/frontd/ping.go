package main

import (
	"context"
	"time"

	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/supervisor"
)

// pingTime is how long an idle worker has to answer.
const pingTime = 3 * time.Second

// ping asks workers that have had nothing in hand since the last time whether
// they still answer, and returns when to look again. While one is asked it
// gets no request: behind it, the question would wait.
func (k *keeper) ping(every time.Duration, load fcgi.Load) time.Duration {
	if every <= 0 {
		return 0
	}
	pause := every
	for _, o := range load.Workers {
		h := k.a.hand(o.Upstream)
		if h == nil || !h.answers {
			continue
		}
		if left := every - time.Since(h.asked); left > 0 {
			pause = min(pause, left)
			continue
		}
		h.asked = time.Now()
		if !k.a.pool.Borrow(o.Upstream) {
			continue // busy: timeout.request is its bound
		}
		if !k.spawn(func() { k.pingOne(o.Upstream) }) {
			k.a.pool.Return(o.Upstream)
		}
	}
	return max(pause, time.Millisecond)
}

func (k *keeper) pingOne(u *fcgi.Upstream) {
	defer k.a.pool.Return(u)
	ctx, cancel := context.WithTimeout(k.ctx, pingTime)
	defer cancel()
	err := answers(ctx, u)
	if err == nil || ctx.Err() == nil || k.ctx.Err() != nil {
		return // it answers, or its process is gone or about to be
	}
	if k.a.evict(u, supervisor.CauseSilent, "it did not answer within "+pingTime.String()) {
		k.a.log.Warn("worker does not answer, it is replaced", "app", k.a.name, "pid", u.PID, "error", err)
	}
}

// answers asks whether a worker answers FastCGI.
func answers(ctx context.Context, u *fcgi.Upstream) error {
	nc, err := u.Transport.Dial(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = fcgi.Probe(ctx, nc)
	return err
}

// vouchTime is how long a worker that has lost a connection has to answer. Later
// it would be given requests all the same.
const vouchTime = 250 * time.Millisecond

// vouch has a worker serve again that has lost a connection and lives: not each
// that closes one has died, and where it is the only one, all requests wait for it.
// The answer of the successor of one that has died says nothing of it: the
// pool knows by then that it is gone.
func (k *keeper) vouch(u *fcgi.Upstream) {
	ctx, cancel := context.WithTimeout(k.ctx, vouchTime)
	defer cancel()
	for loss := k.a.pool.Loss(u); loss != 0; loss = k.a.pool.Loss(u) {
		if answers(ctx, u) != nil {
			return // in doubt it stays, for a moment
		}
		k.a.pool.Trust(u, loss)
	}
}
