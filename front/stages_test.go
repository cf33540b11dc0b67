package front

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// chainFor is the whole chain of some routes; what they do not say is the default.
func chainFor(tb testing.TB, routes ...Route) http.Handler {
	tb.Helper()
	for i := range routes {
		if routes[i].Settings == (Settings{}) {
			routes[i].Settings = DefaultSettings()
		}
	}
	h, err := New(Config{Log: quiet, Routes: routes})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// ask sends one request through a chain; fields are "Name: value".
func ask(h http.Handler, method, target string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Client" {
			r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(value), 1234).String()
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func mustMake[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A stage that a route does not use is not there: what it passes is the handler itself.
func TestUnusedStagesAreNotThere(t *testing.T) {
	h := http.NotFoundHandler()
	rt := &Route{Handler: h}
	rt.Settings.MaxBody = -1
	for i, stage := range rt.stages() {
		var got http.Handler = &marked{}
		if stage(got) != got {
			t.Errorf("stage %d is there without being used", i)
		}
	}
	if n := len(rt.headStages()); n != 0 {
		t.Errorf("%d stages look at heads", n)
	}
}

type marked struct{ http.Handler }

func TestSources(t *testing.T) {
	nets := func(list ...string) (p []netip.Prefix) {
		for _, s := range list {
			p = append(p, netip.MustParsePrefix(s))
		}
		return p
	}
	for _, c := range []struct {
		allow, deny []netip.Prefix
		client      string
		status      int
	}{
		{nets("10.0.0.0/8"), nil, "10.1.2.3", 200}, {nets("10.0.0.0/8"), nil, "192.0.2.1", 403},
		{nets("10.0.0.0/8"), nets("10.1.0.0/16"), "10.1.2.3", 403}, {nets("10.0.0.0/8"), nets("10.1.0.0/16"), "10.2.2.3", 200},
		{nil, nets("2001:db8::/32"), "2001:db8::1", 403}, {nil, nets("2001:db8::/32"), "2001:db9::1", 200},
		{nets("10.0.0.0/8"), nil, "::ffff:10.0.0.1", 200},
	} {
		h := chainFor(t, Route{Handler: http.HandlerFunc(ok), Sources: Sources{Allow: c.allow, Deny: c.deny}})
		if w := ask(h, "GET", "/", "Client: "+c.client); w.Code != c.status {
			t.Errorf("allow %v, deny %v, client %s: %d, want %d", c.allow, c.deny, c.client, w.Code, c.status)
		}
	}
	s := Sources{Allow: nets("0.0.0.0/0")}
	if s.admits(netip.Addr{}) || !(&Sources{Deny: nets("0.0.0.0/0")}).admits(netip.Addr{}) {
		t.Error("a client without an address is in a network")
	}
}

func TestMethods(t *testing.T) { // RFC 9110 §15.5.6
	h := chainFor(t, Route{Handler: http.HandlerFunc(ok), Methods: Methods{"GET", "POST"}})
	for method, status := range map[string]int{"GET": 200, "HEAD": 200, "POST": 200, "PUT": 405, "OPTIONS": 405} {
		w := ask(h, method, "/")
		if w.Code != status || (status == 405) != (w.Header().Get("Allow") == "GET, POST, HEAD") {
			t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestFields(t *testing.T) {
	var got http.Header
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header()["X-Powered-By"] = []string{"secret"}
		w.Header()["Link"] = []string{"<a>"}
		if r.URL.Path == "/fail" {
			Fail(w, r, WorkerDied, "")
			return
		}
		if r.URL.Path != "/empty" {
			io.WriteString(w, "x")
		}
	})
	h := chainFor(t, Route{
		Handler: handler,
		Response: ResponseFields{Fields{
			{FieldSet, "X-Frame-Options", "DENY"}, {FieldRemove, "X-Powered-By", ""}, {FieldAdd, "Link", "<b>"},
			{FieldSet, "X-Undone", "a"}, {FieldRemove, "X-Undone", ""},
		}},
		Request: RequestFields{Fields{{FieldSet, "X-Site", "blog"}, {FieldRemove, "X-Debug", ""}, {FieldAdd, "Via", "frontd"}}},
	})
	for _, path := range []string{"/", "/empty", "/fail"} {
		a := ask(h, "GET", path, "X-Debug: 1", "X-Site: forged", "Via: p").Header()
		if a.Get("X-Frame-Options") != "DENY" || a.Get("X-Powered-By") != "" || a["X-Undone"] != nil {
			t.Errorf("%s: answer's header %v", path, a)
		}
		if want := map[string]int{"/": 2, "/empty": 2, "/fail": 1}[path]; len(a["Link"]) != want {
			t.Errorf("%s: Link %v", path, a["Link"])
		}
	}
	if got.Get("X-Site") != "blog" || len(got["X-Site"]) != 1 || got["X-Debug"] != nil || len(got["Via"]) != 2 {
		t.Errorf("the application got %v", got)
	}
}

func TestCache(t *testing.T) { // RFC 9111 §5.2.2
	for _, c := range []struct {
		cache        Cache
		own          string
		cookie, want string
		status       int
	}{
		{Cache{MaxAge: time.Hour}, "", "", "public, max-age=3600", 200}, {Cache{MaxAge: time.Hour, Immutable: true}, "", "", "public, max-age=3600, immutable", 200},
		{Cache{MaxAge: time.Hour}, "private", "", "private", 200}, {Cache{MaxAge: time.Hour, Replace: true}, "private", "", "public, max-age=3600", 200},
		{Cache{MaxAge: time.Hour}, "", "a=b", "", 200}, {Cache{MaxAge: time.Hour, Private: true}, "", "a=b", "private, max-age=3600", 200},
		{Cache{NoStore: true, MaxAge: time.Hour}, "", "", "no-store", 200}, {Cache{}, "", "", "public, no-cache", 200},
		{Cache{MaxAge: time.Hour}, "", "", "public, max-age=3600", 304}, {Cache{MaxAge: time.Hour}, "", "", "", 404}, {Cache{MaxAge: time.Hour}, "", "", "", 302},
	} {
		h := chainFor(t, Route{Cache: NewCache(c.cache), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.own != "" {
				w.Header().Set("Cache-Control", c.own)
			}
			if c.cookie != "" {
				w.Header().Set("Set-Cookie", c.cookie)
			}
			w.WriteHeader(c.status)
		})})
		if got := ask(h, "GET", "/").Header().Get("Cache-Control"); got != c.want {
			t.Errorf("%+v: Cache-Control %q, want %q", c, got, c.want)
		}
	}
}

func TestCORS(t *testing.T) {
	asked := 0
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Access-Control-Allow-Origin", "*") // the application's own does not stand
		if r.URL.Path == "/fail" {
			Fail(w, r, WorkerDied, "")
		}
	})
	named := mustMake[*CORS](t)(NewCORS(CORS{Origins: []string{"https://app.example.com"}, Methods: []string{"PUT"},
		Headers: []string{"X-Token"}, Expose: []string{"X-Total"}, Credentials: true, MaxAge: time.Minute}))
	h := chainFor(t, Route{Handler: handler, CORS: named, Methods: Methods{"GET", "PUT"}})
	const origin = "Origin: https://app.example.com"
	w := ask(h, "OPTIONS", "/", origin, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-token")
	a := w.Header()
	if w.Code != 204 || asked != 0 || a.Get("Access-Control-Allow-Origin") != "https://app.example.com" || a.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST, PUT" ||
		a.Get("Access-Control-Allow-Headers") != "X-Token" || a.Get("Access-Control-Allow-Credentials") != "true" || a.Get("Access-Control-Max-Age") != "60" || a.Get("Vary") != "Origin" {
		t.Errorf("preflight: %d %v, the application asked %d times", w.Code, a, asked)
	}
	for _, foreign := range []string{"https://evil.example.com", "null", "https://app.example.com.evil", "http://app.example.com"} {
		a = ask(h, "OPTIONS", "/", "Origin: "+foreign, "Access-Control-Request-Method: PUT").Header()
		if a["Access-Control-Allow-Origin"] != nil || a["Access-Control-Allow-Methods"] != nil || a.Get("Vary") != "Origin" {
			t.Errorf("preflight of %s: %v", foreign, a)
		}
		if a = ask(h, "GET", "/", "Origin: "+foreign).Header(); a["Access-Control-Allow-Origin"] != nil {
			t.Errorf("GET of %s: %v", foreign, a)
		}
	}
	for _, path := range []string{"/", "/fail"} {
		a = ask(h, "GET", path, origin).Header()
		if got := a["Access-Control-Allow-Origin"]; len(got) != 1 || got[0] != "https://app.example.com" || a.Get("Access-Control-Expose-Headers") != "X-Total" {
			t.Errorf("GET %s: %v", path, a)
		}
	}
	if a = ask(h, "GET", "/").Header(); a.Get("Vary") != "Origin" {
		t.Errorf("without an origin: Vary %q", a.Get("Vary"))
	}
	if w := ask(h, "OPTIONS", "/", origin); w.Code != 405 {
		t.Errorf("OPTIONS that is no preflight: %d, want the method's refusal", w.Code)
	}
	anyone := mustMake[*CORS](t)(NewCORS(CORS{Origins: []string{"*"}, Headers: []string{"*"}}))
	a = ask(chainFor(t, Route{Handler: handler, CORS: anyone}), "OPTIONS", "/", origin, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x-a").Header()
	if a.Get("Access-Control-Allow-Origin") != "*" || a.Get("Access-Control-Allow-Headers") != "x-a" || a["Access-Control-Allow-Credentials"] != nil {
		t.Errorf("any origin: %v", a)
	}
	for _, bad := range []CORS{{Origins: []string{"*"}, Credentials: true}, {Origins: []string{"*", "https://a"}}, {Origins: []string{"https://a/"}}, {Origins: []string{"a.example"}}} {
		if _, err := NewCORS(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
