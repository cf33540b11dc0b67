package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// countingPerl raises the counter by the convention for every language.
const countingPerl = `#!/usr/bin/perl
use strict;
use FCGI;
use JSON::PP;
my %env;
my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env);
while ($request->Accept() >= 0) {
    my $session = decode_json($env{FRONTD_SESSION});
    print "Content-Type: text/plain\r\nFrontd-Session-Add: n=1\r\n\r\n", ($session->{n} // 0) + 1;
}
`

const doorsConfig = `
[server]
listen = ["127.0.0.1:0", "https://127.0.0.1:0", "fcgi+unix:%[1]s/fcgi.sock"]
[server.tls]
certificate = "cert.pem"
key = "key.pem"
[server.session]
enabled = true
file = "%[1]s/sessions.db"
[app.perl]
kind = "exec"
target = "%[1]s/count.pl"
workers = 2
[app.go]
kind = "go"
target = "%[2]s"
env = { PATH = "${PATH}" }
workers = 2
[[route]]
path = "/go/"
app = "go"
[[route]]
path = "/"
app = "perl"
`

// A counter in Perl and Go, by HTTPS and by FastCGI from a web server before us:
// from 50 clients at once none is lost, and a cookie for HTTP is none for HTTPS.
func TestSessionByEveryDoor(t *testing.T) {
	t.Parallel()
	counterpart.NeedRun(t, "perl's FCGI", "perl", "-MFCGI", "-MJSON::PP", "-e1")
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "count.pl"), countingPerl)
	cert := writeCertificate(t, dir, 1)
	program, err := exec.LookPath("counting")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, dir, configure(t, dir, fmt.Sprintf(doorsConfig, dir, program))...)
	secure := r.AwaitLine(`msg=listening address=(https://\S+)`, patience)[1]
	r.awaitServing("perl", 2)
	open(t, filepath.Join(dir, "fcgi.sock"))
	nginx := webServers[0].start(t, filepath.Join(dir, "fcgi.sock"))
	for _, door := range []struct {
		name, base string
		client     *http.Client
		cookie     string // how Set-Cookie begins
		secure     bool   // it is for TLS alone
	}{
		{"https", secure, trust(t, cert), "__Host-frontd_session=", true},
		{"nginx before it", nginx.url, nginx.client, "frontd_session=", false},
		{"http", r.url, r.client, "frontd_session=", false},
	} {
		client := *door.client
		client.Jar, _ = cookiejar.New(nil) // never an error
		p := &person{&running{t: t, url: door.base}, &client}
		resp, err := client.Get(door.base + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := resp.Header.Get("Set-Cookie")
		if !strings.HasPrefix(got, door.cookie) || strings.Contains(got, "; Secure") != door.secure || !strings.Contains(got, "; HttpOnly") {
			t.Errorf("%s: Set-Cookie is %q", door.name, got)
		}
		answered, failed := p.storm([]string{"/", "/go/"}, 4, func() {})
		if _, body := p.visit("/"); failed > 0 || body != strconv.Itoa(answered+2) {
			t.Errorf("%s: the counter is %s after %d answers, %d failed", door.name, body, answered+2, failed)
		}
	}
	checkPlanted(t, secure, trust(t, cert), r)
}

// checkPlanted sends by HTTPS the cookie of a session that came by HTTP, where
// anybody on the way can read and plant one: it opens nothing.
func checkPlanted(t *testing.T, secure string, client *http.Client, r *running) {
	t.Helper()
	resp, err := r.client.Get(r.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	req, err := http.NewRequest(http.MethodGet, secure+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range resp.Cookies() {
		req.AddCookie(c)
	}
	if resp, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || string(b) != "1" || !strings.HasPrefix(resp.Header.Get("Set-Cookie"), "__Host-") {
		t.Errorf("a session by HTTP, brought by HTTPS: %q, %v, %q", b, err, resp.Header.Get("Set-Cookie"))
	}
}

// One URL of an application takes 64 KiB and refuses what is larger unread; its
// neighbour takes a gigabyte.
func TestBodyBoundOfOneURL(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, `
[server]
listen = ["127.0.0.1:0"]
[app.demo]
kind = "demo"
workers = 1
max_body = "1GiB"
[[route]]
path = "= /echo"
app = "demo"
max_body = "64KiB"
[[route]]
path = "/"
app = "demo"
`)...)
	most := strings.Repeat("x", 64<<10)
	if a := r.do(http.MethodPost, "/echo", "text/plain", strings.NewReader(most)); a.status != http.StatusOK || a.body != most {
		t.Errorf("64 KiB: %d, %d bytes", a.status, len(a.body))
	}
	// Of one more byte the head alone is sent: who waited for the body would wait for ever.
	nc := r.dial()
	if _, err := fmt.Fprintf(nc, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(most)+1); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("one byte more: %v, %v", resp, err)
	}
	size := int64(64 << 20)
	if long() {
		size = 1 << 30
	}
	req, err := http.NewRequest(http.MethodPost, r.url+"/upload", io.LimitReader(nothing{}, size))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength, req.Method = size, http.MethodPut
	if resp, err = r.client.Do(req); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(b), strconv.FormatInt(size, 10)) {
		t.Errorf("%d bytes for the neighbour: %d %.200q, %v", size, resp.StatusCode, b, err)
	}
}
