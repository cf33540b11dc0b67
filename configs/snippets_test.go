package configs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A webServer is a program that a snippet is for.
type webServer struct {
	name    string
	snippet string
	// port and socket are how the snippet writes what the test replaces.
	port, portBy     string // %d in portBy is the port
	socket, socketBy string // %s in socketBy is the path
	// config makes a whole configuration of the snippet, in the folder dir.
	config func(t *testing.T, dir, snippet string) string
	args   func(config string) []string
	ready  *regexp.Regexp // a line of its log, once it listens
	// noLength is the CONTENT_LENGTH of a body that came in chunks, where the
	// program neither collects it nor refuses it.
	noLength string
}

const frontdSocket = "/run/frontd/fcgi.sock"

var webServers = []webServer{
	{
		name: "nginx", snippet: "nginx/frontd.conf",
		port: "listen 8080;", portBy: "listen 127.0.0.1:%d;",
		config: nginxConfig,
		args:   func(config string) []string { return []string{"-c", config, "-p", filepath.Dir(config)} },
		ready:  regexp.MustCompile(`start worker processes`),
	},
	{
		name: "apache2", snippet: "apache/frontd.conf",
		port: "Define FRONTD_PORT 8080", portBy: "Define FRONTD_PORT %d",
		config: apacheConfig,
		args:   func(config string) []string { return []string{"-DFOREGROUND", "-f", config} },
		ready:  regexp.MustCompile(`resuming normal operations`),
	},
	{
		name: "caddy", snippet: "caddy/Caddyfile",
		port: ":8080 {", portBy: "http://:%d {\n\tbind 127.0.0.1",
		config: caddyConfig,
		args:   func(config string) []string { return []string{"run", "--adapter", "caddyfile", "--config", config} },
		ready:  regexp.MustCompile(`serving initial configuration`),

		noLength: "-1", // Go's ContentLength of a body without one
	},
	{
		name: "lighttpd", snippet: "lighttpd/frontd.conf",
		port: "frontd_port = 8080", portBy: "frontd_port = %d\nserver.bind = \"127.0.0.1\"",
		config: lighttpdConfig,
		args:   func(config string) []string { return []string{"-D", "-f", config} },
		ready:  regexp.MustCompile(`server started`),
	},
}

func nginxConfig(t *testing.T, dir, snippet string) string {
	copyFile(t, "nginx/frontd_fastcgi_params", filepath.Join(dir, "frontd_fastcgi_params"))
	return fmt.Sprintf(`daemon off; master_process on; worker_processes 1; pid %[1]s/pid; error_log stderr notice;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path %[1]s/body; fastcgi_temp_path %[1]s/fcgi;
  proxy_temp_path %[1]s/proxy; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
%[2]s
}`, dir, snippet)
}

func apacheConfig(t *testing.T, dir, snippet string) string {
	modules := ""
	for _, m := range []string{"mpm_event", "authz_core", "setenvif", "headers", "proxy", "proxy_fcgi"} {
		modules += fmt.Sprintf("LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	snippet = strings.Replace(snippet, "Listen ${", "Listen 127.0.0.1:${", 1)
	return fmt.Sprintf(`%[1]sServerRoot %[2]s
DefaultRuntimeDir %[2]s
Mutex file:%[2]s
PidFile %[2]s/pid
ServerName test.example
ErrorLog "|/bin/cat"
%[3]s`, modules, dir, snippet)
}

func caddyConfig(_ *testing.T, _, snippet string) string {
	return "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + snippet
}

func lighttpdConfig(_ *testing.T, dir, snippet string) string {
	return fmt.Sprintf("%s\nserver.upload-dirs = ( %q )\n", snippet, dir)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSnippets(t *testing.T) {
	for _, s := range webServers {
		t.Run(s.name, func(t *testing.T) {
			base := startServer(t, s)
			for _, c := range requests {
				t.Run(c.name, func(t *testing.T) { c.send(t, base, s.noLength, &http.Transport{DisableKeepAlives: true}) })
			}
		})
	}
}

// A request and what frontd must see of it.
type request struct {
	name   string
	method string
	target string
	header map[string]string
	body   []byte
	chunks bool // sent without a length
	https  bool
	want   map[string]string
}

var form = []byte("name=J%C3%BCrgen&text=a+b%26c")

var requests = []request{
	{name: "root", target: "/", want: map[string]string{"PATH_INFO": "/", "REQUEST_URI": "/"}},
	{
		name: "path and query", target: "/a/b?x=1&y=%20z&y=/..",
		want: map[string]string{"PATH_INFO": "/a/b", "QUERY_STRING": "x=1&y=%20z&y=/..", "REQUEST_URI": "/a/b?x=1&y=%20z&y=/.."},
	},
	{
		name: "path with a space and letters beyond ASCII", target: "/with%20space/%C3%A9t%C3%A9",
		want: map[string]string{"PATH_INFO": "/with space/été", "REQUEST_URI": "/with%20space/%C3%A9t%C3%A9"},
	},
	{name: "path with a final slash", target: "/folder/", want: map[string]string{"PATH_INFO": "/folder/"}},
	{name: "path that looks like a script", target: "/index.php/x", want: map[string]string{"PATH_INFO": "/index.php/x"}},
	{name: "encoded slash", target: "/a%2Fb", want: map[string]string{"REQUEST_URI": "/a%2Fb"}},
	{
		name: "encoded percent, question mark, plus and hash", target: "/100%25%3Fx+y%23z?q",
		want: map[string]string{"PATH_INFO": "/100%?x+y#z", "QUERY_STRING": "q", "REQUEST_URI": "/100%25%3Fx+y%23z?q"},
	},
	{
		name: "form", method: "POST", target: "/form", body: form,
		header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		want:   map[string]string{"CONTENT_TYPE": "application/x-www-form-urlencoded", "PATH_INFO": "/form"},
	},
	{name: "upload of 5 MB", method: "PUT", target: "/upload", body: noise(5 << 20)},
	{name: "upload in chunks", method: "POST", target: "/upload", body: noise(300 << 10), chunks: true},
	{
		name: "credentials", target: "/", header: map[string]string{"Authorization": "Bearer abc"},
		want: map[string]string{"HTTP_AUTHORIZATION": "Bearer abc"},
	},
	{
		name: "httpoxy", target: "/", header: map[string]string{"Proxy": "http://evil.example:1"},
		want: map[string]string{"HTTP_PROXY": ""},
	},
	{
		name: "script name in a header", target: "/x", header: map[string]string{"Script-Name": "/evil", "X-Path-Info": "/evil"},
		want: map[string]string{"PATH_INFO": "/x"},
	},
}

// noise is n bytes that hold every value, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func (c request) send(t *testing.T, base, noLength string, transport *http.Transport) {
	method := c.method
	if method == "" {
		method = "GET"
	}
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	if c.chunks {
		body = io.MultiReader(body) // hides the length
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+c.target, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	client := http.Client{Transport: transport, Timeout: 2 * time.Minute}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got seen
	if err := json.Unmarshal(raw, &got); err != nil || answer.StatusCode != 200 {
		t.Fatalf("status %s, body %.300q: %v", answer.Status, raw, err)
	}
	length := strconv.Itoa(len(c.body))
	if c.chunks && noLength != "" {
		length = noLength
	}
	c.compare(t, method, length, got)
}

func (c request) compare(t *testing.T, method, length string, got seen) {
	want := map[string]string{
		"REQUEST_METHOD": method, "SCRIPT_NAME": "", "REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1",
	}
	if _, query, has := strings.Cut(c.target, "?"); !has || query != "" {
		want["QUERY_STRING"] = query
	}
	if c.body != nil {
		want["CONTENT_LENGTH"] = length
	}
	for name, value := range c.want {
		want[name] = value
	}
	for name, value := range want {
		if got.Env[name] != value {
			t.Errorf("%s is %q, want %q", name, got.Env[name], value)
		}
	}
	if https := got.Env["HTTPS"]; !c.https && https != "" && https != "off" {
		t.Errorf("HTTPS is %q on a plain connection", https)
	}
	if port, err := strconv.Atoi(got.Env["REMOTE_PORT"]); err != nil || port == 0 {
		t.Errorf("REMOTE_PORT is %q", got.Env["REMOTE_PORT"])
	}
	sum := sha256.Sum256(c.body)
	if got.Size != len(c.body) || got.Sha256 != hex.EncodeToString(sum[:]) {
		t.Errorf("a body of %d bytes, sha256 %s; sent %d, %x", got.Size, got.Sha256, len(c.body), sum)
	}
	if t.Failed() {
		t.Logf("all of it: %q", got.Env)
	}
}

// listenFrontd listens where the web server will look for frontd.
func listenFrontd(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "fcgi.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // the folder is private
		t.Fatal(err)
	}
	startResponder(t, l)
	return path
}
