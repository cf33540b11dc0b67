package session

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

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
