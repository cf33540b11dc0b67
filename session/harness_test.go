package session

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is a Store that forgets nothing, for tests of all that is not a store.
type memory struct {
	mu     sync.Mutex
	values map[Key][]byte
	err    error
}

func (m *memory) Get(_ context.Context, k Key) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[k], m.err
}

func (m *memory) Update(_ context.Context, f func(Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	d := Draft{Load: func(k Key) ([]byte, error) { return m.values[k], nil }}
	if err := f(&d); err != nil {
		return err
	}
	for _, w := range d.Writes {
		if m.values == nil {
			m.values = map[Key][]byte{}
		}
		if m.values[w.Key] = w.Value; w.Value == nil {
			delete(m.values, w.Key)
		}
	}
	return nil
}

func (m *memory) Close() error { return nil }

var (
	secretA = bytes.Repeat([]byte("a"), MinSecret)
	secretB = bytes.Repeat([]byte("b"), MinSecret)
)

func policy() Policy {
	return Policy{
		Cookie: Cookie{Name: "sid", Path: "/", Secure: SecureAuto, SameSite: "lax"},
		Idle:   30 * time.Minute, Lifetime: 12 * time.Hour, MaxBytes: 16 << 10, Secrets: [][]byte{secretA},
	}
}

// A site is the sessions of a route and a clock.
type site struct {
	t     *testing.T
	s     *Sessions
	store *memory
	clock time.Time
}

func newSite(t *testing.T, change func(*Policy)) *site {
	t.Helper()
	p := policy()
	if change != nil {
		change(&p)
	}
	st := &site{t: t, store: new(memory), clock: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	st.use(p)
	return st
}

func (st *site) use(p Policy) {
	st.t.Helper()
	s, err := New(p, st.store)
	if err != nil {
		st.t.Fatal(err)
	}
	s.now = func() time.Time { return st.clock }
	st.s = s
}

// A browser keeps one cookie.
type browser struct {
	*site
	cookie string // NAME=VALUE, "" for none
	last   string // Set-Cookie as it came
}

func (b *browser) load() *Session {
	b.t.Helper()
	var fields []string
	if b.cookie != "" {
		fields = []string{"other=1; " + b.cookie + "; more=2"}
	}
	n, err := b.s.Load(context.Background(), fields, "example.com", false)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *browser) commit(n *Session, fields ...string) {
	b.t.Helper()
	if err := b.tryCommit(n, fields...); err != nil {
		b.t.Fatal(err)
	}
}

// tryCommit sends fields, each "Name: value", as a worker does.
func (b *browser) tryCommit(n *Session, fields ...string) error {
	h := http.Header{}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(HeaderPrefix+name, value)
	}
	ch, err := TakeChanges(h)
	if err != nil {
		return err
	}
	if len(h) > 0 {
		b.t.Errorf("left in the head: %v", h)
	}
	set, err := n.Commit(context.Background(), ch, false)
	if b.last = set; set != "" {
		b.cookie, _, _ = strings.Cut(set, ";")
	}
	return err
}

// request is a load and a commit; it returns what the worker saw.
func (b *browser) request(fields ...string) string {
	b.t.Helper()
	n := b.load()
	data := n.Data()
	b.commit(n, fields...)
	return data
}

func (b *browser) want(what, data string) {
	b.t.Helper()
	if got := b.load().Data(); got != data {
		b.t.Errorf("%s: the session is %s, want %s", what, got, data)
	}
}
