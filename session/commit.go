package session

import (
	"context"
	"time"
)

const (
	// forwardFor is how long a renewed session takes what requests store that
	// had loaded it before: longer than nearly every request takes.
	forwardFor = 5 * time.Minute
	// maxForwards bounds the way from one renewal to the next.
	maxForwards = 8
)

// Commit stores what an answer changes and returns the Set-Cookie value that
// goes with it, "" for none. It must return before a byte of the answer goes out.
//
// The changes are merged into what is stored by now, in one transaction. Where
// the session has ended since it was loaded, they begin another: an ended one
// does not come back. Where it was renewed since, they go into the renewed one,
// blindly: neither its data nor its cookie is given to who has the old one.
//
// Errors are ErrTooLarge and those of the changes and of the store; then
// nothing was stored. That a session was used is noted where it can be: an
// answer that changes nothing does not fail.
func (n *Session) Commit(ctx context.Context, ch *Changes, secure bool) (setCookie string, err error) {
	now := n.of.now()
	if !ch.any() {
		if n.stored && n.of.dated(n.record, now) {
			n.touch(ctx, now)
		}
		return n.cookieIf(n.resign, secure), nil
	}
	var out commit
	err = n.of.store.Update(ctx, func(tx Tx) error {
		out = commit{session: n, tx: tx, now: now}
		return out.run(ch)
	})
	if err != nil {
		return "", err
	}
	if out.ended {
		had := n.stored
		n.stored, n.record = false, record{data: empty}
		if had {
			return n.of.Cookie.remove(secure), nil
		}
		return "", nil
	}
	if out.key != n.key && !out.minted {
		return "", nil // into the session of who has renewed it
	}
	n.record, n.stored = out.record, out.stored
	if out.minted {
		n.token, n.key = out.token, out.key
	}
	return n.cookieIf(out.minted || n.resign && n.stored, secure), nil
}

func (n *Session) cookieIf(due, secure bool) string {
	if !due {
		return ""
	}
	n.resign = false
	left := n.record.created.Add(n.of.Lifetime).Sub(n.of.now())
	return n.of.Cookie.set(n.of.sign(n.token, n.scope), left, secure)
}

// touch notes that the session is used.
func (n *Session) touch(ctx context.Context, now time.Time) {
	_ = n.of.store.Update(ctx, func(tx Tx) error {
		raw, err := tx.Get(n.key)
		if err != nil {
			return err
		}
		r, ok := decodeRecord(raw)
		if !ok || !n.of.alive(r, now) || !n.of.dated(r, now) && !now.After(r.seen) {
			return nil
		}
		r.seen = now
		if r.created.After(now) {
			r.created = now
		}
		return tx.Put(n.key, r.encode(), n.of.expires(r))
	})
}

// A commit is one attempt at a transaction.
type commit struct {
	session *Session
	tx      Tx
	now     time.Time

	token  token // minted
	key    Key
	record record
	minted bool // the client has to be given token
	stored bool
	ended  bool // there is to be no session
}

func (c *commit) run(ch *Changes) error {
	s := c.session.of
	found, err := c.find(ch.renew)
	if err != nil {
		return err
	}
	if !found {
		c.record = newRecord(c.now)
	}
	data, err := ch.apply(c.record.data)
	switch {
	case err != nil:
		return err
	case len(data) > s.MaxBytes:
		return ErrTooLarge
	case ch.clear && data == empty:
		c.ended = true
		if found {
			return c.tx.Delete(c.key)
		}
		return nil
	case !found && data == empty:
		return nil // nothing to remember
	}
	c.record.data, c.stored = data, true
	if c.now.After(c.record.seen) {
		c.record.seen = c.now
	}
	old := c.key
	if !found || ch.renew {
		c.token = newToken()
		c.key, c.minted = c.token.key(), true
	}
	if err := c.tx.Put(c.key, c.record.encode(), s.expires(c.record)); err != nil || !found || !c.minted {
		return err
	}
	return c.tx.Put(old, encodeForward(c.key), c.now.Add(forwardFor))
}

// find looks for the session as it is by now. One that was renewed since is
// found, but not by who wants to renew it: that would give its cookie to
// anyone who has the old one and a request under way.
func (c *commit) find(renew bool) (bool, error) {
	n := c.session
	if c.key = n.key; !n.stored {
		return false, nil
	}
	for range maxForwards {
		raw, err := c.tx.Get(c.key)
		if err != nil {
			return false, err
		}
		if next, ok := decodeForward(raw); ok && !renew {
			c.key = next
			continue
		}
		r, ok := decodeRecord(raw)
		if !ok || !n.of.alive(r, c.now) {
			return false, nil
		}
		c.record = r
		return true, nil
	}
	return false, nil
}
