package front

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRedirect(t *testing.T) {
	for _, c := range []struct{ from, to, target, location string }{ // "": passes on
		{"", "https://$host$uri", "/a%20b?x=1", "https://example.com/a%20b?x=1"},
		{"", "$scheme://$host/new", "/a?x=1", "http://example.com/new?x=1"},
		{"^/old/(.*)$", "/new/$1", "/old/a/b?x", "/new/a/b?x"}, {"^/old/(.*)$", "/new/$1", "/other", ""},
		{"^/old/(.*)$", "/new?page=$1", "/old/a&b=c?x", "/new?page=a%26b%3Dc"},
		{"^/old/(.*)$", "/new/$1", "/old/caf%C3%A9", "/new/caf%C3%A9"}, {"^/old/(.*)$", "/new/$1", "/old/a%2Fb", "/new/a%2Fb"},
		{"^/old/(.*)$", "/new/$1", "/old/a%0Ab", ""}, // refused before
		{"^/(a)?x", "/new$1", "/x", "/new"}, {"", "/b#c", "/a?x=1", "/b?x=1#c"},
		// Nobody is led to another site.
		{"^/r(.*)$", "/$1", "/r//evil.example", "/evil.example"}, {"^/r(.*)$", "/$1", "/r%2Fevil.example", "/%2Fevil.example"},
		{"^(.*)$", "https://example.com/$1", "//evil.example", "https://example.com//evil.example"},
		{"^/r/(.*)$", "/$1", "/r/%5Cevil.example", "/%5Cevil.example"}, {"", "$path", "//evil.example/", "/evil.example/"},
		{"^/r(.*)$", "https://example.com/$1", "/r@evil", "https://example.com/@evil"},
	} {
		rd := mustMake[*Redirect](t)(NewRedirect(c.from, c.to, 308))
		w := ask(chainFor(t, Route{Redirect: rd}), "GET", c.target)
		got := w.Header().Get("Location")
		if got != c.location || (w.Code == 308) != (c.location != "") {
			t.Errorf("%q to %q, %s: %d %q, want %q", c.from, c.to, c.target, w.Code, got, c.location)
		}
	}
	if w := ask(chainFor(t, Route{Redirect: mustMake[*Redirect](t)(NewRedirect("^/x", "/y", 0))}), "GET", "/z"); w.Code != 404 {
		t.Errorf("no handler behind a redirect for other paths: %d", w.Code)
	}
}

func TestBadRedirects(t *testing.T) {
	for _, c := range []struct {
		from, to string
		status   int
	}{
		{"", "//evil", 0}, {"(.*)", "$1", 0}, {"(.*)", "https://$1/", 0}, {"(.*)", "https://example.com$1", 0}, {"(.*)", "https://$host$1", 0},
		{"(.*)", "https://a@$host/", 0}, {"", "javascript:alert(1)", 0}, {"", "", 0}, {"", "/$1", 0}, {"", "/$user", 0}, {"", "/a b", 0}, {"", "/\\evil", 0},
		{"(", "/", 0}, {"", "/a", 200}, {"", "/a", 304}, {"", "https://", 0}, {"(.*)", "$scheme://$1.example/", 0},
	} {
		if _, err := NewRedirect(c.from, c.to, c.status); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func FuzzRedirectStaysOnTheSite(f *testing.F) {
	f.Add("/r//evil.example")
	f.Add("/r%2f%2fevil")
	f.Add("/r/%5c%5cevil?a=//b")
	f.Fuzz(func(t *testing.T, target string) {
		rd := mustMake[*Redirect](t)(NewRedirect("^/r(.*)$", "/$1", 0))
		clean, err := normalizePath(strings.SplitN(target, "?", 2)[0])
		if err != nil {
			return
		}
		match := rd.from.FindStringSubmatchIndex(clean.route)
		if match == nil {
			return
		}
		r := &http.Request{}
		r.URL = mustURL(t, "/")
		got := rd.location(r, &Exchange{Path: clean.decoded, routePath: clean.route, EncodedSlash: clean.encodedSlash}, match)
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n \t") {
			t.Errorf("%q leads to %q", target, got)
		}
	})
}

func TestReply(t *testing.T) {
	h := chainFor(t, Route{Path: "/gone", Reply: &Reply{Status: 410, Body: "gone\n"}}, Route{Reply: &Reply{Status: 204}})
	if w := ask(h, "GET", "/gone"); w.Code != 410 || w.Body.String() != "gone\n" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("Content-Length") != "5" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	if w := ask(h, "HEAD", "/gone"); w.Code != 410 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "5" {
		t.Errorf("HEAD: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w := ask(h, "GET", "/"); w.Code != 204 || w.Header().Get("Content-Type") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ from, to, target, path, query string }{ // path "": refused
		{"^/old/(.*)$", "/new/$1", "/old/a?x=1", "/new/a", "x=1"}, {"^/old/(.*)$", "/new/$1", "/other?x", "/other", "x"},
		{"^/(\\d+)$", "/post?id=$1", "/42?x=1", "/post", "id=42&x=1"}, {"^/(\\d+)$", "/post?id=$1&y=?", "/42?x=1", "/post", "id=42&y=?&x=1"},
		{"^/old$", "/new?", "/old?x=1", "/new", ""}, {"^/p/(.*)$", "/q?p=$1", "/p/a&admin=1", "/q", "p=a%26admin%3D1"},
		{"^/old/(.*)$", "/old/$1", "/old/old/a", "/old/old/a", ""}, // once
		{"^/f/(.*)/(.*)$", "/x/$1.$2", "/f/a/b", "/x/a.b", ""}, {"^/f/(.*)$", "/x/.$1", "/f/./y", "/x/.y", ""},
		{"^/f(.*)$", "/.$1", "/f./y", "", ""}, // "/../y": above the root
		{"^/f/(.*)$", "/x/$1", "/f/%41%20%3f%25", "/x/A ?%", ""}, {"^/f/(.*)$", "/x/$1", "/f/a%2Fb", "/x/a/b", ""},
	} {
		path, query, uri := "", "", ""
		rw := mustMake[*Rewrite](t)(NewRewrite(c.from, c.to))
		h := chainFor(t, Route{Rewrite: rw, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x := ExchangeOf(r)
			path, query, uri = x.Path, r.URL.RawQuery, x.RequestURI
			if r.URL.Path != x.Path {
				t.Errorf("URL.Path is %q, Exchange.Path %q", r.URL.Path, x.Path)
			}
			if x.EncodedSlash != strings.Contains(c.target, "%2F") {
				t.Errorf("%s: encoded slash %v", c.target, x.EncodedSlash)
			}
		})})
		w := ask(h, "GET", c.target)
		if path != c.path || query != c.query || path != "" && uri != c.target || (w.Code == 400) != (c.path == "") {
			t.Errorf("%q to %q, %s: %d %q ? %q (REQUEST_URI %q), want %q ? %q", c.from, c.to, c.target, w.Code, path, query, uri, c.path, c.query)
		}
	}
	for _, bad := range [][2]string{{"", "/a"}, {"(", "/a"}, {"a", "b"}, {"a", "http://b/"}, {"a", "/$1"}, {"a", "/b#c"}} {
		if _, err := NewRewrite(bad[0], bad[1]); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if rw := mustMake[*Rewrite](t)(NewRewrite("a", "/blog/x")); !rw.StaysIn("/blog") || !rw.StaysIn("") || rw.StaysIn("/blo") || (*Rewrite)(nil).StaysIn("/a") != true {
		t.Error("StaysIn")
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
