package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// startFPM runs a php-fpm with a configuration of its own and returns the
// paths of its socket and of the PHP site.
func startFPM(t testing.TB) (socket, root string) {
	t.Helper()
	program := counterpart.Find(t, "php-fpm", "php-fpm[0-9]*")
	dir := counterpart.Dir(t)
	root = filepath.Join(dir, "site")
	copyApp(t, "site", root)
	if err := os.Mkdir(filepath.Join(dir, "sessions"), 0o777); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "fpm.sock")
	write(t, filepath.Join(dir, "fpm.conf"), fmt.Sprintf(`[global]
error_log = %s
daemonize = no
[www]
listen = %s
pm = static
pm.max_children = 2
`, filepath.Join(dir, "fpm.log"), socket)) // not stderr: another user may not open it
	attr := unprivileged(t, dir)
	if attr != nil {
		if err := os.Chown(filepath.Join(dir, "sessions"), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-n", "-F", "-y", filepath.Join(dir, "fpm.conf"),
		"-d", "post_max_size=64M", "-d", "upload_max_filesize=64M", "-d", "log_errors=1")
	cmd.Dir = dir
	cmd.SysProcAttr = attr
	p := counterpart.Start(t, cmd)
	counterpart.AwaitDial(t, "unix", socket, p)
	return socket, root
}

// frontd before a php-fpm that it did not start.
func TestFPM(t *testing.T) {
	t.Parallel()
	socket, root := startFPM(t)
	dir := counterpart.Dir(t)
	r := serve(t, dir, "fcgi:unix:"+socket, "--threads", "2")
	// Without a document root php-fpm knows no script.
	if a := r.get("/index.php"); a.status != http.StatusNotFound {
		t.Errorf("without SCRIPT_FILENAME: status %d, %.200q", a.status, a.body)
	}
	out, err := command(t, dir, "request", "unix:"+socket, "/form.php?name=N&text=T", "-p", "SCRIPT_FILENAME="+filepath.Join(root, "form.php")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "name=N text=T method=GET") || !strings.Contains(string(out), "application status 0") {
		t.Errorf("frontd request: %v\n%s", err, out)
	}
	out, err = command(t, dir, "request", "unix:"+socket, "/checksum.php", "-d", "abc", "-p", "SCRIPT_FILENAME="+filepath.Join(root, "checksum.php")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), sumOf([]byte("abc"))) || !strings.Contains(string(out), `"length":"3"`) {
		t.Errorf("frontd request with a body: %v\n%s", err, out)
	}
}

// A FastCGI server that is not there is told apart from a worker that died.
func TestFPMUnreachable(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, "fcgi:unix:"+dir+"/none.sock")
	a := r.get("/x")
	if a.status != http.StatusBadGateway || !strings.Contains(a.body, "upstream-unreachable") {
		t.Errorf("status %d, %q", a.status, a.body)
	}
}

// frontd request speaks to a Perl worker, whose streams it keeps apart.
func TestRequestPerl(t *testing.T) {
	t.Parallel()
	counterpart.NeedRun(t, "perl's FCGI", "perl", "-MFCGI", "-e1")
	dir := counterpart.Dir(t)
	copyApp(t, "perl", dir)
	socket := "unix:" + runPool(t, dir, 2, "exec:perl app.pl")
	var stdout, stderr strings.Builder
	cmd := command(t, dir, "request", socket, "/nothing")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if !strings.HasPrefix(stdout.String(), "Status: 404 Not Found\r\n") || strings.Contains(stdout.String(), "/nothing") {
		t.Errorf("stdout is %q", stdout.String())
	}
	if !strings.HasPrefix(stderr.String(), "no page /nothing\n# ended: ") {
		t.Errorf("stderr is %q", stderr.String())
	}
	data := filepath.Join(dir, "body")
	write(t, data, string(pattern(bulk)))
	out, err := command(t, dir, "request", socket, "/checksum", "-X", "PUT", "-d", "@"+data).CombinedOutput()
	if err != nil || !strings.Contains(string(out), sumOf(pattern(bulk))) {
		t.Errorf("20 MB: %v\n%s", err, out)
	}
}

// In a folder with index.php, the folder is php-fpm's document root: pages,
// forms, uploads and files as with workers of our own.
func TestFPMSite(t *testing.T) {
	t.Parallel()
	socket, root := startFPM(t)
	r := serve(t, root, "fcgi:unix:"+socket)
	r.AwaitLine(`detected .*document root`, patience)
	s := r.site()
	s.checkForm(sitePages)
	s.checkUpload(sitePages.upload)
	s.checkDownload(sitePages.download, bulk)
	for _, chunked := range []bool{false, true} {
		s.checkBody(sitePages.checksum, bulk, chunked)
	}
	if css := s.do(http.MethodGet, "/css/style.css", "", nil); css.body != "body { color: black }\n" {
		t.Errorf("the style sheet is %q", css.body)
	}
	if a := s.do(http.MethodGet, "/no/such/page", "", nil); !strings.Contains(a.body, "uri=/no/such/page") {
		t.Errorf("the front controller got %q", a.body)
	}
}
