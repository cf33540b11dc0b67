package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/internal/counterpart"
)

// TestCauses sends, byte by byte, what the table of answers is about and no
// other test of the whole daemon sends: each cause has its status, ends the
// connection where what follows cannot be trusted, and stands in the log. The
// rest: queue_test.go, kill_test.go, start_test.go, slow_test.go, stream_test.go.
func TestCauses(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	write(t, filepath.Join(dir, "cgi", "garbage"), "#!/bin/sh\necho 'this is no header'\n")
	write(t, filepath.Join(dir, "cgi", "half"), "#!/bin/sh\nprintf 'Content-Type: text/plain\\nContent-Length: 100\\n\\nhalf'\n")
	r := serve(t, dir, configure(t, dir, `
[server]
listen = ["127.0.0.1:0"]
[log]
format = "json"
[app.demo]
kind = "demo"
workers = 1
max_body = "1KiB"
[app.cgi]
kind = "cgi"
target = "cgi"
workers = 1
[[route]]
path = "/cgi/"
app = "cgi"
mount = "/cgi"
[[route]]
host = "a"
path = "/"
app = "demo"
`)...)
	r.awaitServing("demo", 1)
	r.awaitServing("cgi", 1)
	for _, c := range []refusal{
		{"a host without a route", "GET /x1 HTTP/1.1\r\nHost: b\r\n\r\n", 404, "no-route", "/x1", false, false},
		{"a body over max_body", "POST /x2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n", 413, "body-too-large", "/x2", true, false},
		{"a chunked body over max_body", "POST /checksum?3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + strings.Repeat("x", 2000) + "\r\n0\r\n\r\n",
			413, "body-too-large", "/checksum?3", true, false},
		{"a chunk that is none", "POST /checksum?4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "bad-request", "/checksum?4", true, false},
		{"a head over 64 KiB", "GET /x5 HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+strings.Repeat("v", 1000)+"\r\n", 80) + "\r\n",
			431, "head-too-large", "/x5", true, true},
		{"a folded line", "GET /x7 HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, "bad-request", "/x7", true, true},
		{"an answer that is not CGI", "GET /cgi/garbage HTTP/1.1\r\nHost: a\r\n\r\n", 502, "bad-response", "/cgi/garbage", false, false},
		{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405, "method-not-allowed", "a:80", true, false},
		{"an expectation", "GET /x9 HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417, "expectation-failed", "/x9", true, true},
		{"a long target", "GET /x10" + strings.Repeat("x", 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target-too-long", "/x10" + strings.Repeat("x", 9000), true, false},
	} {
		r.checkRefusal(c)
	}
	r.checkBrokenAnswer()
}

// A head that does not end has a daemon of its own: within so short a time as
// is fit to be waited for here, a busy machine may not send the others whole.
func TestCauseOfSlowHead(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, strings.Replace(jsonLog, "[log]", "header_timeout = \"2s\"\n[log]", 1)+demoApp(1))...)
	r.checkRefusal(refusal{"a head that does not end", "GET /x6 HTTP/1.1\r\nHost: a\r\n", 408, "too-slow", "/x6", true, true})
}

// A refusal is what becomes of a request that is sent as it is.
type refusal struct {
	why, raw string
	status   int
	cause    string
	uri      string // in the log
	closes   bool
	unread   bool // net/http tells nothing of the request line
}

func (r *running) checkRefusal(c refusal) {
	r.t.Helper()
	nc := r.dial()
	if _, err := io.WriteString(nc, c.raw); err != nil {
		r.t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		r.t.Errorf("%s: %v", c.why, err)
		return
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		r.t.Errorf("%s: body: %v", c.why, err)
	}
	if resp.StatusCode != c.status || resp.Close != c.closes {
		r.t.Errorf("%s: status %d, close %v; want %d, %v", c.why, resp.StatusCode, resp.Close, c.status, c.closes)
	}
	if c.closes {
		if n, err := br.Read(make([]byte, 1)); n > 0 || err == nil {
			r.t.Errorf("%s: the connection goes on", c.why)
		}
	}
	uri := c.uri
	if c.unread && testedEngine() == front.NetEngine {
		uri = ""
	}
	if l := r.awaitCause(uri, c.cause); l.Cause != c.cause || l.Status != c.status {
		r.t.Errorf("%s: logged with status %d, cause %q; want %d, %q", c.why, l.Status, l.Cause, c.status, c.cause)
	}
}

// awaitCause is awaitRequestLine where the cause has to tell lines apart.
func (r *running) awaitCause(uri, cause string) (found accessLine) {
	r.t.Helper()
	if uri != "" {
		return r.awaitRequestLine(uri)
	}
	counterpart.Await(r.t, "a line of the access log without a URI for "+cause, patience, func() error {
		for _, a := range r.requestLines() {
			if a.URI == "" && a.Cause == cause {
				found = a
				return nil
			}
		}
		return errors.New("none")
	})
	return found
}

// checkBrokenAnswer asks for an answer that ends short of its length: it must
// not look whole.
func (r *running) checkBrokenAnswer() {
	r.t.Helper()
	nc := r.dial()
	io.WriteString(nc, "GET /cgi/half HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err == nil || string(b) != "half" {
		r.t.Errorf("half an answer: %q, %v; want it visibly broken", b, err)
	}
	// The program's host breaks off, as a dying worker does: it has no other way.
	if l := r.awaitRequestLine("/cgi/half"); l.Cause != "worker-died" {
		r.t.Errorf("half an answer is logged with cause %q", l.Cause)
	}
}
