package front

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// runBy is a stage that says who ran what.
func runBy(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res := ExchangeOf(r).Resource
		w.Write([]byte(name + " " + res.ScriptName + "|" + res.PathInfo))
	})
}

// A folder that mixes programs and files: each URL has its own door, and no
// program's text is ever sent.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	secret := "secret source"
	mustWrite(t, dir, map[string]string{
		"www/app.py": secret, "www/sub/index.py": secret, "www/sub/index.html": "html", "www/tool.cgi": secret, "www/old.php": secret,
		"www/readme.txt": "text", "www/app.py~": secret, "www/.app.py.swp": secret, "www/__pycache__/app.cpython-312.pyc": secret,
		"www/tool.CGI": secret, "www/plain/index.html": "plain", "www/dir.py/in.txt": "inside", "www/dir.py/deep.py": secret, "out.py": secret,
		"www/jquery.plugin.js": "script", "www/a.pyramid.png": "picture", "www/app.py.bak": secret, "www/app.pyold": secret, "www/x.phtml.txt": secret,
		"www/lib.pyc.txt": secret, "www/a.pyramid.py.txt": secret, "www/offindex/index.php": secret, "www/bare/": "",
	})
	www := filepath.Join(dir, "www")
	if err := os.Symlink("../out.py", filepath.Join(www, "link.py")); err != nil {
		t.Fatal(err)
	}
	f, err := NewFolder(FolderConfig{
		Root:     www,
		Programs: map[string]http.Handler{".py": runBy("python"), ".cgi": runBy("cgi"), ".php": nil, ".pl": nil},
		Index:    []string{"index.py", "index.php", "index.html"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		target string
		status int
		body   string
	}{
		{"/app.py", 200, "python /app.py|"}, {"/app.py/a/b", 200, "python /app.py|/a/b"}, {"/app.py/", 200, "python /app.py|/"},
		{"/sub/", 200, "python /sub/index.py|"}, {"/sub", 301, ""}, {"/tool.cgi/x", 200, "cgi /tool.cgi|/x"},
		{"/readme.txt", 200, "text"}, {"/plain/", 200, "plain"}, {"/dir.py/in.txt", 200, "inside"}, {"/dir.py/deep.py/x", 200, "python /dir.py/deep.py|/x"},
		// The first file with an extension ends the name: what follows is PATH_INFO, whatever it looks like.
		{"/app.py/tool.cgi", 200, "python /app.py|/tool.cgi"},
		{"/old.php", 404, ""}, {"/old.php/x", 404, ""}, {"/offindex/", 404, ""}, // switched off
		{"/app.py~", 404, ""}, {"/.app.py.swp", 404, ""}, {"/__pycache__/app.cpython-312.pyc", 404, ""}, {"/tool.CGI", 404, ""}, // sources
		{"/app.py.bak", 404, ""}, {"/app.pyold", 404, ""}, {"/x.phtml.txt", 404, ""}, {"/lib.pyc.txt", 404, ""}, {"/a.pyramid.py.txt", 404, ""},
		{"/jquery.plugin.js", 200, "script"}, {"/a.pyramid.png", 200, "picture"}, // words of their own
		{"/readme.txt/x.py", 404, ""}, {"/none.py", 404, ""}, {"/link.py", 404, ""}, {"/bare/", 404, ""}, {"/", 404, ""},
		{"/app.py%2Fx", 404, ""}, {"/sub%2Findex.py", 404, ""},
	} {
		w := at(f, "GET", c.target, nil)
		if w.Code != c.status || c.status == 200 && w.Body.String() != c.body {
			t.Errorf("%s: %d %q; want %d %q", c.target, w.Code, w.Body, c.status, c.body)
		}
	}
}

// Paths that mean no file are the controller's, which sees them as programs of
// its kind do. Hidden ones and programs that are switched off are nobody's.
func TestController(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{
		"index.php": "source", "index.py": "source", "index.html": "page", "off.cgi": "source", "a.py": "source", "a.css": "style", "x.py~": "source",
	})
	programs := map[string]http.Handler{".php": runBy("php"), ".py": runBy("python"), ".cgi": nil}
	for _, c := range []struct {
		controller string
		mounted    bool
		answers    map[string]string // "": 404
	}{
		{"index.php", false, map[string]string{"/a/b": "php /blog/index.php|", "/": "php /blog/index.php|", "/a.py/x": "python /blog/a.py|/x", "/a.css": "style",
			"/a%2Fb": "php /blog/index.php|", "/x.py~": "php /blog/index.php|", "/.git/config": "", "/off.cgi": ""}},
		{"index.py", true, map[string]string{"/a/b": "python /blog|/a/b", "/": "python /blog|/", "/a.py/x": "python /blog/a.py|/x", "/a%2Fb": "python /blog|/a/b",
			"/index.py": "python /blog/index.py|", "/a.css": "style", "/.env": ""}},
		{"index.html", true, map[string]string{"/a/b": "page", "/a.py": "python /blog/a.py|"}},
		{"off.cgi", true, map[string]string{"/a/b": ""}}, {"gone.py", true, map[string]string{"/a/b": ""}}, {"x.py~", true, map[string]string{"/a/b": ""}},
	} {
		f, err := NewFolder(FolderConfig{Root: dir, Programs: programs, Controller: c.controller, Mounted: c.mounted})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		h := chainFor(t, Route{Path: "/blog/", MountPrefix: "/blog", Handler: f})
		for target, want := range c.answers {
			w := ask(h, "GET", "/blog"+target)
			if want == "" && w.Code != 404 || want != "" && w.Body.String() != want {
				t.Errorf("%s for %s: %d %q; want %q", c.controller, target, w.Code, w.Body, want)
			}
		}
	}
}

// Which files PHP runs may be said; what is not said is not shown either.
func TestLimitExtensions(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, map[string]string{"a.php": "source", "b.phtml": "source", "c.inc": "text", "index.php": "source"})
	p, err := NewPHP(dir, "index.php", runBy("php"), ".phtml", ".inc")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for target, want := range map[string]string{"/b.phtml/x": "php /b.phtml|/x", "/c.inc": "php /c.inc|", "/a.php": "", "/": "", "/none": ""} {
		w := at(p, "GET", target, nil)
		if want == "" && w.Code != 404 || want != "" && w.Body.String() != want {
			t.Errorf("%s: %d %q; want %q", target, w.Code, w.Body, want)
		}
	}
}
