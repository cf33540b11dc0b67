package front

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// at serves a request for a clean path through a stage that stands behind the
// strict one, and returns the answer.
func at(h http.Handler, method, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://example.com/", nil)
	r.RequestURI, r.Header = target, header
	if header == nil {
		r.Header = http.Header{}
	}
	w := httptest.NewRecorder()
	f := newFlight(w, r, &defaultSettings)
	(&strict{limits: Strict{}.withDefaults(), next: h}).ServeHTTP(&f.writer, r.WithContext(f))
	return w
}

func TestStatic(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{
		"secret": "s", "www/a.txt": "hello", "www/index.html": "<p>", "www/sub/index.html": "sub", "www/empty/": "", "www/.env": "e", "www/.git/config": "g",
		"www/.well-known/acme/token": "tok", "www/up.load": "<html>", "www/a b.css": "c", "www/UPPER.HTML": "u", "www/odd/index.html/": "",
	})
	www := filepath.Join(dir, "www")
	for name, to := range map[string]string{"out": "../secret", "outdir": "..", "in": "a.txt", "abs": filepath.Join(dir, "secret"), "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(www, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := NewStatic(www, "/static/")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		method, target string
		status         int
		body, typ      string
	}{
		{"GET", "/static/a.txt", 200, "hello", "text/plain; charset=utf-8"},
		{"HEAD", "/static/a.txt", 200, "", "text/plain; charset=utf-8"},
		{"GET", "/static/", 200, "<p>", "text/html; charset=utf-8"},
		{"GET", "/static/sub/", 200, "sub", ""},
		{"GET", "/static/sub?x=y", 301, "", ""},
		{"GET", "/static//sub/../sub/index.html", 200, "sub", ""},
		{"GET", "/static/up.load", 200, "<html>", "application/octet-stream"},
		{"GET", "/static/a%20b.css", 200, "c", "text/css; charset=utf-8"},
		{"GET", "/static/UPPER.HTML", 200, "u", "text/html; charset=utf-8"},
		{"GET", "/static/.well-known/acme/token", 200, "tok", ""},
		{"GET", "/static/in", 200, "hello", ""},
		{"GET", "/static/empty/", 404, "", ""},
		{"GET", "/static/odd/", 404, "", ""},
		{"GET", "/static/none", 404, "", ""},
		{"GET", "/static/a.txt/", 404, "", ""},
		{"GET", "/static/a.txt/b", 404, "", ""},
		{"GET", "/static/.env", 404, "", ""},
		{"GET", "/static/.git/config", 404, "", ""},
		{"GET", "/static/.well-known/../.env", 404, "", ""},
		{"GET", "/static/.well-known/.x", 404, "", ""},
		{"GET", "/static/sub%2Findex.html", 404, "", ""},
		{"GET", "/static/sub%5Cindex.html", 404, "", ""},
		{"GET", "/static/../secret", 404, "", ""}, // outside of the prefix
		{"GET", "/static/out", 404, "", ""},
		{"GET", "/static/outdir/secret", 404, "", ""},
		{"GET", "/static/abs", 404, "", ""},
		{"GET", "/static/loop", 404, "", ""},
		{"GET", "/static/" + strings.Repeat("a", 300), 404, "", ""},
		{"POST", "/static/a.txt", 405, "", ""},
		{"DELETE", "/static/a.txt", 405, "", ""},
	} {
		w := at(s, c.method, c.target, nil)
		h := w.Header()
		if w.Code != c.status || c.status == 200 && w.Body.String() != c.body || c.typ != "" && h.Get("Content-Type") != c.typ {
			t.Errorf("%s %s: %d %q %v; want %d %q %q", c.method, c.target, w.Code, w.Body, h, c.status, c.body, c.typ)
		}
		if c.status == 200 && h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: may be sniffed", c.target)
		}
		if c.status == 405 && h.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: Allow %q", c.method, h.Get("Allow"))
		}
	}
	if got := at(s, "GET", "/static/sub?x=y", nil).Header().Get("Location"); got != "/static/sub/?x=y" {
		t.Errorf("redirected to %q", got)
	}
}

func TestRedirectStaysOnTheSite(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"evil.com/": "", "a:b/": ""})
	s, err := NewStatic(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for target, want := range map[string]string{"//evil.com": "/evil.com/", "///evil.com": "/evil.com/", "/a:b": "/a:b/"} {
		if w := at(s, "GET", target, nil); w.Code != 301 || w.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", target, w.Code, w.Header().Get("Location"), want)
		}
	}
}

func TestStaticConditionsAndRanges(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"a.txt": "0123456789"})
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "a.txt"), when, when); err != nil {
		t.Fatal(err)
	}
	s, err := NewStatic(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	etag := at(s, "GET", "/a.txt", nil).Header().Get("Etag")
	for _, c := range []struct {
		header http.Header
		status int
		body   string
	}{
		{http.Header{"Range": {"bytes=2-4"}}, 206, "234"}, {http.Header{"Range": {"bytes=-2"}}, 206, "89"}, {http.Header{"Range": {"bytes=20-"}}, 416, ""},
		{http.Header{"If-None-Match": {etag}}, 304, ""}, {http.Header{"If-None-Match": {`"other"`}}, 200, "0123456789"},
		{http.Header{"If-Modified-Since": {when.Format(http.TimeFormat)}}, 304, ""}, {http.Header{"If-Match": {`"other"`}}, 412, ""},
		{http.Header{"Range": {"bytes=2-4"}, "If-Range": {`"other"`}}, 200, "0123456789"},
	} {
		if w := at(s, "GET", "/a.txt", c.header); w.Code != c.status || (w.Code < 300 && w.Body.String() != c.body) {
			t.Errorf("%v: %d %q, want %d %q", c.header, w.Code, w.Body, c.status, c.body)
		}
	}
}

func TestPHPResources(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, dir, map[string]string{
		"secret.php": "s", "www/index.php": "", "www/info.php": "", "www/sub/index.php": "", "www/html/index.html": "", "www/bare/": "",
		"www/style.css": "", "www/avatar.jpg": "", "www/old.php5": "", "www/x.phtml": "", "www/UP.PHP": "", "www/info.php.bak": "", "www/.user.ini": "",
		"www/dir.php/real.php": "", "www/.hidden.php": "", "www/100%.php": "", "www/é.php": "",
	})
	www := filepath.Join(dir, "www")
	if err := os.Symlink("../secret.php", filepath.Join(www, "out.php")); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, dir, map[string]string{"store/a.jpg": ""})
	if err := os.Symlink(filepath.Join(dir, "store"), filepath.Join(www, "store")); err != nil { // as Laravel's storage:link
		t.Fatal(err)
	}
	p, err := NewPHP(www, "index.php", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	front := "/index.php"
	for _, c := range []struct{ target, script, info, file string }{ // all empty: 404
		{"/", "/index.php", "", ""}, {"/info.php", "/info.php", "", ""}, {"/info.php/a/b", "/info.php", "/a/b", ""}, {"/info.php/", "/info.php", "/", ""},
		{"/index.php/a%2Fb", "/index.php", "/a/b", ""}, {"/sub/", "/sub/index.php", "", ""}, {"/html/", "", "", "html/index.html"},
		{"/style.css", "", "", "style.css"}, {"/avatar.jpg", "", "", "avatar.jpg"}, {"/100%25.php/x", "/100%.php", "/x", ""}, {"/%c3%a9.php", "/é.php", "", ""},
		{"/dir.php/real.php/x", "/dir.php/real.php", "/x", ""},
		// The front controller takes what is no file, and never what has a script's name by accident.
		{"/pretty/url", front, "", ""}, {"/missing.php", front, "", ""}, {"/bare/", front, "", ""}, {"/avatar.jpg/x.php", front, "", ""}, {"/info.phpx", front, "", ""},
		{"/info.php.txt", front, "", ""}, {"/style.css/", front, "", ""}, {"/a%2Finfo.php", front, "", ""}, {"/sub%2Findex.php", front, "", ""},
		// Links out of the root, and sources.
		{"/out.php", "", "", ""}, {"/out.php/x", "", "", ""}, {"/store/a.jpg", "", "", ""}, {"/old.php5", front, "", ""}, {"/x.phtml", front, "", ""}, {"/UP.PHP", front, "", ""}, {"/info.php.bak", front, "", ""},
		{"/.user.ini", "", "", ""}, {"/.hidden.php", "", "", ""}, {"/info.php/.git", "", "", ""},
	} {
		clean, err := normalizePath(c.target)
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.find("", &Exchange{Path: clean.decoded, routePath: clean.route, EncodedSlash: clean.encodedSlash})
		want := Resource{}
		switch {
		case c.script != "":
			want = Resource{DocumentRoot: www, ScriptFilename: www + c.script, ScriptName: c.script, PathInfo: c.info}
		case c.file != "":
			want = Resource{DocumentRoot: www, File: c.file}
		}
		if res != want || (err != nil) != (want == Resource{}) {
			t.Errorf("%s: %+v, %v; want %+v", c.target, res, err, want)
		}
	}
	if _, err := p.Find("/sub"); err != errIsFolder {
		t.Errorf("folder without slash: %v", err)
	}
	if w := at(p, "GET", "/store/a.jpg", nil); w.Code != 404 {
		t.Errorf("a link out of the root: %d", w.Code)
	}
	res, err := p.find("/blog", &Exchange{Path: "/blog/info.php/x", routePath: "/blog/info.php/x"})
	if err != nil || res.ScriptName != "/blog/info.php" || res.PathInfo != "/x" || res.ScriptFilename != www+"/info.php" {
		t.Errorf("mounted: %+v, %v", res, err)
	}
}

func TestPHPStage(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"run.php": "<?php secret", "sub/index.php": "", "a.txt": "text", "gone.phtml": "<?php secret"})
	p, err := NewPHP(dir, "index.php", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("ran " + ExchangeOf(r).Resource.ScriptName))
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range []struct {
		method, target string
		status         int
		body           string
	}{
		{"POST", "/run.php", 200, "ran /run.php"}, {"GET", "/sub/", 200, "ran /sub/index.php"}, {"GET", "/a.txt", 200, "text"},
		{"POST", "/a.txt", 405, ""}, {"GET", "/sub", 301, ""}, {"GET", "/none", 404, ""}, {"GET", "/gone.phtml", 404, ""},
	} {
		w := at(p, c.method, c.target, nil)
		if w.Code != c.status || c.body != "" && w.Body.String() != c.body || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s: %d %q", c.method, c.target, w.Code, w.Body)
		}
	}
	if _, err := NewPHP(dir+"/none", "index.php", http.NotFoundHandler()); err == nil {
		t.Error("a root that is not there is opened")
	}
}

func TestFIFOIsNoFileAndHoldsNobodyUp(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.txt"), 0o644); err != nil {
		t.Skip("no FIFOs here: ", err)
	}
	s, err := NewStatic(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if w := at(s, "GET", "/pipe.txt", nil); w.Code != 404 {
		t.Errorf("status %d, want 404", w.Code)
	}
}
