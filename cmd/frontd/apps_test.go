package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestDemo(t *testing.T) {
	t.Parallel()
	r := serve(t, counterpart.Dir(t), "-w", "2")
	p := plainPages
	p.fields = true
	r.site().check(p)
}

func needFlask(t testing.TB) {
	counterpart.NeedRun(t, "python3's flask", "python3", "-c", "import flask")
}

func TestFlask(t *testing.T) {
	t.Parallel()
	needFlask(t)
	dir := counterpart.Dir(t)
	copyApp(t, "flask", dir)
	r := serve(t, dir, "wsgi:app:app", "-w", "2", "--threads", "4")
	if got := r.get("/").body; !strings.HasPrefix(got, "flask ") {
		t.Errorf("the page is %q", got)
	}
	r.site().check(plainPages)
	if a := r.get("/error"); a.status != http.StatusInternalServerError {
		t.Errorf("an exception: status %d", a.status)
	}
	r.AwaitLine(`ValueError: an error of the application`, patience)
}

// sitePages are the PHP site's.
var sitePages = pages{form: "/form.php", checksum: "/checksum.php", upload: "/upload.php", download: "/download.php"}

// layPHP lays the PHP site down in dir.
func layPHP(t testing.TB, dir string) {
	t.Helper()
	counterpart.Find(t, "php-cgi")
	copyApp(t, "site", filepath.Join(dir, "site"))
	if err := os.Mkdir(filepath.Join(dir, "sessions"), 0o777); err != nil {
		t.Fatal(err)
	}
}

func servePHP(t testing.TB) *running {
	t.Helper()
	dir := counterpart.Dir(t)
	layPHP(t, dir)
	return serve(t, dir, "./site", "-w", "2")
}

func TestPHP(t *testing.T) {
	t.Parallel()
	r := servePHP(t)
	r.AwaitLine(`detected .*index.php: PHP`, patience)
	s := r.site()
	s.checkForm(sitePages)
	s.checkUpload(sitePages.upload)
	s.checkDownload(sitePages.download, bulk)
	s.checkBody(sitePages.checksum, 0, false)
	if got := s.do(http.MethodGet, "/form.php/more/info?name=n&text=t", "", nil).body; !strings.Contains(got, "info=/more/info") {
		t.Errorf("PATH_INFO: %q", got)
	}
	css := s.do(http.MethodGet, "/css/style.css", "", nil)
	if css.body != "body { color: black }\n" || !strings.HasPrefix(css.header.Get("Content-Type"), "text/css") {
		t.Errorf("the style sheet is %q, %s", css.body, css.header.Get("Content-Type"))
	}
	if a := s.do(http.MethodGet, "/no/such/page", "", nil); !strings.Contains(a.body, "uri=/no/such/page") {
		t.Errorf("the front controller got %q", a.body)
	}
	if a := r.get("/error.php"); a.status != http.StatusInternalServerError {
		t.Errorf("an exception: status %d, %q", a.status, a.body)
	}
	r.AwaitLine(`told to the log.*app=`, patience)
	r.AwaitLine(`RuntimeException: an error of the application`, patience)
}

// PHP_SELF is the script's URL with PATH_INFO behind it, as behind Apache, and
// what was uploaded is no script, whatever stands behind its name.
func TestPHPNames(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	counterpart.Find(t, "php-cgi")
	write(t, filepath.Join(dir, "site", "self.php"),
		`<?php echo "self=$_SERVER[PHP_SELF] script=$_SERVER[SCRIPT_NAME] file=", basename(__FILE__);`)
	write(t, filepath.Join(dir, "site", "index.php"), `<?php echo "front self=$_SERVER[PHP_SELF]";`)
	write(t, filepath.Join(dir, "site", "up.jpg"), `<?php echo "an upload runs";`)
	r := serve(t, dir, "./site", "-w", "1")
	for target, want := range map[string]string{
		"/self.php":          "self=/self.php script=/self.php file=self.php",
		"/self.php/a/b%20c":  "self=/self.php/a/b c script=/self.php file=self.php",
		"/":                  "front self=/index.php",
		"/no/such":           "front self=/index.php",
		"/up.jpg/x.php":      "front self=/index.php",
		"/up.jpg/x.php/y":    "front self=/index.php",
		"/up.jpg/self.php/y": "front self=/index.php",
	} {
		if a := r.get(target); a.body != want {
			t.Errorf("%s: %q, want %q", target, a.body, want)
		}
	}
}

// A body without a length is spooled for PHP, which would drop it otherwise.
func TestPHPBodies(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	layPHP(t, dir)
	// PHP's own default takes no body above 8 MiB.
	write(t, filepath.Join(dir, "conf", "limits.ini"), "post_max_size=64M\n")
	r := serve(t, dir, configure(t, dir, `
[server]
listen = ["127.0.0.1:0"]
[app.site]
kind = "php"
target = "site"
workers = 2
env = { PHP_INI_SCAN_DIR = ":`+filepath.Join(dir, "conf")+`" }
[[route]]
path = "/"
app = "site"
`)...)
	s := r.site()
	for _, size := range []int{1, 70_000, bulk} {
		s.checkBody(sitePages.checksum, size, false)
		s.checkBody(sitePages.checksum, size, true)
	}
	a := s.do(http.MethodPost, sitePages.checksum, "text/plain", struct{ *strings.Reader }{strings.NewReader("abc")})
	if !strings.Contains(a.body, `"length":"3"`) {
		t.Errorf("CONTENT_LENGTH of a chunked body of 3: %s", a.body)
	}
}

func TestPHPSession(t *testing.T) {
	t.Parallel()
	r := servePHP(t)
	first := r.get("/")
	cookie, _, _ := strings.Cut(first.header.Get("Set-Cookie"), ";")
	if !strings.Contains(first.body, "visits=1") || cookie == "" {
		t.Fatalf("first visit: %q, cookie %q", first.body, cookie)
	}
	for n := 2; n <= 5; n++ {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", cookie)
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		resp.Body.Close()
		if !strings.Contains(b.String(), "visits="+itoa(n)) {
			t.Errorf("visit %d: %q", n, b.String())
		}
	}
}

func TestExecGo(t *testing.T) {
	t.Parallel()
	r := serve(t, counterpart.Dir(t), "exec:gofcgi", "-w", "2")
	r.site().check(plainPages)
}

func TestExecPerl(t *testing.T) {
	t.Parallel()
	counterpart.NeedRun(t, "perl's FCGI", "perl", "-MFCGI", "-e1")
	dir := counterpart.Dir(t)
	copyApp(t, "perl", dir)
	r := serve(t, dir, "exec:perl app.pl", "-w", "2")
	p := plainPages
	p.upload = ""
	s := r.site()
	s.checkForm(p)
	s.checkBody(p.checksum, bulk, false)
	s.checkDownload(p.download, bulk)
	if a := r.get("/nothing"); a.status != http.StatusNotFound {
		t.Errorf("status %d", a.status)
	}
	r.AwaitLine(`^no page /nothing \[app=`, patience)
}

func TestExecC(t *testing.T) {
	t.Parallel()
	counterpart.Need(t, "/usr/include/fcgi_stdio.h")
	cc := counterpart.Find(t, "cc")
	dir := counterpart.Dir(t)
	out, err := exec.CommandContext(t.Context(), cc, "-O2", "-Wall", "-o", filepath.Join(dir, "echo"), "testdata/apps/c/echo.c", "-lfcgi").CombinedOutput()
	if err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	r := serve(t, dir, "./echo", "-w", "2") // detected
	data := pattern(bulk)
	a := r.do(http.MethodPost, "/?q=1", "application/octet-stream", bytes.NewReader(data))
	if a.header.Get("X-Query") != "q=1" || a.body != string(data) {
		t.Errorf("X-Query %q, %d bytes came back, sha256 %s, want %s", a.header.Get("X-Query"), len(a.body), sumOf([]byte(a.body)), sumOf(data))
	}
}

func TestCGI(t *testing.T) {
	t.Parallel()
	counterpart.Find(t, "perl")
	dir := counterpart.Dir(t)
	copyApp(t, "cgi", filepath.Join(dir, "bin"))
	r := serve(t, dir, "cgi:"+filepath.Join(dir, "bin"), "-w", "2")
	p := plainPages
	p.upload = ""
	r.site().check(p)
	if a := r.get("/form/more/info?name=n&text=t"); !strings.Contains(a.body, "script=/form info=/more/info") {
		t.Errorf("status %d, %q", a.status, a.body)
	}
	write(t, filepath.Join(dir, "bin", "where"), "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s' \"$DOCUMENT_ROOT\" \"$PATH_TRANSLATED\"\n")
	if a, want := r.get("/where/a/b"), dir+" "+dir+"/a/b"; a.body != want { // its folder is the working directory
		t.Errorf("DOCUMENT_ROOT and PATH_TRANSLATED are %q, want %q", a.body, want)
	}
	if a, want := r.get("/where"), dir+" "; a.body != want {
		t.Errorf("without PATH_INFO they are %q, want %q", a.body, want)
	}
	if a := r.get("/nothing"); a.status != http.StatusNotFound {
		t.Errorf("a program that is not there: status %d", a.status)
	}
}
