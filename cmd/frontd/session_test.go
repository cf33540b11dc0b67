package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
	"github.com/frontd/frontd/worker"
	"github.com/frontd/frontd/worker/session"
)

// counting is a Go application that raises a counter of the session.
func counting() {
	err := worker.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		if r.URL.Path == "/go/kill" {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		if err := s.Add("n", 1); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%d", s.Int("n"))
	}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const sessionApps = `
[server]
listen = ["%s"]
control = "%s"
queue = { timeout = "1m" }
[server.session]
enabled = true
file = "%s"
%s
[app.flask]
kind = "wsgi"
target = "shared:app"
directory = "%s"
workers = 2
threads = 4
[app.php]
kind = "php"
target = "%s"
workers = 2
[app.go]
kind = "go"
target = "%s"
env = { PATH = "${PATH}" }
workers = 2
[[route]]
path = "/php/"
app = "php"
[[route]]
path = "/go/"
app = "go"
[[route]]
path = "/none/"
app = "flask"
session = { enabled = false }
[[route]]
path = "/"
app = "flask"
`

const sharedFlask = `
from flask import Flask, request
app = Flask(__name__)

@app.get("/begin")
def begin():
    s = request.environ["frontd.session"]
    s["n"] = 0
    s["name"] = "Zo\u00eb \U0001f600"
    return "begun"

@app.get("/count")
def count():
    return str(request.environ["frontd.session"].incr("n"))

@app.get("/login")
def login():
    request.environ["frontd.session"].renew()
    return "in"

@app.get("/logout")
def logout():
    request.environ["frontd.session"].clear()
    return "out"

@app.get("/big")
def big():
    request.environ["frontd.session"]["big"] = "x" * 20000
    return "too much"

@app.get("/raw")
def raw():
    # An application that writes the fields by itself, out of what a user sent.
    return "raw", 200, {"Frontd-Session-Set": request.args["set"]}

@app.get("/none/raw")
def none():
    assert "frontd.session" not in request.environ
    return "none", 200, {"Frontd-Session-Set": "n=7", "Frontd-Session-Clear": "1"}

@app.get("/cookies")
def cookies():
    return request.environ.get("HTTP_COOKIE", "") + "|" + request.environ.get("HTTP_FRONTD_SESSION_SET", "")
`

const sharedPHP = `<?php
$s = json_decode($_SERVER['FRONTD_SESSION'], true);
header('Frontd-Session-Set: ' . rawurlencode('php') . '=' . rawurlencode(json_encode(["seen" => $s['n'] ?? null])), false);
header('Frontd-Session-Add: n=1', false);
echo json_encode($s + ["id" => $_SERVER['FRONTD_SESSION_ID'] ?? null]);
`

// sharing serves the same session to three languages.
func sharing(t *testing.T, more string) (r *running, restart func()) {
	t.Helper()
	needFlask(t)
	counterpart.Find(t, "php-cgi")
	dir := counterpart.Dir(t)
	site := filepath.Join(dir, "site")
	program, err := exec.LookPath("counting")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "shared.py"), sharedFlask)
	write(t, filepath.Join(site, "n.php"), sharedPHP)
	start := func(listen string) *running {
		text := fmt.Sprintf(sessionApps, listen, filepath.Join(dir, "control.sock"), filepath.Join(dir, "sessions.db"), more, dir, site, program)
		return serve(t, dir, configure(t, dir, text)...)
	}
	r = start(fmt.Sprintf("127.0.0.1:%d", counterpart.FreePort(t))) // for a restart: nobody else takes it meanwhile
	return r, func() {
		t.Helper()
		next := start(strings.TrimPrefix(r.url, "http://")) // cookies are for a host, whatever its port
		r.Process, r.url = next.Process, next.url
	}
}

// A person has a browser.
type person struct {
	*running
	browser *http.Client
}

func newPerson(r *running) *person {
	jar, _ := cookiejar.New(nil) // never an error
	client := *r.client
	client.Jar = jar
	return &person{r, &client}
}

func (p *person) visit(path string) (status int, body string) {
	p.t.Helper()
	status, body, err := p.tryVisit(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return status, body
}

func (p *person) tryVisit(path string) (status int, body string, err error) {
	resp, err := p.browser.Get(p.url + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// stored is what PHP reads; it raises the counter, too.
func (p *person) stored() (s struct {
	N    int
	Name string
	ID   string
}) {
	p.t.Helper()
	status, body := p.visit("/php/n.php")
	if err := json.Unmarshal([]byte(body), &s); err != nil || status != http.StatusOK {
		p.t.Fatalf("%d %q: %v", status, body, err)
	}
	return s
}

// storm raises the counter from 50 clients at once and returns how many were
// answered, and how many failed, of whom nobody knows whether they counted.
func (p *person) storm(paths []string, each int, meanwhile func()) (answered, failed int) {
	var ok, bad atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { // waited for below
			for j := range each {
				status, _, err := p.tryVisit(paths[(i+j)%len(paths)])
				if err == nil && status == http.StatusOK {
					ok.Add(1)
				} else {
					bad.Add(1)
				}
			}
		})
	}
	meanwhile()
	wg.Wait()
	return int(ok.Load()), int(bad.Load())
}

// A counter that Flask begins, PHP reads and all three raise, from 50 clients at
// once, across the death of workers, reload, the death of frontd and restart.
func TestSessionIsShared(t *testing.T) {
	t.Parallel()
	r, restart := sharing(t, "")
	p := newPerson(r)
	if _, body := p.visit("/begin"); body != "begun" {
		t.Fatal(body)
	}
	if s := p.stored(); s.N != 0 || s.Name != "Zoë 😀" || s.ID == "" {
		t.Errorf("PHP reads %+v", s)
	}
	counted := 1
	// Each client's last answer may be the one that a kill took: it may count or not.
	check := func(what string, answered, failed int) {
		t.Helper()
		n := p.stored().N
		if n < counted+answered || n > counted+answered+failed {
			t.Errorf("%s: counted %d, want %d, and at most %d more", what, n, counted+answered, failed)
		}
		t.Logf("%s: %d answered, %d failed, %d counted", what, answered, failed, n-counted)
		counted = n + 1
	}
	paths := []string{"/count", "/go/", "/php/n.php", "/go/"}
	answered, failed := p.storm(paths, 8, func() {})
	if failed > 0 {
		t.Errorf("%d requests failed without a reason", failed)
	}
	check("50 clients", answered, failed)

	answered, failed = p.storm(paths, 8, func() {
		for range 4 {
			p.tryVisit("/go/kill")
		}
	})
	check("killed workers", answered, failed)
	for _, app := range []string{"flask", "php", "go"} {
		r.awaitServing(app, 2) // a request that waits for a pause between starts may wait in vain
	}

	answered, failed = p.storm(paths, 8, func() {
		if out, err := r.command("reload"); err != nil {
			t.Errorf("reload: %v\n%s", err, out)
		}
	})
	if failed > 0 {
		t.Errorf("%d requests failed in a reload", failed)
	}
	check("reload", answered, failed)

	answered, failed = p.storm(paths, 4, func() {
		r.Signal(syscall.SIGKILL)
		r.AwaitExit(patience)
	})
	restart()
	check("kill -9 of frontd", answered, failed)

	r.Signal(syscall.SIGTERM)
	r.AwaitExit(patience)
	restart()
	check("restart", 0, 0)
}

// The same over an upgrade: two daemons with one file.
func TestSessionOverUpgrade(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "n"), "#!/bin/sh\nprintf 'Frontd-Session-Add: n=1\\n\\n%s' \"$FRONTD_SESSION\"\n")
	if err := os.Chmod(filepath.Join(dir, "n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
[server]
listen = ["127.0.0.1:0"]
[log]
access = false
[app.cgi]
kind = "cgi"
target = "%s"
workers = 4
session = { enabled = true, file = "%s" }
`, filepath.Join(dir, "n"), filepath.Join(dir, "s.db"))
	r, _ := upgradable(t, configure(t, dir, text)...)
	r.url = r.AwaitLine(`msg=listening address=(http://\S+)`, patience)[1]
	p := newPerson(r)
	p.visit("/")
	pid := r.PID()
	answered, failed := p.storm([]string{"/"}, 10, func() { r.upgrade() })
	awaitGone(t, pid)
	if failed > 0 {
		t.Errorf("%d requests failed in an upgrade", failed)
	}
	if _, body := p.visit("/"); body != `{"n":`+strconv.Itoa(answered+1)+`}` {
		t.Errorf("the session is %s after %d requests", body, answered+1)
	}
}

func TestSessionBounds(t *testing.T) {
	t.Parallel()
	r, _ := sharing(t, "")
	p := newPerson(r)
	resp := r.get("/cookies")
	if c := resp.header.Get("Set-Cookie"); c != "" || resp.header.Get("Vary") != "Cookie" {
		t.Errorf("who stores nothing gets %q, Vary %q", c, resp.header.Get("Vary"))
	}
	resp = r.get("/begin")
	if c := resp.header.Get("Set-Cookie"); !strings.HasPrefix(c, "frontd_session=") || !strings.Contains(c, "; HttpOnly; SameSite=Lax") ||
		resp.header.Get("Cache-Control") != "private" {
		t.Errorf("Set-Cookie %q, Cache-Control %q", c, resp.header.Get("Cache-Control"))
	}
	for name := range resp.header {
		if strings.HasPrefix(name, "Frontd-") {
			t.Errorf("the client gets %s", name)
		}
	}
	p.visit("/begin")
	for _, path := range []string{"/big", "/raw?set=n", "/raw?set=n={", "/raw?set=%25zz=1"} {
		if status, _ := p.visit(path); status != http.StatusBadGateway {
			t.Errorf("%s: status %d, want 502", path, status)
		}
	}
	r.AwaitLine(`/big HTTP.* cause=bad-response`, patience)
	if status, body := p.visit("/none/raw"); status != http.StatusOK || body != "none" {
		t.Errorf("a route without sessions: %d %q", status, body)
	}
	if s := p.stored(); s.N != 0 {
		t.Errorf("a refused change counts: %+v", s)
	}
	req, _ := http.NewRequest(http.MethodGet, r.url+"/cookies", nil) // never an error
	req.Header.Set("Frontd-Session-Set", "n=99")
	req.AddCookie(&http.Cookie{Name: "theme", Value: "dark"})
	got, err := p.browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if b, _ := io.ReadAll(got.Body); string(b) != "theme=dark|" {
		t.Errorf("the application sees %q", b)
	}

	old := *p.browser
	old.Jar, _ = cookiejar.New(nil)
	old.Jar.SetCookies(req.URL, p.browser.Jar.Cookies(req.URL))
	p.visit("/login")
	if s := p.stored(); s.Name != "Zoë 😀" {
		t.Errorf("after the login: %+v", s)
	}
	thief := &person{r, &old}
	if s := thief.stored(); s.Name != "" || s.ID != "" {
		t.Errorf("the cookie from before the login opens %+v", s)
	}
	p.visit("/logout")
	if s := p.stored(); s.Name != "" {
		t.Errorf("after the logout: %+v", s)
	}
}
