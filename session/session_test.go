package session

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

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
