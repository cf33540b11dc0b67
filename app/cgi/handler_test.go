package cgi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script writes an executable file of this name and content.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A transcript is a Stderr that can be read while it is written.
type transcript struct {
	requests sync.WaitGroup // those that may still write
	mu       sync.Mutex
	b        bytes.Buffer
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String waits for the requests in hand: an answer is often out before they are done.
func (l *transcript) String() string {
	l.requests.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve runs h behind a real server.
func serve(t *testing.T, h *Handler) (*httptest.Server, *transcript) {
	t.Helper()
	log := &transcript{}
	h.Stderr = func(context.Context) io.Writer { return log }
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer log.requests.Done() // also when h panics
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv, log
}

// An answer is what a client got. broken tells an answer that did not end properly.
type answer struct {
	status int
	header http.Header
	body   string
	broken bool
}

func do(t *testing.T, srv *httptest.Server, log *transcript, method, path, body string) answer {
	t.Helper()
	log.requests.Add(1)
	req, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return answer{broken: true}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b), broken: err != nil}
}

// TestAnswers runs one program for each way to answer.
func TestAnswers(t *testing.T) {
	big := `perl -e 'print "X" x 70000'`
	tests := []struct {
		name, program, method string
		status                int
		body, header          string // header: "Name: value" that must be there
		broken                bool
		log                   string // must stand on stderr
	}{
		{name: "plain", program: `printf 'Content-Type: text/plain\n\nhello'`, status: 200, body: "hello", header: "Content-Type: text/plain"},
		{name: "CRLF", program: `printf 'Content-Type: text/plain\r\nX-A: b\r\n\r\nhello'`, status: 200, body: "hello", header: "X-A: b"},
		{name: "status", program: `printf 'Status: 404 Not Here\nContent-Type: text/plain\n\ngone'`, status: 404, body: "gone"},
		{name: "no type is invented", program: `printf 'Status: 200\n\n<html>'`, status: 200, body: "<html>", header: "Content-Type: "},
		{name: "client redirect", program: `printf 'Location: http://example.com/\n\n'`, status: 302, header: "Location: http://example.com/"},
		{name: "redirect keeps status", program: `printf 'Status: 301\nLocation: http://example.com/\n\n'`, status: 301, header: "Location: http://example.com/"},
		{name: "local redirect", program: `printf 'Location: /x?y\n\nnot to be seen'`, status: 200, header: "Location: /x?y"},
		{name: "path with a type", program: `printf 'Content-Type: text/html\nLocation: /x?y\n\n'`, status: 302, header: "Location: /x?y"},
		{name: "path with a cookie", program: `printf 'Set-Cookie: a=1\nLocation: /x\n\n'`, status: 302, header: "Set-Cookie: a=1"},
		{name: "path with what is between program and us", program: `printf 'X-CGI-Debug: 1\nLocation: /x\n\n'`, status: 200, header: "Location: /x"},
		{name: "another host without a scheme", program: `printf 'Location: //example.com/\n\n'`, status: 302, header: "Location: //example.com/"},
		{name: "two cookies", program: `printf 'Set-Cookie: a=1\nSet-Cookie: b=2\nContent-Type: text/plain\n\n'`, status: 200, header: "Set-Cookie: a=1|b=2"},
		{name: "between program and us", program: `printf 'X-CGI-Debug: 1\nTransfer-Encoding: chunked\nConnection: close\nContent-Type: text/plain\n\nhello'`, status: 200, body: "hello", header: "X-CGI-Debug: "},
		{name: "same length twice", program: `printf 'Content-Length: 5\nContent-Length: 5\n\nhello'`, status: 200, body: "hello"},
		{name: "HEAD", method: "HEAD", program: `printf 'Content-Length: 5\n\nhello'`, status: 200, header: "Content-Length: 5"},
		{name: "204 with a body", program: `printf 'Status: 204\n\nhello'`, status: 204},
		{name: "stderr between", program: `echo one >&2; printf 'Content-Type: text/plain\n\nhello'; echo two >&2`, status: 200, body: "hello", log: "one\ntwo\n"},
		{name: "exit status", program: `printf 'Content-Type: text/plain\n\nhello'; exit 3`, status: 200, body: "hello", log: "exit status 3"},
		{name: "exit status after all of it", program: `printf 'Content-Length: 5\n\nhello'; exit 4`, status: 200, body: "hello", log: "exit status 4"},

		{name: "too short", program: `printf 'Content-Length: 10\n\nhello'`, status: 200, body: "hello", broken: true, log: "after 5 bytes of a Content-Length of 10"},
		{name: "too long", program: `printf 'Content-Length: 2\n\nhello'`, status: 200, body: "he", log: "cut off"},
		{name: "killed in the middle", program: `printf 'Content-Type: text/plain\n\nhello'; kill -9 $$`, status: 200, body: "hello", broken: true, log: "signal: killed"},
		{name: "killed before the header", program: `kill -9 $$`, status: 502, log: "signal: killed"},
		{name: "no output", program: `:`, status: 502, log: "no output"},
		{name: "failed without output", program: `exit 7`, status: 502, log: "exit status 7"},
		{name: "no header", program: `echo hello`, status: 502, log: "no colon"},
		{name: "empty header", program: `printf '\nhello'`, status: 502, log: "empty header"},
		{name: "cut header", program: `printf 'Content-Type: text/plain\nX-A: '`, status: 502, log: "ended within the header"},
		{name: "huge header", program: `printf 'X-A: '; ` + big + `; printf '\n\n'`, status: 502, log: "header over 65536 bytes"},
		{name: "endless header", program: `yes 'X-A: b'`, status: 502, log: "header over 65536 bytes"},
		{name: "CR in a value", program: `printf 'X-A: b\rSet-Cookie: c=d\n\n'`, status: 502, log: `'\r' in a header's value`},
		{name: "NUL in a value", program: `printf 'X-A: b\0c\n\n'`, status: 502, log: `'\x00' in a header's value`},
		{name: "blank in a name", program: `printf 'X A: b\n\n'`, status: 502, log: `' ' in a header's name`},
		{name: "continuation", program: `printf 'X-A: b\n c\n\n'`, status: 502, log: "continuation"},
		{name: "bad status", program: `printf 'Status: OK\n\n'`, status: 502, log: "Status:"},
		{name: "interim status", program: `printf 'Status: 101 Switching\n\n'`, status: 502, log: "Status:"},
		{name: "two lengths", program: `printf 'Content-Length: 1\nContent-Length: 2\n\nxx'`, status: 502, log: "Content-Length twice"},
		{name: "signed length", program: `printf 'Content-Length: +1\n\nx'`, status: 502, log: "Content-Length:"},
	}
	dir := t.TempDir()
	srv, log := serve(t, &Handler{Path: dir, KillDelay: 5 * time.Second})
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := fmt.Sprintf("/p%d.cgi", i)
			script(t, dir, name, "#!/bin/sh\n"+test.program+"\n")
			before := len(log.String())
			got := do(t, srv, log, test.method, name, "")
			if got.status != test.status || got.broken != test.broken {
				t.Errorf("status %d, broken %v; want %d, %v; stderr: %s", got.status, got.broken, test.status, test.broken, log.String()[before:])
			}
			if test.status != http.StatusBadGateway && got.body != test.body {
				t.Errorf("body %q; want %q", got.body, test.body)
			}
			if name, value, ok := strings.Cut(test.header, ": "); ok {
				if h := strings.Join(got.header.Values(name), "|"); h != value {
					t.Errorf("%s: %q; want %q", name, h, value)
				}
			}
			if got.header.Get("Set-Cookie") == "c=d" || got.header.Get("Transfer-Encoding") != "" {
				t.Errorf("header that must not get through: %v", got.header)
			}
			if said := log.String()[before:]; !strings.Contains(said, test.log) {
				t.Errorf("stderr %q; want %q in it", said, test.log)
			}
		})
	}
}

// TestNonParsedHeader runs programs that write HTTP themselves (§5).
func TestNonParsedHeader(t *testing.T) {
	tests := []struct {
		name, program, body, log string
		status                   int
		broken                   bool
	}{
		{name: "length", program: `printf 'HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello'`, status: 201, body: "hello"},
		{name: "to the end", program: `printf 'HTTP/1.0 200 OK\r\n\r\nhello'`, status: 200, body: "hello"},
		{name: "chunked", program: `printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'`, status: 200, body: "hello"},
		{name: "chunked, cut", program: `printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel'`, status: 200, body: "hel", broken: true, log: "unexpected EOF"},
		{name: "CGI instead", program: `printf 'Content-Type: text/plain\n\nhello'`, status: 502, log: "must write an HTTP response"},
		{name: "switch of protocol", program: `printf 'HTTP/1.1 101 Switching\r\n\r\n'`, status: 502, log: "cannot be final"},
		{name: "nothing", program: `exit 9`, status: 502, log: "exit status 9"},
		{name: "endless header", program: `printf 'HTTP/1.1 200 OK\r\n'; yes 'A: b'`, status: 502, log: "header over"},
	}
	dir := t.TempDir()
	srv, log := serve(t, &Handler{Path: dir, KillDelay: 5 * time.Second})
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := fmt.Sprintf("/nph-%d", i)
			script(t, dir, name, "#!/bin/sh\n"+test.program+"\n")
			before := len(log.String())
			got := do(t, srv, log, "GET", name, "")
			if got.status != test.status || got.broken != test.broken || test.status != 502 && got.body != test.body {
				t.Errorf("%+v; want %+v", got, test)
			}
			if said := log.String()[before:]; !strings.Contains(said, test.log) {
				t.Errorf("stderr %q; want %q in it", said, test.log)
			}
		})
	}
}

// TestCannotStart tells apart what exec(2) says of scripts.
func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "interpreter", "#!/no/such/interpreter\n")
	script(t, dir, "noline", "echo hello\n")
	srv, log := serve(t, &Handler{Path: dir})
	for name, want := range map[string]string{"/interpreter": "#! does not exist", "/noline": "no first line #!"} {
		before := len(log.String())
		got := do(t, srv, log, "GET", name, "")
		if said := log.String()[before:]; got.status != 500 || !strings.Contains(said, want) {
			t.Errorf("%s: %+v, stderr %q; want 500 and %q", name, got, said, want)
		}
	}
}

// TestInterpreters runs a program in each language that is at hand.
func TestInterpreters(t *testing.T) {
	programs := map[string]string{
		"perl":    `print "Content-Type: text/plain\n\n", $ENV{REQUEST_METHOD}, " ", <STDIN>;`,
		"python3": "import os, sys\nprint('Content-Type: text/plain\\n')\nprint(os.environ['REQUEST_METHOD'], sys.stdin.read(), end='')\n",
	}
	dir := t.TempDir()
	srv, log := serve(t, &Handler{Path: dir, Inherit: []string{"HOME"}})
	for name, text := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Logf("%s is not installed", name)
			continue
		}
		script(t, dir, name, "#!"+path+"\n"+text)
		if got := do(t, srv, log, "POST", "/"+name, "the body"); got.body != "POST the body" {
			t.Errorf("%s: %+v, stderr %s", name, got, log)
		}
	}
}
