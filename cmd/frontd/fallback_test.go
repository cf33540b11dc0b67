package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// prettyPHP is a front controller as WordPress has one: it goes by REQUEST_URI,
// and by SCRIPT_NAME to know where it is.
const prettyPHP = `<?php
$base = rtrim(dirname($_SERVER["SCRIPT_NAME"]), "/");
$path = substr(parse_url($_SERVER["REQUEST_URI"], PHP_URL_PATH), strlen($base));
printf("php %s base=%s p=%s body=%s info=%s", $path, $base, $_GET["p"] ?? "-", file_get_contents("php://input"), $_SERVER["PATH_INFO"] ?? "-");
`

// prettyCGI is one in CGI, which goes by PATH_INFO.
const prettyCGI = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; printf %s \"cgi $SCRIPT_NAME|$PATH_INFO\"\n"

// Pretty URLs in folders of many kinds: a path that means no file is the front
// controller's, in PHP, in Python and in CGI, at the root and below a prefix.
func TestFrontControllers(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "php-cgi")
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	for name, text := range map[string]string{
		"index.php": prettyPHP, "index.py": page, "front.cgi": prettyCGI, "wp-login.php": `<?php echo "login ", $_SERVER["SCRIPT_NAME"];`,
		"wp-admin/index.php": `<?php echo "admin";`, "page.py": strings.Replace(page, "one", "page", 1), "style.css": "body {}\n", "none.html": "sorry",
	} {
		write(t, filepath.Join(dir, "site", name), text)
	}
	r := serve(t, dir, configure(t, dir, `
[server]
listen = ["127.0.0.1:0"]
[app.php]
kind = "php"
target = "site"
workers = 1
[app.bare]
kind = "php"
target = "site"
workers = { min = 0, max = 1 }
fallback = ""
[app.mixed]
kind = "folder"
target = "site"
fallback = "/index.php"
workers = 1
[[route]]
path = "/python/"
app = "mixed"
fallback = "/index.py"
[[route]]
path = "/cgi/"
app = "mixed"
fallback = "/front.cgi"
[[route]]
path = "/page/"
app = "mixed"
fallback = "/none.html"
[[route]]
path = "/mixed/"
app = "mixed"
[[route]]
path = "/bare/"
app = "bare"
[[route]]
host = "python.example.com"
app = "mixed"
fallback = "/index.py"
[[route]]
path = "/"
app = "php"
`)...)
	for _, base := range []string{"", "/mixed"} {
		r.expect(base+"/2026/11/hello-world/?p=7", 200, "php /2026/11/hello-world/ base="+base+" p=7 body= info=-")
		r.expect(base+"/", 200, "php / base="+base+" ")
		r.expect(base+"/wp-login.php", 200, "login "+base+"/wp-login.php")
		r.expect(base+"/wp-admin/", 200, "admin")
		r.expect(base+"/style.css", 200, "body {}")
		r.expect(base+"/.git/config", 404, "")
		if a := r.do(http.MethodPost, base+"/contact", "text/plain", strings.NewReader("sent")); a.body != "php /contact base="+base+" p=- body=sent info=-" {
			t.Errorf("POST %s/contact: %d %q", base, a.status, a.body)
		}
	}
	r.expect("/python/a%20b/c?x=1", 200, "one /python|/a b/c")
	r.expect("/python/no/index.py", 200, "one /python|/no/index.py")
	r.expect("/python/page.py", 200, "page /python/page.py|")
	r.expect("/python/page.py/x", 200, "page /python/page.py|/x")
	r.expect("/cgi/a%20b/c", 200, "cgi /cgi|/a b/c")
	r.expect("/cgi/front.cgi/c", 200, "cgi /cgi/front.cgi|/c")
	r.expect("/page/whatever", 200, "sorry")
	r.expect("/bare/whatever", 404, "")
	r.expect("/bare/wp-login.php", 200, "login /bare/wp-login.php")
	// At the root the host is told no SCRIPT_NAME at all, and must not take one
	// path for the other.
	for target, want := range map[string]string{"/a/b": "one |/a/b", "/no/index.py": "one |/no/index.py", "/page.py": "page /page.py|", "/page.py/x": "page /page.py|/x"} {
		if a := r.host("python.example.com", target); a.body != want {
			t.Errorf("%s: %d %q, want %q", target, a.status, a.body, want)
		}
	}
}

// host asks for a path by another name than the server's address.
func (r *running) host(host, path string) fetched {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return fetched{resp.StatusCode, resp.Header, string(body)}
}

// A route with root and app: its files take no worker, everything else does.
func TestFilesBeforeAnApplication(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "pages.py"), page)
	write(t, filepath.Join(dir, "public", "robots.txt"), "User-agent: *\n")
	write(t, filepath.Join(dir, "public", "docs", "index.html"), "documents")
	r := serve(t, dir, configure(t, dir, `
[server]
listen = ["127.0.0.1:0"]
[app.pages]
kind = "wsgi"
target = "pages"
workers = { min = 0, max = 1 }
[[route]]
app = "pages"
root = "public"
cache = { max_age = "1h" }
`)...)
	r.expect("/robots.txt", 200, "User-agent: *\n")
	r.expect("/docs/", 200, "documents")
	r.expect("/docs", 301, "")
	if n := workersOfApp(r.status(), "pages"); n != 0 {
		t.Errorf("%d workers were started for files", n)
	}
	r.expect("/no/file", 200, "one |/no/file")
	r.expect("/", 200, "one |/")
	if a := r.do(http.MethodPost, "/robots.txt", "text/plain", strings.NewReader("x")); a.body != "one |/robots.txt" {
		t.Errorf("POST to a file's path: %d %q", a.status, a.body)
	}
	if n := workersOfApp(r.status(), "pages"); n != 1 {
		t.Errorf("%d workers for what is no file", n)
	}
}

// With root, which has a folder's files come first, programs still run: their text
// holds passwords.
func TestRootBeforePrograms(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "php-cgi")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "site", "index.php"), `<?php echo "front ", $_SERVER["REQUEST_URI"];`)
	write(t, filepath.Join(dir, "site", "config.php"), `<?php $password = "secret"; echo "run";`)
	write(t, filepath.Join(dir, "site", "style.css"), "body {}\n")
	r := serve(t, dir, configure(t, dir, `
[server]
listen = ["127.0.0.1:0"]
[app.php]
kind = "php"
target = "site"
workers = 1
[app.mixed]
kind = "folder"
target = "site"
workers = 1
[[route]]
path = "/mixed/"
app = "mixed"
root = "site"
[[route]]
app = "php"
root = "site"
index = ["index.php", "index.html"]
`)...)
	for _, base := range []string{"", "/mixed"} {
		r.expect(base+"/config.php", 200, "run")
		r.expect(base+"/", 200, "front "+base+"/")
		r.expect(base+"/style.css", 200, "body {}")
	}
	r.expect("/pretty", 200, "front /pretty")
}
