// Package session keeps what applications know of a visitor from one request to
// the next: a few keys with JSON values, found by a signed cookie.
//
// A [Sessions] is one route's; [Sessions.Load] finds the visitor's and
// [Session.Commit] merges what an answer changes into what is stored by then,
// so that requests of one visitor that run at once lose nothing of each other's.
// Where the sessions are kept is a [Store]'s to know.
package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Policy is what holds for the sessions of a route.
type Policy struct {
	Cookie Cookie
	// Idle is how long a session lives without a request. Its last use is
	// noted every Idle/16 at most, a minute at most: a session may live so
	// much longer, and never shorter.
	Idle time.Duration
	// Lifetime is how long a session lives, whatever comes in.
	Lifetime time.Duration
	// MaxBytes bounds a session's keys and values, as JSON.
	MaxBytes int
	// Secrets sign the cookies: the first those that are sent, all those that
	// are accepted.
	Secrets [][]byte
}

// MinSecret is the least length of a secret, in bytes.
const MinSecret = 32

// ErrTooLarge is a session that would be larger than Policy.MaxBytes. Nothing
// of what was asked for is stored.
var ErrTooLarge = errors.New("session: over its largest size")

// Sessions are those of one route. They are immutable.
type Sessions struct {
	Policy
	store Store
	grain time.Duration
	now   func() time.Time
	macs  []sync.Pool // of hash.Hash, by secret
}

// New returns the sessions of a policy.
func New(p Policy, store Store) (*Sessions, error) {
	s := &Sessions{Policy: p, store: store, now: time.Now, macs: make([]sync.Pool, len(p.Secrets))}
	s.grain = min(max(p.Idle/16, time.Second), time.Minute)
	switch {
	case len(p.Secrets) == 0 || slices.ContainsFunc(p.Secrets, func(b []byte) bool { return len(b) < MinSecret }):
		return nil, fmt.Errorf("session: a secret of at least %d bytes is needed", MinSecret)
	case p.Idle <= 0 || p.Lifetime <= 0 || p.MaxBytes < len(empty):
		return nil, errors.New("session: idle, lifetime and size must be positive")
	}
	return s, p.Cookie.check()
}

// A Session is one visitor's, as one request sees it. It belongs to the
// request's goroutine.
type Session struct {
	of    *Sessions
	scope string // the host that the cookie is for

	token  token
	key    Key
	stored bool // key was found
	resign bool // by a secret that is not the newest
	record record
}

// Load returns the session that one of the Cookie fields leads to, or one with
// nothing in it: for no cookie, one that is forged, one of another host or
// another route's name, and one whose session has ended. host is the host that
// the client asked for; secure says that it came by TLS. The error is the store's.
func (s *Sessions) Load(ctx context.Context, cookies []string, host string, secure bool) (*Session, error) {
	n := &Session{of: s, scope: s.Cookie.scope(host), record: record{data: empty}}
	for value := range s.Cookie.values(cookies, secure) {
		t, newest, ok := s.verify(value, n.scope)
		if !ok {
			continue
		}
		key := t.key()
		raw, err := s.store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		// One that was renewed is a forward: its old cookie opens nothing.
		if r, ok := decodeRecord(raw); ok && s.alive(r, s.now()) {
			n.token, n.key, n.stored, n.resign, n.record = t, key, true, !newest, r
			break
		}
	}
	return n, nil
}

// alive holds a record to both timeouts.
func (s *Sessions) alive(r record, now time.Time) bool {
	return now.Before(s.expires(r))
}

// dated reports whether the time at which a session was used last is to be noted
// anew: it is long ago, or is not yet by a clock that has been set back since. With
// that it would live on for as long as the clock was wrong by.
func (s *Sessions) dated(r record, now time.Time) bool {
	ago := now.Sub(r.seen)
	return ago >= s.grain || ago <= -s.grain
}

func (s *Sessions) expires(r record) time.Time {
	idle := r.seen.Add(s.Idle + s.grain)
	if end := r.created.Add(s.Lifetime); end.Before(idle) {
		return end
	}
	return idle
}

// Data is the session's keys and values: a JSON object, in ASCII.
func (n *Session) Data() string { return n.record.data }

// ID names a stored session, and is "" for one that is not. See [ParamID].
func (n *Session) ID() string {
	if !n.stored {
		return ""
	}
	return hex.EncodeToString(n.record.id[:])
}

func newRecord(now time.Time) record {
	r := record{created: now, seen: now, data: empty}
	rand.Read(r.id[:]) // never fails
	return r
}
