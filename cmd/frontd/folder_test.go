package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// page is a WSGI application in one file, which says where it is.
const page = `version = "one"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s %s|%s" % (version, environ["SCRIPT_NAME"], environ["PATH_INFO"])).encode("latin-1")]
`

// layFolder lays a folder of many kinds down.
func layFolder(t testing.TB, dir string) {
	t.Helper()
	counterpart.Find(t, "python3")
	for name, text := range map[string]string{
		"page.py": page, "sub/index.py": page, "other.py": strings.Replace(page, "one", "other", 1),
		"broken.py": "def application(:\n", "library.py": "x = 1\n", "exits.py": "import sys; sys.exit(3)\n",
		"tool.cgi":   "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; printf %s \"cgi $SCRIPT_NAME|$PATH_INFO|$PATH_TRANSLATED\"\n",
		"style.css":  "body {}\n",
		"page.py~":   "secret",
		"off/see.py": "secret",
	} {
		write(t, filepath.Join(dir, "site", name), text)
	}
}

// expect asks for a page. An application that is started by the request may not
// come up within queue.timeout on a busy machine: then it is asked for again.
func (r *running) expect(target string, status int, want string) {
	r.t.Helper()
	a := r.get(target)
	for try := 0; strings.Contains(a.body, "queue-timeout") && try < 20; try++ {
		a = r.get(target)
	}
	if a.status != status || !strings.Contains(a.body, want) {
		r.t.Errorf("%s: %d %q; want %d %q", target, a.status, a.body, status, want)
	}
}

// Each URL of a folder is a file, and each kind of file has its own workers,
// which are not there before they are needed.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	layFolder(t, dir)
	r := serve(t, dir, "./site", "-w", "2", "--threads", "2")
	r.AwaitLine(`detected .*site has broken.py, and no index.php.*each URL is a file`, patience)
	for _, app := range []string{"site.wsgi", "site.cgi"} {
		if n := workersOfApp(r.status(), app); n != 0 {
			t.Errorf("%d workers of %s before the first request", n, app)
		}
	}
	r.expect("/style.css", 200, "body {}")
	r.expect("/page.py", 200, "one /page.py|")
	r.expect("/page.py/a%20b/c", 200, "one /page.py|/a b/c")
	r.expect("/sub/", 200, "one /sub/index.py|")
	r.expect("/other.py", 200, "other /other.py|")
	r.expect("/tool.cgi", 200, "cgi /tool.cgi||")
	r.expect("/tool.cgi/x", 200, "cgi /tool.cgi|/x|"+filepath.Join(dir, "site", "x"))
	r.expect("/library.py", 404, "Not Found")
	r.expect("/page.py~", 404, "")
	r.expect("/none.py", 404, "")
	r.expect("/", 404, "")
	// What one file does wrong is that URL's, and no worker's end.
	before := r.awaitServing("site.wsgi", 1)
	r.expect("/broken.py", 500, "")
	r.AwaitLine(`SyntaxError`, patience)
	r.expect("/exits.py", 500, "")
	r.expect("/page.py", 200, "one /page.py|")
	if after := r.awaitServing("site.wsgi", 1); after[0] != before[0] {
		t.Errorf("a broken file ended the worker: %v, then %v", before, after)
	}
	if n := workersOfApp(r.status(), "site.php"); n != 0 {
		t.Errorf("%d workers of PHP, which nobody asked for", n)
	}
}

// A file that has changed is loaded again at once, in every worker and with
// no other's help; one that is mended works again.
func TestFolderReloads(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	layFolder(t, dir)
	r := serve(t, dir, "folder:./site", "-w", "2", "--threads", "4")
	r.expect("/page.py", 200, "one /")
	file := filepath.Join(dir, "site", "page.py")
	for _, version := range []string{"two", "six", "ten"} { // of one length, within one second
		write(t, file, strings.Replace(page, "one", version, 1))
		r.expect("/page.py", 200, version+" /")
	}
	write(t, file, "def application(:\n")
	r.expect("/page.py", 500, "")
	write(t, file, page)
	r.expect("/page.py", 200, "one /")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.expect("/page.py", 404, "")
}

// The configuration says what is what, and a route says it for its URLs.
func TestFolderHandlers(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	layFolder(t, dir)
	write(t, filepath.Join(dir, "site", "run.sh"), "#!/bin/sh\nprintf 'Status: 299 Odd\\n\\n'; printf %s \"sh $SCRIPT_NAME\"\n")
	write(t, filepath.Join(dir, "frontd.toml"), `
[server]
listen = ["127.0.0.1:0"]
[app.site]
kind = "folder"
target = "site"
handlers = { ".sh" = "cgi", ".cgi" = "off" }
[[route]]
path = "/s/off/"
app = "site"
mount = "/s/"
handlers = { ".py" = "off" }
[[route]]
path = "/s/show/"
app = "site"
mount = "/s/"
handlers = { ".py" = "static" }
[[route]]
path = "/s/"
app = "site"
`)
	write(t, filepath.Join(dir, "site", "show", "source.py"), "shown = 1\n")
	r := serve(t, dir, "-c", "frontd.toml")
	r.expect("/s/page.py/x", 200, "one /s/page.py|/x")
	r.expect("/s/run.sh", 299, "sh /s/run.sh")
	r.expect("/s/tool.cgi", 404, "")
	r.expect("/s/off/see.py", 404, "")
	r.expect("/s/show/source.py", 200, "shown = 1")
	f := controlFlag{path: r.control}
	if err := f.call(t.Context(), http.MethodPost, "/reload", nil); err != nil {
		t.Fatal(err)
	}
	r.expect("/s/page.py", 200, "one /s/page.py|")
	if a := r.do(http.MethodPost, "/s/page.py", "text/plain", strings.NewReader("body")); a.status != 200 {
		t.Errorf("POST: %d", a.status)
	}
}

// What a file imports is loaded once; a restart of the folder's applications,
// by the folder's name, loads it again.
func TestFolderRestart(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	layFolder(t, dir)
	library := filepath.Join(dir, "site", "library.py")
	write(t, library, "version = 'first'\n")
	write(t, filepath.Join(dir, "site", "page.py"), "from library import version\n"+strings.SplitN(page, "\n", 2)[1])
	r := serve(t, dir, "./site", "-w", "1")
	r.expect("/page.py", 200, "first /page.py|")
	write(t, library, "version = 'the second'\n")
	r.expect("/page.py", 200, "first /page.py|")
	f := controlFlag{path: r.control}
	if err := f.call(t.Context(), http.MethodPost, "/restart?app=site", nil); err != nil {
		t.Fatal(err)
	}
	r.expect("/page.py", 200, "the second /page.py|")
	if err := f.call(t.Context(), http.MethodPost, "/restart?app=none", nil); err == nil {
		t.Error("an application that is not there was restarted")
	}
}
