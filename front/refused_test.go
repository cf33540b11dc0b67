package front

import (
	"bufio"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/frontd/frontd/session"
)

// answersOf sends requests on a connection each, and returns what came.
func (d *door) answersOf(raw ...string) (list []*http.Response) {
	d.t.Helper()
	for _, one := range raw {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(one)))
		if err != nil {
			d.t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(d.talk(one, 1<<20))), r)
		if err != nil {
			d.t.Fatal(err)
		}
		list = append(list, answer)
	}
	return list
}

// A page of another site can read why it was refused, whichever stage did, and its
// browser's own questions are not counted as requests.
func TestRefusalsReachPages(t *testing.T) {
	cors, err := NewCORS(CORS{Origins: []string{"https://a.example"}})
	if err != nil {
		t.Fatal(err)
	}
	const (
		get       = "GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nConnection: close\r\n\r\n"
		preflight = "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\nConnection: close\r\n\r\n"
	)
	rate, err := NewRate(1, time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why   string
		route Route
		want  int
	}{
		{"too often", Route{Rate: rate}, http.StatusTooManyRequests},
		{"not from there", Route{Sources: Sources{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}, http.StatusForbidden},
		{"not by this method", Route{Methods: Methods{"POST"}}, http.StatusMethodNotAllowed},
	} {
		c.route.CORS, c.route.Settings, c.route.Handler = cors, DefaultSettings(), http.HandlerFunc(ok)
		openOne(t, Config{Routes: []Route{c.route}}, ServerConfig{Engine: OwnEngine}, nil, func(d *door) {
			answers := d.answersOf(preflight, get, get)
			if c.route.Rate != nil && answers[1].StatusCode != http.StatusOK {
				t.Errorf("%s: the first request got %d: its preflight was counted", c.why, answers[1].StatusCode)
			}
			if answers[0].StatusCode != http.StatusNoContent {
				t.Errorf("%s: the preflight got %d", c.why, answers[0].StatusCode)
			}
			if a := answers[2]; a.StatusCode != c.want || a.Header.Get("Access-Control-Allow-Origin") != "https://a.example" {
				t.Errorf("%s: %d, for origin %q; want %d, for the page's", c.why, a.StatusCode, a.Header.Get("Access-Control-Allow-Origin"), c.want)
			}
		})
	}
}

// An answer to somebody who had to say who they are is no answer for everybody:
// no cache between may be told so (RFC 9111 §3.5).
func TestCredentialsAreNotCachedForAll(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("p"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("ann:"+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	auth, err := NewBasicAuth(file, "")
	if err != nil {
		t.Fatal(err)
	}
	const (
		plain = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
		known = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Basic YW5uOnA=\r\n\r\n" // ann:p
	)
	for _, c := range []struct {
		why   string
		cache Cache
		auth  *BasicAuth
		sent  string
		want  string
	}{
		{"nobody in particular", Cache{MaxAge: time.Hour}, nil, plain, "public, max-age=3600"},
		{"checked here", Cache{MaxAge: time.Hour}, auth, known, "private, max-age=3600"},
		{"checked by the application", Cache{MaxAge: time.Hour, Immutable: true}, nil, known, "private, max-age=3600, immutable"},
		{"in any case", Cache{MaxAge: time.Hour, Replace: true}, auth, known, "private, max-age=3600"},
		{"for nobody", Cache{NoStore: true}, auth, known, "no-store"},
	} {
		route := Route{Cache: NewCache(c.cache), Auth: c.auth, Settings: DefaultSettings(), Handler: http.HandlerFunc(ok)}
		openOne(t, Config{Routes: []Route{route}}, ServerConfig{Engine: OwnEngine}, nil, func(d *door) {
			if a := d.answersOf(c.sent)[0]; a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != c.want {
				t.Errorf("%s: %d, Cache-Control %q, want %q", c.why, a.StatusCode, a.Header.Get("Cache-Control"), c.want)
			}
		})
	}
}

// An answer to somebody in a session may say what is in it.
func TestSessionsAreNotCachedForAll(t *testing.T) {
	g := gateway(startWorker(t, 4, http.HandlerFunc(talking)).upstream)
	url, _ := site(t, Route{Path: "/", Handler: g, Settings: DefaultSettings(), Cache: NewCache(Cache{MaxAge: time.Hour}),
		Sessions: sessions(t, &drawer{values: map[session.Key][]byte{}})})
	ask := func(path, cookie, want string) *http.Response {
		t.Helper()
		req := newReq(t, http.MethodGet, url+path, nil)
		req.Header.Set("Cookie", cookie)
		resp, _ := fetch(t, req)
		if got := resp.Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q, want %q", path, got, want)
		}
		return resp
	}
	ask("/", "a=1", "public, max-age=3600")
	begun := ask("/?f=Frontd-Session-Set:+k=1", "a=1", "private")
	mine, _, _ := strings.Cut(begun.Header.Get("Set-Cookie"), ";")
	ask("/", mine, "private, max-age=3600")
}

// A method that is refused before a route is found says nothing of what the
// resource takes: not that a form cannot be posted to it.
func TestAllowOfTrace(t *testing.T) {
	openOne(t, Config{}, ServerConfig{Engine: OwnEngine}, ok, func(d *door) {
		a := d.answersOf("TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[0]
		if a.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(a.Header.Get("Allow"), "POST") {
			t.Errorf("%d, Allow: %q", a.StatusCode, a.Header.Get("Allow"))
		}
	})
}
