package front

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/session"
)

// drawer is a session.Store in memory that can be out of order.
type drawer struct {
	mu     sync.Mutex // guards the fields below
	values map[session.Key][]byte
	err    error
}

func (d *drawer) Get(_ context.Context, k session.Key) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.values[k], d.err
}

func (d *drawer) Update(_ context.Context, f func(session.Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	draft := session.Draft{Load: func(k session.Key) ([]byte, error) { return d.values[k], nil }}
	if err := errors.Join(d.err, f(&draft)); err != nil {
		return err
	}
	for _, w := range draft.Writes {
		d.values[w.Key] = w.Value
	}
	return nil
}

func (d *drawer) Close() error { return nil }

func (d *drawer) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func sessions(t *testing.T, store session.Store) *session.Sessions {
	t.Helper()
	s, err := session.New(session.Policy{
		Cookie: session.Cookie{Name: "sid", Path: "/", Secure: session.SecureAuto}, Idle: time.Hour, Lifetime: time.Hour,
		MaxBytes: 1 << 10, Secrets: [][]byte{bytes.Repeat([]byte("s"), session.MinSecret)},
	}, store)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// talking answers with what it is told of the session, and the fields that the query says.
func talking(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for _, v := range r.URL.Query()["f"] {
		name, value, _ := strings.Cut(v, ": ")
		h.Add(name, value)
	}
	h.Set("Content-Type", "text/plain")
	for _, p := range fcgi.Env(r) {
		if strings.Contains(p.Name, "SESSION") && p.Name != session.ParamID || p.Name == "HTTP_COOKIE" {
			w.Write([]byte(p.Name + "=" + p.Value + ";"))
		}
	}
}

func TestSessionStage(t *testing.T) {
	store := &drawer{values: map[session.Key][]byte{}}
	of := sessions(t, store)
	g := gateway(startWorker(t, 4, http.HandlerFunc(talking)).upstream)
	url, records := site(t,
		Route{Path: "/plain", Handler: g, Settings: DefaultSettings()},
		Route{Path: "/", Handler: g, Settings: DefaultSettings(), Sessions: of})
	ask := func(path, cookie string) (*http.Response, string, Exchange) {
		t.Helper()
		req := newReq(t, http.MethodGet, url+path, nil)
		if cookie != "" {
			req.Header.Set("Cookie", cookie)
		}
		req.Header.Set("Frontd-Session-Set", "forged=1")
		resp, body := fetch(t, req)
		for name := range resp.Header {
			if strings.HasPrefix(name, "Frontd-") {
				t.Errorf("%s: the client gets %s", path, name)
			}
		}
		return resp, body, <-records
	}

	resp, body, _ := ask("/plain?f=Frontd-Session-Set:+k=1&f=Frontd-Session-Clear:+1", "sid=x; a=1")
	if body != "HTTP_COOKIE=sid=x; a=1;" || resp.Header.Get("Vary") != "" || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("a route without sessions: %q %v", body, resp.Header)
	}
	resp, body, _ = ask("/", "a=1; b=2")
	if body != "HTTP_COOKIE=a=1; b=2;FRONTD_SESSION={};" || resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("Vary") != "Cookie" {
		t.Errorf("nothing stored: %q %v", body, resp.Header)
	}
	resp, _, _ = ask("/?f=Frontd-Session-Set:+k=1&f=Set-Cookie:+own=1", "")
	cookies := resp.Header["Set-Cookie"]
	if len(cookies) != 2 || !strings.HasPrefix(cookies[0], "sid=") || cookies[1] != "own=1" || resp.Header.Get("Cache-Control") != "private" {
		t.Fatalf("begun: %v", resp.Header)
	}
	mine, _, _ := strings.Cut(cookies[0], ";")
	resp, body, _ = ask("/?f=Frontd-Session-Renew:+1&f=Cache-Control:+no-store&f=Vary:+Accept", "a=1; "+mine)
	if body != `HTTP_COOKIE=a=1;FRONTD_SESSION={"k":1};` || resp.Header.Get("Cache-Control") != "no-store" ||
		strings.Join(resp.Header["Vary"], ", ") != "Accept, Cookie" {
		t.Errorf("renewed: %q %v", body, resp.Header)
	}
	renewed, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
	if _, body, _ := ask("/", mine); body != "FRONTD_SESSION={};" {
		t.Errorf("the old cookie: %q", body)
	}
	for _, path := range []string{"/?f=Frontd-Session-Set:+k", "/?f=Frontd-Session-Set:+k=" + strings.Repeat("1", 2000), "/?f=Frontd-Session-Add:+k=x"} {
		if resp, _, x := ask(path, renewed); resp.StatusCode != http.StatusBadGateway || x.Cause != BadResponse {
			t.Errorf("%.40s: %d %s", path, resp.StatusCode, x.Cause)
		}
	}
	store.fail(errors.New("no disk"))
	if resp, _, x := ask("/", renewed); resp.StatusCode != http.StatusServiceUnavailable || x.Cause != SessionFailed || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a store that cannot be read: %d %s", resp.StatusCode, x.Cause)
	}
	if resp, _, x := ask("/?f=Frontd-Session-Set:+k=1", ""); resp.StatusCode != http.StatusServiceUnavailable || x.Cause != SessionFailed ||
		resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("a store that cannot be written: %d %s %v", resp.StatusCode, x.Cause, resp.Header)
	}
	if resp, _, _ := ask("/plain", renewed); resp.StatusCode != http.StatusOK {
		t.Errorf("a route without sessions depends on the store: %d", resp.StatusCode)
	}
}
