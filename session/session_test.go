package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
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

func TestNothingStoredIsNoSession(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	for _, f := range [][]string{nil, {"Delete: k"}, {"Clear: 1"}, {"Renew: 1"}} {
		if b.request(f...); b.last != "" || len(b.store.values) > 0 || b.load().ID() != "" {
			t.Errorf("%q made a session: Set-Cookie %q", f, b.last)
		}
	}
}

func TestChanges(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: user=%22ann%22", "Set: n=41")
	if !strings.HasPrefix(b.last, "sid=") || !strings.HasSuffix(b.last, "; Path=/; HttpOnly; SameSite=Lax") {
		t.Errorf("Set-Cookie: %s", b.last)
	}
	b.want("set", `{"n":41,"user":"ann"}`)
	id := b.load().ID()
	b.request("Add: n=1", "Add: m=-5")
	if b.last != "" {
		t.Errorf("a cookie again: %s", b.last)
	}
	b.want("add", `{"m":-5,"n":42,"user":"ann"}`)
	b.request("Delete: m", "Set: user=null", "Add: n=1", "Set: n=1")
	b.want("set comes before add, and delete before set", `{"n":2,"user":null}`)
	b.request("Set: k%3D%C3%A9=%7B%22a%22%3A%20%5B1%2C%22%C3%A9%F0%9F%98%80%22%5D%7D")
	b.want("compact and ASCII", `{"k=\u00e9":{"a":[1,"\u00e9\ud83d\ude00"]},"n":2,"user":null}`)
	var back map[string]any
	if err := json.Unmarshal([]byte(b.load().Data()), &back); err != nil || back["k=é"].(map[string]any)["a"].([]any)[1] != "é😀" {
		t.Errorf("read back: %v, %v", back, err)
	}
	if b.load().ID() != id || len(id) != 24 || strings.Contains(b.cookie, id) {
		t.Errorf("the id is %q, was %q", b.load().ID(), id)
	}
	b.request("Clear: 1", "Set: x=1")
	b.want("clear comes first", `{"x":1}`)
	b.request("Clear: 1")
	if b.last != "sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax" || len(b.store.values) != 0 {
		t.Errorf("the end: Set-Cookie %q, %d entries left", b.last, len(b.store.values))
	}
}

func TestBadChangesStoreNothing(t *testing.T) {
	b := &browser{site: newSite(t, func(p *Policy) { p.MaxBytes = 64 })}
	b.request("Set: n=1", "Set: s=%22x%22", "Set: f=1.5", "Set: max=9223372036854775807")
	before := b.load().Data()
	for _, f := range []string{
		"Set: n", "Set: =1", "Set: n=%zz", "Set: n=", "Set: n={", "Set: n=1 2", "Set: n=%ff", "Set: %ff=1",
		"Set: n=%22%0a%22", "Set: " + strings.Repeat("k", maxKey+1) + "=1",
		"Set: n=%22" + strings.Repeat("x", 64) + "%22",
		"Add: n=x", "Add: n=1.5", "Add: s=1", "Add: f=1", "Add: max=1", "Add: n=9223372036854775808", "Delete: %",
	} {
		n := b.load()
		err := b.tryCommit(n, "Set: ok=1", f)
		var own *ChangeError
		if !errors.As(err, &own) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%q: error %v, want a ChangeError or ErrTooLarge", f, err)
		}
		if got := b.load().Data(); got != before {
			t.Fatalf("%q: the session is %s, was %s", f, got, before)
		}
	}
}

func TestForeignCookiesOpenNothing(t *testing.T) {
	st := newSite(t, nil)
	b := &browser{site: st}
	b.request("Set: user=%22ann%22")
	value := strings.TrimPrefix(b.cookie, "sid=")
	other := byte('A')
	if value[0] == other {
		other = 'B'
	}
	forged := []string{"", "x", value[1:], value + "A", value + "=", string(other) + value[1:], value[:30] + strings.Repeat("A", 18),
		strings.Repeat("A", len(value)), "\"" + value + "\""}
	for _, v := range forged {
		n, err := st.s.Load(context.Background(), []string{"sid=" + v}, "example.com", false)
		if err != nil || n.Data() != empty || n.stored {
			t.Errorf("cookie %q opens %s, %v", v, n.Data(), err)
		}
		set, err := n.Commit(context.Background(), &Changes{set: map[string]string{"k": "1"}}, false)
		if err != nil || set == "" || strings.HasPrefix(set, "sid="+v+";") {
			t.Errorf("cookie %q was taken over: %q, %v", v, set, err) // fixation
		}
	}
	if n, _ := st.s.Load(context.Background(), []string{b.cookie}, "example.org", false); n.Data() != empty {
		t.Error("the cookie of one host opens a session of another one")
	}
	if n, _ := st.s.Load(context.Background(), []string{"__Host-" + b.cookie}, "example.com", false); n.Data() != empty {
		t.Error("the cookie opens a session under another name")
	}
	p := policy()
	p.Cookie.Name = "sid2"
	st.use(p)
	if n, _ := st.s.Load(context.Background(), []string{"sid2=" + value}, "example.com", false); n.Data() != empty {
		t.Error("the cookie of one name opens a session of another one")
	}
	st.use(policy())
	tossed := []string{"sid=" + forged[5], "sid=x; " + b.cookie}
	if n, _ := st.s.Load(context.Background(), tossed, "example.com", false); n.Data() != `{"user":"ann"}` {
		t.Error("cookies of the same name hide the one that is ours")
	}
}

func TestTimeouts(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: k=1")
	for range 20 { // 10 hours
		b.clock = b.clock.Add(30 * time.Minute)
		b.want("used within idle", `{"k":1}`)
		b.request()
	}
	idle := *b
	b.clock = b.clock.Add(30*time.Minute + b.s.grain)
	b.want("idle", empty)
	b.clock = b.clock.Add(-time.Minute)
	b.want("just before", `{"k":1}`)
	for range 5 {
		b.request()
		b.clock = b.clock.Add(28 * time.Minute)
	}
	b.want("after its lifetime", empty)
	b.clock = idle.clock
	n := b.load()
	b.clock = b.clock.Add(time.Hour) // it ends while the worker has it
	b.commit(n, "Set: late=1")
	if b.last == "" {
		t.Error("an ended session came back under its old cookie")
	}
	b.want("begun anew", `{"late":1}`)
}

func TestUseIsNotedSeldom(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: k=1")
	before := string(b.store.values[b.load().key])
	b.clock = b.clock.Add(b.s.grain - time.Second)
	if b.request(); string(b.store.values[b.load().key]) != before {
		t.Error("a mere read was written at once")
	}
	b.clock = b.clock.Add(time.Second)
	if b.request(); string(b.store.values[b.load().key]) == before {
		t.Error("the use was not noted")
	}
}

func TestSecretsRotate(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: k=1")
	old := b.cookie
	p := policy()
	p.Secrets = [][]byte{secretB, secretA}
	b.use(p)
	b.want("with the second secret", `{"k":1}`)
	if b.request(); b.cookie == old || b.last == "" {
		t.Errorf("not signed anew: %q", b.last)
	}
	p.Secrets = [][]byte{secretB}
	b.use(p)
	b.want("without the old secret", `{"k":1}`)
	if b.request(); b.last != "" {
		t.Errorf("signed anew for nothing: %q", b.last)
	}
	b.cookie = old
	b.want("the cookie of a secret that is gone", empty)
}

func TestRenew(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: cart=1")
	old := *b
	slow, thief := b.load(), b.load() // requests under way
	b.request("Renew: 1", "Set: user=%22ann%22")
	if b.cookie == old.cookie {
		t.Fatal("the same cookie")
	}
	b.want("renewed", `{"cart":1,"user":"ann"}`)
	old.want("the old cookie", empty)

	old.commit(slow, "Add: cart=1")
	if old.last != "" {
		t.Errorf("the new cookie was given to who had the old one: %q", old.last)
	}
	b.want("what a request under way has stored", `{"cart":2,"user":"ann"}`)
	old.commit(thief, "Renew: 1", "Set: mine=1")
	b.want("a renewal with the old cookie", `{"cart":2,"user":"ann"}`)
	old.want("it is a session of its own", `{"mine":1}`)
	if slow.Data() != `{"cart":1}` {
		t.Errorf("the renewed session shows %s to who had the old cookie", slow.Data())
	}
}

// After a logout a request that was under way does not bring the session back.
func TestEndedStaysEnded(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: user=%22ann%22")
	old := *b
	slow := b.load()
	b.request("Clear: 1")
	old.commit(slow, "Set: page=1")
	if old.cookie == b.cookie {
		t.Error("the ended session was written to")
	}
	old.want("a session of its own", `{"page":1}`)
}

func TestConcurrentMerges(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: n=0")
	var wg sync.WaitGroup
	for i := range 50 {
		n := b.load()  // all of them before any of the writes
		wg.Go(func() { // waited for below
			ch := &Changes{set: map[string]string{"k" + string(rune('A'+i)): "1"}, added: map[string]int64{"n": 1}}
			if _, err := n.Commit(context.Background(), ch, false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var got map[string]int
	if err := json.Unmarshal([]byte(b.load().Data()), &got); err != nil || got["n"] != 50 || len(got) != 51 {
		t.Errorf("n = %d and %d keys, want 50 and 51 (%v)", got["n"], len(got), err)
	}
}

func TestStoreFailure(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: k=1")
	n := b.load()
	b.store.err = errors.New("no room")
	if err := b.tryCommit(n, "Set: k=2"); err == nil || b.last != "" {
		t.Errorf("error %v, Set-Cookie %q", err, b.last)
	}
	b.clock = b.clock.Add(10 * time.Minute)
	if err := b.tryCommit(n); err != nil {
		t.Errorf("an answer that changes nothing fails: %v", err)
	}
	if _, err := b.s.Load(context.Background(), []string{b.cookie}, "example.com", false); err == nil {
		t.Error("no error of the store")
	}
}

func TestCookieAttributes(t *testing.T) {
	for _, tt := range []struct {
		change func(*Cookie)
		tls    bool
		want   string
	}{
		{nil, true, "__Host-sid=V; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{nil, false, "sid=V; Path=/; HttpOnly; SameSite=Lax"},
		{func(c *Cookie) { c.Secure = SecureAlways }, false, "__Host-sid=V; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{func(c *Cookie) { c.Secure = SecureNever }, true, "sid=V; Path=/; HttpOnly; SameSite=Lax"},
		{func(c *Cookie) { c.Path = "/app/"; c.SameSite = "strict" }, true, "sid=V; Path=/app/; HttpOnly; Secure; SameSite=Strict"},
		{func(c *Cookie) { c.Domain = "example.com"; c.SameSite = "none" }, true, "sid=V; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=None"},
		{func(c *Cookie) { c.Persistent = true }, false, "sid=V; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"},
	} {
		c := policy().Cookie
		if tt.change != nil {
			tt.change(&c)
		}
		if got := c.set("V", time.Hour, tt.tls); got != tt.want {
			t.Errorf("%+v: %q, want %q", c, got, tt.want)
		}
		if _, err := http.ParseSetCookie(c.set("V", time.Hour, tt.tls)); err != nil {
			t.Error(err)
		}
		if got := c.remove(tt.tls); !strings.Contains(got, "=; Path="+c.Path) || !strings.Contains(got, "; Max-Age=0") {
			t.Errorf("removed by %q", got)
		}
	}
	for _, bad := range []func(*Cookie){
		func(c *Cookie) { c.Name = "" }, func(c *Cookie) { c.Name = "a b" }, func(c *Cookie) { c.Name = "a=" },
		func(c *Cookie) { c.Path = "x" }, func(c *Cookie) { c.Path = "/;x" }, func(c *Cookie) { c.Domain = "a;b" },
		func(c *Cookie) { c.SameSite, c.Secure = "none", SecureNever },
	} {
		p := policy()
		bad(&p.Cookie)
		if _, err := New(p, new(memory)); err == nil {
			t.Errorf("%+v was accepted", p.Cookie)
		}
	}
}

func TestCookieIsKeptFromWorkers(t *testing.T) {
	c := policy().Cookie
	for field, want := range map[string]string{
		"sid=1": "", "a=1; sid=2; b=3": "a=1; b=3", "sid=1;sid=2": "", "xsid=1; sid2=2": "xsid=1; sid2=2", "a=sid=1": "a=sid=1", "__Host-sid=9; a=1; sid=2": "a=1",
	} {
		if got := strings.Join(c.Without([]string{field}), "|"); got != want {
			t.Errorf("%q: the worker gets %q, want %q", field, got, want)
		}
	}
}

func FuzzTakeChanges(f *testing.F) {
	f.Add("k=1", "n=1", "k")
	f.Add("%22=%22%c3%a9%22", "n=-9223372036854775808", "%00")
	f.Add("a=%7B%22%5Cud800%22%3A%5B%5D%7D", "a=0", "")
	f.Fuzz(func(t *testing.T, set, add, del string) {
		h := http.Header{HeaderSet: {set}, HeaderAdd: {add}, HeaderDelete: {del}, "X": {"kept"}}
		ch, err := TakeChanges(h)
		if len(h) != 1 {
			t.Fatalf("left: %v", h)
		}
		if err != nil {
			return
		}
		data, err := ch.apply(`{"a":1}`)
		if err != nil {
			return
		}
		if !json.Valid([]byte(data)) || strings.ContainsFunc(data, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
			t.Fatalf("stored: %q", data)
		}
		again, err := new(Changes).apply(data)
		if err != nil || again != data {
			t.Fatalf("%s became %s, %v", data, again, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	s, err := New(policy(), new(memory))
	if err != nil {
		f.Fatal(err)
	}
	good := s.sign(token{1}, "h")
	f.Add(good)
	f.Add("")
	f.Add(url.QueryEscape(good))
	f.Fuzz(func(t *testing.T, value string) {
		if _, _, ok := s.verify(value, "h"); ok != (value == good) && !ok {
			t.Fatalf("%q: %v", value, ok)
		} else if ok && s.sign(token{1}, "h") != value {
			t.Fatalf("%q was forged", value)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(newRecord(time.Unix(1, 0)).encode())
	f.Add(encodeForward(Key{1}))
	f.Add([]byte("S"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok := decodeRecord(b); ok && !bytes.Equal(r.encode(), b) {
			t.Fatalf("%q is read as %+v", b, r)
		}
		if to, ok := decodeForward(b); ok && !bytes.Equal(encodeForward(to), b) {
			t.Fatalf("%q is read as %x", b, to)
		}
	})
}
