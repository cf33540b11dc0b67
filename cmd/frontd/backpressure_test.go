package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// A Source notes how much of an answer was asked for, and its end. Each of its
// items says which it is.
const sourceApp = `
import os
class Source:
    def __init__(self, name, size=10 << 30):
        self.name, self.given, self.size = name, 0, size
        self.progress = os.open("given-" + name, os.O_CREAT | os.O_WRONLY)
    def __iter__(self):
        return self
    def __next__(self):
        if self.given >= self.size: raise StopIteration
        self.given += 65536
        os.pwrite(self.progress, b"%020d" % self.given, 0)
        return (b"%015d\n" % (self.given // 65536)) * 4096
    def read(self, n):
        return next(self, b"")
    def close(self):
        os.close(self.progress)
        print("closed", self.name, "after", self.given, flush=True)
def generate(name):
    source = Source(name)
    try:
        yield from source
    finally:
        source.close()
`

const bareSource = sourceApp + `
def application(environ, start_response):
    name, headers = environ["PATH_INFO"][1:], [("Content-Type", "text/plain")]
    if environ["QUERY_STRING"]: headers.append(("X-Accel-Buffering", environ["QUERY_STRING"]))
    write = start_response("200 OK", headers)
    if name == "marker": return [b"here"]
    if name == "fixed": return [b"".join(Source(name, 20 << 20))]
    if name == "plain":
        with open(name, "wb") as f: f.write(bytes(20 << 20))
        return environ["wsgi.file_wrapper"](open(name, "rb"))
    if name == "finite": return Source(name, 20 << 20)
    if name == "file_wrapper": return environ["wsgi.file_wrapper"](Source(name), 65536)
    if name == "generator": return generate(name)
    if name != "write": return Source(name)
    source = Source(name)
    try:
        for item in source: write(item)
    finally:
        source.close()
    return []
`

const flaskSource = sourceApp + `
from flask import Flask, Response, stream_with_context
application = Flask(__name__)
@application.get("/marker")
def marker(): return "here"
@application.get("/<name>")
def stream(name): return Response(stream_with_context(generate(name)), mimetype="text/plain")
`

const djangoSource = sourceApp + `
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
def marker(request): return HttpResponse("here")
def stream(request, name): return StreamingHttpResponse(generate(name), content_type="text/plain")
urlpatterns = [path("marker", marker), path("<name>", stream)]
application = get_wsgi_application()
`

// window returns how far, in bytes, an iterable may be ahead of what its client's
// system has taken, with the configuration's defaults: docs/wsgi.md has it.
func window(t testing.TB) int {
	const most = 3 << 19
	if runtime.GOOS != "linux" {
		return most + 10<<20 // nothing bounds what is not sent
	}
	text, err := os.ReadFile("/proc/sys/net/core/wmem_default")
	if err != nil {
		t.Fatal(err)
	}
	worker, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return most + max(0, worker-208<<10) // 208 KiB is Linux's default
}

// given is how much of an answer its application was asked for.
func (r *running) given(name string) int {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "given-"+name))
	if err != nil || len(text) == 0 {
		return 0 // not yet begun
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// standsStill returns how much of an answer was asked for when that has not
// changed while others had time for gigabytes.
func (r *running) standsStill(name string) int {
	r.t.Helper()
	for before := 0; ; {
		for begin, served := time.Now(), 0; served < 100 || time.Since(begin) < 200*time.Millisecond; served++ {
			if a := r.get("/marker"); a.body != "here" {
				r.t.Fatalf("meanwhile: %d %q", a.status, a.body)
			}
		}
		now := r.given(name)
		if now > 0 && now == before {
			return now
		}
		before = now
	}
}

// A stopped client has asked and reads nothing; its system takes little.
type stopped struct{ net.Conn }

func (r *running) stopReading(target string) stopped {
	r.t.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
		}); e != nil {
			return e
		}
		return err
	}}
	nc, err := d.DialContext(r.t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	if _, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target); err != nil {
		r.t.Fatal(err)
	}
	return stopped{nc}
}

// has returns how many bytes the client's system holds that nobody has read.
func (s stopped) has(t testing.TB) int {
	t.Helper()
	raw, err := s.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	b := make([]byte, 1<<20)
	if e := raw.Control(func(fd uintptr) {
		n, _, err = syscall.Recvfrom(int(fd), b, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return n
}

// TestWSGIBackpressure stops reading answers of 10 GB, with the configuration's
// defaults: no iterable is asked for more than a window ahead of its client, and
// each is closed when the client leaves.
func TestWSGIBackpressure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why, app, module, settings string
		names                      []string
	}{
		{"one at a time", bareSource, "", "", []string{"iterable", "generator", "write", "file_wrapper", "said?no"}},
		{"threads", bareSource, "", "threads = 8", []string{"iterable", "write"}},
		{"preload", bareSource, "", "preload = true", []string{"generator"}},
		{"flask", flaskSource, "flask", "", []string{"stream"}},
		{"django", djangoSource, "django", "", []string{"stream"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			if c.module != "" {
				counterpart.NeedRun(t, "python3's "+c.module, "python3", "-c", "import "+c.module)
			}
			if c.why == "preload" && runtime.GOOS != "linux" {
				t.Skip("preload is for Linux")
			}
			r := serveSite(t, c.app, "workers = 2\n"+c.settings)
			for _, target := range c.names {
				name, _, _ := strings.Cut(target, "?")
				client := r.stopReading("/" + target)
				given := r.standsStill(name)
				ahead := given - client.has(t)
				t.Logf("%s: asked for %d bytes, %d ahead of the client", name, given, ahead)
				if most := window(t); ahead > most {
					t.Errorf("%s: asked for %d bytes, %d ahead of the client; at most %d may be", name, given, ahead, most)
				}
				client.Close()
				r.AwaitLine("closed "+name+` after \d+`, patience)
			}
			if a := r.get("/marker"); a.body != "here" {
				t.Errorf("afterwards: %d %q", a.status, a.body)
			}
		})
	}
}

// The same by HTTP/2, whose client takes what its own window allows.
func TestWSGIBackpressureHTTP2(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	cert := writeCertificate(t, dir, 1)
	write(t, filepath.Join(dir, "site_app.py"), bareSource)
	r := serve(t, dir, configure(t, dir, tlsConfig+`
[app.site]
kind = "wsgi"
target = "site_app"
workers = 2
[[route]]
path = "/"
app = "site"
`)...)
	r.client = trust(t, cert)
	resp, err := r.client.Get(r.url + "/generator")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	const clients = 4 << 20 // of net/http: transportDefaultStreamFlow
	given, most := r.standsStill("generator"), clients+window(t)
	t.Logf("%s: asked for %d bytes", resp.Proto, given)
	if resp.ProtoMajor != 2 || given > most {
		t.Errorf("%s: asked for %d bytes; at most %d may be", resp.Proto, given, most)
	}
	resp.Body.Close() // resets the stream
	r.AwaitLine(`closed generator after \d+`, patience)
}

// Who reads slowly gets the whole of an iterable, which is never far ahead.
func TestWSGISlowReader(t *testing.T) {
	t.Parallel()
	r := serveSite(t, bareSource, "workers = 1")
	client := r.stopReading("/finite")
	resp, err := http.ReadResponse(bufio.NewReaderSize(client, 4<<10), nil)
	if err != nil {
		t.Fatal(err)
	}
	var item [64 << 10]byte
	for n := 1; n <= 20<<20/len(item); n++ {
		if _, err := io.ReadFull(resp.Body, item[:]); err != nil {
			t.Fatalf("item %d: %v", n, err)
		}
		if want := bytes.Repeat(fmt.Appendf(nil, "%015d\n", n), 4096); !bytes.Equal(item[:], want) {
			t.Fatalf("item %d is %.20q…", n, item[:])
		}
		const own = 64 << 10 // what the client's system may hold, and the framing of HTTP
		if given, most := r.given("finite"), n*len(item)+window(t)+own; given > most {
			t.Errorf("at item %d: asked for %d bytes; at most %d may be", n, given, most)
		}
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("%d bytes behind the end, %v", len(rest), err)
	}
}

// A worker of one place that has made the whole of an answer, or said so, serves
// the next request while a client has read nothing of it.
func TestWSGIWholeAnswerFreesWorker(t *testing.T) {
	t.Parallel()
	r := serveSite(t, bareSource, "workers = 1\nqueue = { timeout = \"60s\" }") // on a busy machine 20 MiB take a while
	for _, target := range []string{"/fixed", "/finite?yes", "/plain"} {
		client := r.stopReading(target)
		resp, err := http.ReadResponse(bufio.NewReaderSize(client, 4<<10), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := r.get("/marker"); a.body != "here" {
			t.Errorf("%s: another request meanwhile: %d %q", target, a.status, a.body)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if n != 20<<20 || err != nil || resp.Header.Get("X-Accel-Buffering") != "" {
			t.Errorf("%s: %d bytes, %v, %v", target, n, err, resp.Header)
		}
	}
}
