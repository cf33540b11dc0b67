// Package session is a Go worker's side of frontd's sessions: what all workers
// of a site, in all languages, know of a visitor.
//
//	s := session.From(r.Context())
//	s.Add("visits", 1)
//	name := s.Text("name")
//
// Changes go out with the head of the answer, and frontd stores them before the
// client sees a byte of it. Of requests of one visitor that run at once each
// changes only the keys that it sets; [Session.Add] adds to what is stored by then.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/frontd/frontd/fcgi"
	wire "github.com/frontd/frontd/session"
)

var (
	// ErrNone is a change of a session where the route has none: see "session" in
	// frontd's configuration.
	ErrNone = errors.New("session: this URL has no sessions")
	// ErrTooLate is a change after the head of the answer was written.
	ErrTooLate = errors.New("session: the head of the answer is written already")
)

// maxKey bounds a key, in bytes.
const maxKey = 256

// A Session is what a request sees of its visitor's session: the state at the
// request's start, and its own changes. Any goroutine of the request may use it.
type Session struct {
	id  string
	err error // why nothing can be changed; nil before the head is written

	mu      sync.Mutex // guards the fields below
	values  map[string]json.RawMessage
	clear   bool
	renew   bool
	set     map[string]bool // in values
	deleted map[string]bool
	added   map[string]int64
	late    bool
}

// From returns the session of the request that ctx belongs to, always the same
// one. Where there is none it is empty and refuses changes.
func From(ctx context.Context) *Session {
	m, ok := fcgi.MoreHeadOf(ctx, func() fcgi.MoreHead { return load(fcgi.ParamsFrom(ctx)) })
	if !ok {
		s := load(fcgi.ParamsFrom(ctx))
		s.late = true
		return s
	}
	return m.(*Session)
}

func load(params []fcgi.Param) *Session {
	s := &Session{err: ErrNone, set: map[string]bool{}, deleted: map[string]bool{}, added: map[string]int64{}}
	for _, p := range params {
		switch p.Name {
		case wire.ParamData:
			s.err = json.Unmarshal([]byte(p.Value), &s.values)
		case wire.ParamID:
			s.id = p.Value
		}
	}
	if s.values == nil {
		s.values = map[string]json.RawMessage{}
	}
	return s
}

// ID names the session as long as it lives: for logs, and of no use as a
// cookie. It is "" before anything was stored.
func (s *Session) ID() string { return s.id }

// Has reports whether a key is set.
func (s *Session) Has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.values[key]
	return ok
}

// Get reads the value of a key into v, as json.Unmarshal does. It reports
// false, and leaves v as it is, where the key is not set.
func (s *Session) Get(key string, v any) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, ok := s.values[key]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return true, fmt.Errorf("session: key %q: %w", key, err)
	}
	return true, nil
}

// Text returns the string that is the value of a key, or "".
func (s *Session) Text(key string) (text string) {
	if _, err := s.Get(key, &text); err != nil {
		return ""
	}
	return text
}

// Int returns the integer that is the value of a key, or 0.
func (s *Session) Int(key string) (n int64) {
	if _, err := s.Get(key, &n); err != nil {
		return 0
	}
	return n
}

// Set gives a key a value, which json.Marshal must be able to write. Keys are
// UTF-8 text of 1 to 256 bytes.
func (s *Session) Set(key string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("session: key %q: %w", key, err)
	}
	return s.change(key, func() error {
		s.values[key], s.set[key] = raw, true
		delete(s.deleted, key)
		delete(s.added, key)
		return nil
	})
}

// Add adds to the integer that is the value of a key, 0 where it is not set:
// to the one that is stored when the answer's head is, so that none of the
// additions of requests that run at once is lost.
func (s *Session) Add(key string, n int64) error {
	return s.change(key, func() error {
		var before int64
		if raw, ok := s.values[key]; ok {
			if err := json.Unmarshal(raw, &before); err != nil {
				return fmt.Errorf("session: key %q: %w", key, err)
			}
		}
		s.values[key] = strconv.AppendInt(nil, before+n, 10)
		if !s.set[key] { // else the sum is what is set
			s.added[key] += n
		}
		return nil
	})
}

// Delete takes a key away.
func (s *Session) Delete(key string) error {
	return s.change(key, func() error {
		delete(s.values, key)
		delete(s.set, key)
		delete(s.added, key)
		s.deleted[key] = true
		return nil
	})
}

// Clear takes all keys away: a logout. Unless something is set after it, the
// session ends and its cookie is taken from the client.
func (s *Session) Clear() error {
	return s.change("-", func() error {
		clear(s.values)
		clear(s.set)
		clear(s.added)
		clear(s.deleted)
		s.clear = true
		return nil
	})
}

// Renew gives the session another cookie and makes the old one worthless. It
// belongs to every login: who knew the cookie before must not be logged in.
func (s *Session) Renew() error {
	return s.change("-", func() error { s.renew = true; return nil })
}

func (s *Session) change(key string, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case s.late:
		return ErrTooLate
	case key == "" || len(key) > maxKey || !utf8.ValidString(key):
		return fmt.Errorf("session: %.40q is no key: want UTF-8 text of 1 to %d bytes", key, maxKey)
	}
	return f()
}

// Fields implements fcgi.MoreHead: the changes, as the front wants them.
func (s *Session) Fields() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = true
	h := http.Header{}
	if s.clear {
		h.Set(wire.HeaderClear, "1")
	}
	if s.renew {
		h.Set(wire.HeaderRenew, "1")
	}
	for k := range s.deleted {
		h.Add(wire.HeaderDelete, url.PathEscape(k))
	}
	for k := range s.set {
		h.Add(wire.HeaderSet, escape(k)+"="+url.PathEscape(string(s.values[k])))
	}
	for k, n := range s.added {
		h.Add(wire.HeaderAdd, escape(k)+"="+strconv.FormatInt(n, 10))
	}
	return h
}

// escape is PathEscape for a key that comes before an equals sign.
func escape(key string) string { return strings.ReplaceAll(url.PathEscape(key), "=", "%3D") }
