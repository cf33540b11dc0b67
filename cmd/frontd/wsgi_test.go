package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// serveSite serves the source's application at every URL, with more settings.
func serveSite(t *testing.T, source, more string) *running {
	t.Helper()
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "site_app.py"), source)
	return serve(t, dir, configure(t, dir, jsonLog+`
[app.site]
kind = "wsgi"
target = "site_app"
`+more+`
[[route]]
path = "/"
app = "site"
`)...)
}

const refusingApp = `
def application(environ, start_response):
    start_response("413 Content Too Large", [("Content-Type", "text/plain")])
    return [b"too much"]
`

// TestWSGIAnswersBeforeTheBody refuses 1 GB without reading any of it.
func TestWSGIAnswersBeforeTheBody(t *testing.T) {
	t.Parallel()
	r := serveSite(t, refusingApp, "workers = 1\nmax_body = 0\nbody = \"stream\"\n")
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		nc := r.dial()
		if err := nc.(*net.TCPConn).SetWriteBuffer(16 << 10); err != nil {
			t.Fatal(err)
		}
		head := "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n" + expect + "\r\n"
		if _, err := io.WriteString(nc, head); err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		n := 0
		// One goroutine, so that it looks before every piece: what two of them send
		// after the answer has come is a matter of who runs first.
		for piece := make([]byte, 4<<10); expect == "" && !hasAnswer(t, nc); {
			sent, err := nc.Write(piece)
			if n += sent; err != nil {
				t.Fatalf("%d bytes of the body, no answer: %v", n, err)
			}
		}
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatalf("%q: %v", expect, err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusRequestEntityTooLarge || string(body) != "too much" || err != nil {
			t.Errorf("%q: status %d, %q, %v", expect, resp.StatusCode, body, err)
		}
		nc.Close()
		t.Logf("%q: %d bytes of the body left the client", expect, n)
		if n > 256<<10 {
			t.Errorf("%q: %d bytes of the body left the client, at most %d may", expect, n, 256<<10)
		}
	}
}

// hasAnswer reports whether bytes have come that nobody has read, without waiting.
func hasAnswer(t *testing.T, nc net.Conn) bool {
	t.Helper()
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var one [1]byte
	if err := raw.Control(func(fd uintptr) {
		n, _, _ = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// What a request brings is in globals of its thread and its context while
// others run: a mix-up of any two would show.
const globalsApp = `
import contextvars, threading, time
local, context, running = threading.local(), contextvars.ContextVar("token"), {}
def application(environ, start_response):
    token = environ["QUERY_STRING"]
    local.token = token
    context.set(token)
    running[threading.get_ident()] = token
    body = environ["wsgi.input"].read().decode()
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-Token", local.token)])
    time.sleep(0)  # lets another thread run
    same = {token, local.token, context.get(), running.pop(threading.get_ident()), environ["HTTP_X_TOKEN"], body}
    yield "|".join(sorted(same)).encode()
    yield b"|" + local.token.encode()
`

// TestWSGIThreadsDoNotMix asks 10,000 times, 16 at once, of 2 workers with 8
// threads each.
func TestWSGIThreadsDoNotMix(t *testing.T) {
	t.Parallel()
	r := serveSite(t, globalsApp, "workers = 2\nthreads = 8\n")
	const clients, each = 16, 625
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() { // Wait below
			for n := range each {
				token := fmt.Sprintf("%d-%d-%s", client, n, strings.Repeat("t", n%40))
				if err := askToken(ctx, r, token); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		t.Error(err)
	}
}

func askToken(ctx context.Context, r *running, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/?"+token, strings.NewReader(token))
	if err != nil {
		return err
	}
	req.Header.Set("X-Token", token)
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if want := token + "|" + token; err == nil && (string(body) != want || resp.Header.Get("X-Token") != token) {
		err = errors.New("asked with " + token + ", got " + string(body) + " and X-Token " + resp.Header.Get("X-Token"))
	}
	return err
}

// The same site in each framework, and with none.
var wsgiSites = map[string]string{
	"bare": `
from urllib.parse import parse_qs
def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        form = parse_qs(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
        text = "form " + form["name"][0]
    else:
        text = "hello " + environ["frontd.config"]["THEME"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
`,
	"bottle": `
from bottle import Bottle, request
application = Bottle()
@application.get("/")
def hello(): return "hello " + request.environ["frontd.config"]["THEME"]
@application.post("/form")
def form(): return "form " + request.forms.getunicode("name")
`,
	"flask": `
from flask import Flask, request
application = Flask(__name__)
@application.get("/")
def hello(): return "hello " + request.environ["frontd.config"]["THEME"]
@application.post("/form")
def form(): return "form " + request.form["name"]
`,
	"django": `
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
def hello(request): return HttpResponse("hello " + request.environ["frontd.config"]["THEME"])
def form(request): return HttpResponse("form " + request.POST["name"])
urlpatterns = [path("", hello), path("form", form)]
application = get_wsgi_application()
`,
}

// TestWSGIFrameworks serves each site, with the validator of wsgiref as the
// outermost middleware and one of the site's own below it.
func TestWSGIFrameworks(t *testing.T) {
	t.Parallel()
	for name, source := range wsgiSites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "bare" {
				counterpart.NeedRun(t, "python3's "+name, "python3", "-c", "import "+name)
			}
			r := serveSite(t, source+`
class Marked:
    def __init__(self, app):
        self.app = app
    def __call__(self, environ, start_response):
        # Else Werkzeug, from 2.3 on, reads without a size, which the validator forbids.
        del environ["wsgi.input_terminated"]
        return self.app(environ, lambda status, headers, *exc: start_response(status, headers + [("X-Marked", "yes")], *exc))
`, `
workers = 1
middleware = ["wsgiref.validate:validator", "site_app:Marked"]
settings = { THEME = "dark" }
`)
			r.awaitServing("site", 1)
			if a := r.get("/"); a.status != http.StatusOK || a.body != "hello dark" || a.header.Get("X-Marked") != "yes" {
				t.Errorf("status %d, %q, %v", a.status, a.body, a.header)
			}
			form := url.Values{"name": {"ä & b"}}.Encode()
			a := r.do(http.MethodPost, "/form", "application/x-www-form-urlencoded", strings.NewReader(form))
			if a.status != http.StatusOK || a.body != "form ä & b" {
				t.Errorf("status %d, %q", a.status, a.body)
			}
			if a := r.do(http.MethodHead, "/", "", nil); a.status != http.StatusOK || a.body != "" {
				t.Errorf("HEAD: status %d, %q", a.status, a.body)
			}
			if strings.Contains(r.Log(), "Traceback") {
				t.Errorf("the validator complained: %s", r.Log())
			}
		})
	}
}

const fileApp = `
import os
def application(environ, start_response):
    name = environ["PATH_INFO"][1:]
    f = open(os.path.join(os.getcwd(), name), "rb")
    headers = [("Content-Type", "text/x-mine"), ("X-Content-Type-Options", "nosniff")]
    if environ["QUERY_STRING"] == "part": f.seek(5)
    if environ["QUERY_STRING"] == "header": headers.append(("X-Own", "kept"))
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](f)
`

// TestWSGIFileWrapper has the front send what a file wrapper gives where the
// route allows it, which a range shows, and the worker everything else.
func TestWSGIFileWrapper(t *testing.T) {
	t.Parallel()
	top := counterpart.Dir(t)
	dir := filepath.Join(top, "files")
	write(t, filepath.Join(top, "site_app.py"), fileApp)
	write(t, filepath.Join(dir, "a.txt"), "0123456789")
	write(t, filepath.Join(top, "other", "a.txt"), "0123456789")
	r := serve(t, top, configure(t, top, jsonLog+fmt.Sprintf(`
[app.site]
kind = "wsgi"
target = "site_app"
workers = 1
[[route]]
path = "/"
app = "site"
sendfile = [%q]
`, dir))...)
	for _, c := range []struct {
		path, why string
		status    int
		body      string
	}{
		{"/files/a.txt", "the front sends it, and knows ranges", http.StatusPartialContent, "234"},
		{"/other/a.txt", "a folder that is not the route's", http.StatusOK, "0123456789"},
		{"/files/a.txt?part", "a file from its middle", http.StatusOK, "56789"},
		{"/files/a.txt?header", "a header that the front does not keep", http.StatusOK, "0123456789"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=2-4")
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || string(body) != c.body {
			t.Errorf("%s: status %d, %q, %v; want %d, %q", c.why, resp.StatusCode, body, err, c.status, c.body)
		}
		if h := resp.Header; h.Get("Content-Type") != "text/x-mine" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Sendfile") != "" {
			t.Errorf("%s: headers %v", c.why, h)
		}
	}
}

const halfApp = `
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"half an answer"
    if environ["PATH_INFO"] == "/die": os._exit(9)
    raise LookupError("no other half")
`

// An exception in the middle of an answer is not told as its worker's death; both
// break the answer off.
func TestWSGIFailsInMidAnswer(t *testing.T) {
	t.Parallel()
	r := serveSite(t, halfApp, "workers = 1")
	pids := r.awaitServing("site", 1)
	for _, c := range []struct{ path, cause string }{{"/raise", "bad-response"}, {"/die", "worker-died"}} {
		resp, err := r.client.Get(r.url + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "half an answer" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %q, %v; want half an answer that shows it", c.path, body, err)
		}
		if l := r.awaitRequestLine(c.path); l.Cause != c.cause || l.Worker != pids[0] {
			t.Errorf("%s: worker %d, cause %q; want %d, %q", c.path, l.Worker, l.Cause, pids[0], c.cause)
		}
	}
}
