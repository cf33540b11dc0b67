package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// imported makes a configuration of another system's, which has to pass frontd
// check without a word, and serves it on a free port.
func imported(t *testing.T, dir, system, source string) *running {
	t.Helper()
	write(t, filepath.Join(dir, "source"), strings.ReplaceAll(source, "DIR", dir))
	for _, args := range [][]string{{"import", system, "source", "-o", "frontd.toml"}, {"check", "-c", "frontd.toml"}} {
		var out strings.Builder
		cmd := command(t, dir, args...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(filepath.Join(dir, "frontd.toml")) // may not be there
			t.Fatalf("frontd %s: %v\n%s\n%s", strings.Join(args, " "), err, out.String(), text)
		}
	}
	return serve(t, dir, "-c", "frontd.toml", "-l", "127.0.0.1:0")
}

// unitSite has each action of Unit's that a route here can do, and a PHP site
// as its documentation has WordPress.
const unitSite = `{
"listeners": {"127.0.0.1:0": {"pass": "routes/main"}},
"routes": {
  "main": [
    {"match": {"host": "old.example.com"}, "action": {"return": 308, "location": "https://$host$request_uri"}},
    {"match": {"host": "python.example.com"}, "action": {"share": "DIR/public$uri", "fallback": {"pass": "applications/python"}}},
    {"match": {"uri": "/gone/*"}, "action": {"return": 410}},
    {"match": {"uri": "/v1/*"}, "action": {"rewrite": "/legacy", "pass": "applications/python"}},
    {"match": {"uri": "/short"}, "action": {"rewrite": "/long/way", "pass": "routes/inner"}},
    {"match": {"uri": "/spa/*"}, "action": {"share": "DIR/public$uri", "fallback": {"share": "DIR/public/spa/index.html"}}},
    {"match": {"uri": "/notice"}, "action": {"share": "DIR/public/notice.html", "response_headers": {"Cache-Control": "max-age=60"}}},
    {"match": {"uri": "/cms/*"}, "action": {"pass": "applications/cms"}},
    {"match": {"uri": ["*.php", "*.php/*", "/wp-admin/"]}, "action": {"pass": "applications/blog/direct"}},
    {"action": {"share": "DIR/blog$uri", "fallback": {"pass": "applications/blog/index"}}}
  ],
  "inner": [
    {"match": {"uri": "/short"}, "action": {"return": 500}},
    {"match": {"uri": "/long/*"}, "action": {"pass": "applications/python"}}
  ]
},
"applications": {
  "python": {"type": "python", "path": "DIR", "module": "pages", "processes": 1},
  "cms": {"type": "php", "root": "DIR/blog", "script": "app.php", "processes": 1},
  "blog": {"type": "php", "processes": 1, "targets": {"direct": {"root": "DIR/blog"}, "index": {"root": "DIR/blog", "script": "index.php"}}}
}}`

// What Unit's configuration says is what is served.
func TestImportedUnit(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "php-cgi")
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	where := `<?php echo basename(__FILE__), " $_SERVER[SCRIPT_NAME] $_SERVER[REQUEST_URI]";`
	for name, text := range map[string]string{
		"pages.py": page, "public/robots.txt": "robots", "public/notice.html": "a notice", "public/spa/index.html": "spa", "public/spa/a.js": "script",
		"blog/index.php": where, "blog/app.php": where, "blog/wp-login.php": where, "blog/wp-admin/index.php": where, "blog/style.css": "style",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	r := imported(t, dir, "unit", unitSite)
	r.expect("/gone/x", 410, "")
	r.expect("/v1/anything?a=b", 200, "one |/legacy")
	r.expect("/short", 200, "one |/long/way")
	r.expect("/spa/a.js", 200, "script")
	r.expect("/spa/some/view", 200, "spa")
	r.expect("/notice", 200, "a notice")
	if a := r.get("/notice"); a.header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("the notice's header: %v", a.header)
	}
	r.expect("/cms/page?x=1", 200, "app.php /app.php /cms/page?x=1")
	r.expect("/cms/style.css", 200, "app.php /app.php /cms/style.css")
	r.expect("/", 200, "index.php /index.php /")
	r.expect("/2026/11/hello/", 200, "index.php /index.php /2026/11/hello/")
	r.expect("/style.css", 200, "style")
	r.expect("/wp-login.php", 200, "wp-login.php /wp-login.php")
	r.expect("/wp-admin/", 200, "index.php /wp-admin/index.php")
	r.expect("/none.php", 404, "")
	if a := r.host("old.example.com", "/a%20b?c=d"); a.status != http.StatusPermanentRedirect || a.header.Get("Location") != "https://old.example.com/a%20b?c=d" {
		t.Errorf("redirect: %d to %q", a.status, a.header.Get("Location"))
	}
	for target, want := range map[string]string{"/robots.txt": "robots", "/a/b": "one |/a/b"} {
		if a := r.host("python.example.com", target); a.status != 200 || a.body != want {
			t.Errorf("files before Python, %s: %d %q", target, a.status, a.body)
		}
	}
}

// php-fpm's limit_extensions decides what runs, and nothing else is shown.
func TestImportedPHPFPM(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "php-cgi")
	dir := counterpart.Dir(t)
	for _, name := range []string{"index.php", "old.phtml", "x.php5"} {
		write(t, filepath.Join(dir, "www", name), `<?php echo "ran ", $_SERVER["SCRIPT_NAME"];`)
	}
	r := imported(t, dir, "php-fpm", "[www]\npm = static\npm.max_children = 1\nchdir = DIR/www\nsecurity.limit_extensions = .php .phtml\n")
	r.expect("/old.phtml/info", 200, "ran /old.phtml")
	r.expect("/x.php5", 200, "ran /index.php")
	r.expect("/pretty", 200, "ran /index.php")
}
