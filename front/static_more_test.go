package front

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func staticFor(t *testing.T, dir string, set func(*Static)) *Static {
	t.Helper()
	s := mustMake[*Static](t)(NewStatic(dir, ""))
	t.Cleanup(func() { s.Close() })
	set(s)
	return s
}

func TestIndexAndFallback(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"app.html": "app", "both/b.htm": "b", "both/a.htm": "a", "none/x": "x", "a.js": "js", ".env": "secret"})
	s := staticFor(t, dir, func(s *Static) { s.Index, s.Fallback = []string{"a.htm", "b.htm"}, "app.html" })
	for _, c := range []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/both/", 200, "a"}, {"GET", "/none/", 200, "app"}, {"GET", "/any/where", 200, "app"}, {"GET", "/a.js", 200, "js"},
		{"GET", "/a.js/x", 200, "app"}, {"HEAD", "/any", 200, ""}, {"POST", "/any", 405, ""}, {"GET", "/.env", 404, ""}, {"GET", "/", 200, "app"},
	} {
		w := at(s, c.method, c.target, nil)
		if w.Code != c.status || c.status == 200 && w.Body.String() != c.body {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.target, w.Code, w.Body, c.status, c.body)
		}
		if c.body == "app" && w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: type %q", c.target, w.Header().Get("Content-Type"))
		}
	}
}

func TestListing(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"b.txt": "12345", "a<script>.txt": "", "z/x": "", "y:z": "", ".git/config": "", "with/index.html": "index", "q?r#s%": ""})
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	s := staticFor(t, dir, func(s *Static) { s.Listing = true })
	w := at(s, "GET", "/", nil)
	body := w.Body.String()
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	for _, hidden := range []string{"<script>", ".git", "out", "../", "passwd"} {
		if strings.Contains(body, hidden) {
			t.Errorf("%q is in it: %s", hidden, body)
		}
	}
	at0 := -1
	for _, want := range []string{`href="./with/"`, `href="./z/"`, `href="./a%3Cscript%3E.txt"`, `href="./b.txt"`, `<td>5</td>`, `href="./q%3Fr%23s%25"`, `href="./y:z"`} {
		i := strings.Index(body, want)
		if i <= at0 {
			t.Errorf("%s is missing or out of order: %s", want, body)
		}
		at0 = i
	}
	if w := at(s, "GET", "/with/", nil); w.Body.String() != "index" {
		t.Errorf("a folder with an index: %q", w.Body)
	}
	if w := at(s, "GET", "/z/", nil); !strings.Contains(w.Body.String(), `href="../"`) {
		t.Errorf("no way up: %s", w.Body)
	}
	if w := at(s, "POST", "/z/", nil); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if w := at(s, "GET", "/.git/", nil); w.Code != 404 {
		t.Errorf("a hidden folder: %d", w.Code)
	}
}

func TestPrecompressed(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"a.js": "0123456789", "a.js.gz": "gzip", "a.js.br": "brotli!", "old.js": "new", "old.js.gz": "stale", "bare.js": "bare", "dir.js": "file", "dir.js.gz/x": ""})
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"a.js", "a.js.gz", "a.js.br", "old.js.gz"} {
		if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	s := staticFor(t, dir, func(s *Static) { s.Precompressed = []string{"br", "zstd", "gzip"} })
	tags := map[string]bool{}
	for _, c := range []struct{ target, accept, encoding, body string }{
		{"/a.js", "gzip, br, zstd", "br", "brotli!"}, {"/a.js", "gzip", "gzip", "gzip"}, {"/a.js", "", "", "0123456789"}, {"/a.js", "zstd", "", "0123456789"},
		{"/old.js", "gzip", "", "new"}, {"/bare.js", "gzip", "", "bare"}, {"/dir.js", "gzip", "", "file"},
	} {
		w := at(s, "GET", c.target, http.Header{"Accept-Encoding": {c.accept}})
		h := w.Header()
		if w.Code != 200 || h.Get("Content-Encoding") != c.encoding || w.Body.String() != c.body || h.Get("Vary") != "Accept-Encoding" ||
			h.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%+v: %d %v %q", c, w.Code, h, w.Body)
		}
		if c.target == "/a.js" && c.accept != "zstd" {
			tags[h.Get("Etag")] = true
		}
		again := at(s, "GET", c.target, http.Header{"Accept-Encoding": {c.accept}, "If-None-Match": {h.Get("Etag")}})
		if again.Code != 304 || again.Header().Get("Content-Encoding") != "" || again.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%+v asked again: %d %v", c, again.Code, again.Header())
		}
		if h.Get("Content-Length") == "" {
			t.Errorf("%+v: no length", c)
		}
	}
	if len(tags) != 3 {
		t.Errorf("tags %v: want one for each of three encodings", tags)
	}
	w := at(s, "GET", "/a.js", http.Header{"Accept-Encoding": {"br"}, "Range": {"bytes=0-2"}})
	if w.Code != 206 || w.Body.String() != "bro" || w.Header().Get("Content-Encoding") != "br" {
		t.Errorf("range: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w := at(s, "GET", "/a.js", http.Header{"Accept-Encoding": {"br"}, "Range": {"bytes=50-"}}); w.Code != 416 || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("range beyond the end: %d %v", w.Code, w.Header())
	}
}

// A file goes through the compressing stage as any answer, and its packed
// brother goes through as it is.
func TestFilesAreCompressed(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("text ", 1000)
	mustWrite(t, dir, map[string]string{"a.txt": text, "p.txt": text, "p.txt.gz": "packed", "i.png": text})
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"p.txt", "p.txt.gz"} { // whichever was written first
		if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	s := staticFor(t, dir, func(s *Static) { s.Precompressed = []string{"gzip"} })
	h := chainFor(t, Route{Handler: s, Compression: mustMake[*Compression](t)(NewCompression(Compression{Encodings: []string{"gzip"}, MinSize: 100}))})
	w := ask(h, "GET", "/a.txt", "Accept-Encoding: gzip")
	tag := w.Header().Get("Etag")
	if decode(t, "gzip", w.Body.Bytes()) != text || !strings.HasPrefix(tag, "W/") {
		t.Errorf("%v", w.Header())
	}
	if w := ask(h, "GET", "/a.txt", "Accept-Encoding: gzip", "If-None-Match: "+tag); w.Code != 304 {
		t.Errorf("its tag asked again: %d", w.Code)
	}
	if w := ask(h, "GET", "/a.txt", "Accept-Encoding: gzip", "Range: bytes=0-3"); w.Code != 206 || w.Body.String() != "text" {
		t.Errorf("a range: %d %q", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/p.txt", "Accept-Encoding: gzip"); w.Body.String() != "packed" {
		t.Errorf("packed: %q", w.Body)
	}
	if w := ask(h, "GET", "/i.png", "Accept-Encoding: gzip"); w.Header().Get("Content-Encoding") != "" || w.Body.String() != text {
		t.Errorf("a picture: %v", w.Header())
	}
}

func TestTypesAreOurOwn(t *testing.T) {
	for name, want := range map[string]string{"a.JS": "text/javascript; charset=utf-8", "a": "application/octet-stream", "a.unknown": "application/octet-stream",
		"a.tar.gz": "application/gzip", "x.woff2": "font/woff2", ".html": "text/html; charset=utf-8"} {
		if got := contentType(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Files come before an application: what is none, and what no file can answer,
// is the application's.
func TestStaticBeforeAnApplication(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"www/a.css": "style", "www/docs/index.html": "index", "www/bare/x.txt": "x", "www/.env": "secret", "out": "secret"})
	if err := os.Symlink("../out", filepath.Join(dir, "www", "link")); err != nil {
		t.Fatal(err)
	}
	s, err := NewStatic(filepath.Join(dir, "www"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("app " + ExchangeOf(r).Path)) })
	h := chainFor(t, Route{Handler: s})
	for _, c := range []struct{ method, target, want string }{
		{"GET", "/a.css", "style"}, {"GET", "/docs/", "index"}, {"GET", "/", "app /"}, {"GET", "/bare", "app /bare"}, {"GET", "/bare/", "app /bare/"},
		{"GET", "/none", "app /none"}, {"GET", "/a.css/", "app /a.css/"}, {"POST", "/a.css", "app /a.css"}, {"GET", "/.env", "app /.env"},
		{"GET", "/link", "app /link"}, {"GET", "/docs%2Findex.html", "app /docs/index.html"},
	} {
		if w := ask(h, c.method, c.target); w.Code != 200 || w.Body.String() != c.want {
			t.Errorf("%s %s: %d %q; want %q", c.method, c.target, w.Code, w.Body, c.want)
		}
	}
	if w := ask(h, "GET", "/docs"); w.Code != 301 || w.Header().Get("Location") != "/docs/" {
		t.Errorf("a folder with an index: %d %v", w.Code, w.Header())
	}
}

// Before an application that runs files of the same folder, their text is never sent.
func TestFilesBeforePrograms(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"a.php": "<?php", "sub/index.php": "<?php", "a.PHTML": "<?php", "b.php.bak": "<?php", "c.css": "css"})
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("next")) })
	programs := mustMake[*Folder](t)(NewPHP(dir, "index.php", next))
	t.Cleanup(func() { programs.Close() })
	s := staticFor(t, dir, func(s *Static) {
		s.Next, s.Source, s.Index, s.Fallback = next, programs.IsSource, []string{"index.php"}, "a.php"
	})
	for target, want := range map[string]string{
		"/a.php": "next", "/a.php/x": "next", "/sub/": "next", "/sub/index.php": "next", "/a.PHTML": "next", "/b.php.bak": "next",
		"/none": "next", "/c.css": "css",
	} {
		if w := at(s, "GET", target, nil); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
}
