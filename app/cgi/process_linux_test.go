package cgi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// long stands for "for ever" in a program, and for "not in time" in a test.
const long = time.Minute

// gone fails the test if one of the processes whose numbers the program wrote
// is alive. A killed one may be a zombie for a moment, of whoever inherited it.
func gone(t *testing.T, pids string) {
	t.Helper()
	for _, s := range strings.Fields(pids) {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("not a process: %q", s)
		}
		deadline := time.Now().Add(long)
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is still there", pid)
			}
			pidGone(pid, time.Second)
		}
	}
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	return !bytes.HasPrefix(after, []byte(" Z"))
}

// pidGone waits for the end of a process that is no child of this one.
func pidGone(pid int, atMost time.Duration) {
	fd, _, e := syscall.Syscall(434, uintptr(pid), 0, 0) // pidfd_open
	if e != 0 {
		return
	}
	f := os.NewFile(fd, "pidfd")
	defer f.Close()
	var set syscall.FdSet
	set.Bits[fd/64] |= 1 << (fd % 64)
	tv := syscall.NsecToTimeval(int64(atMost))
	_, _ = syscall.Select(int(fd)+1, &set, nil, nil, &tv)
}

// TestGrandchildHoldsStdout: the end of the program is the end of the request.
func TestGrandchildHoldsStdout(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "p.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nsleep 1000 &\necho $!\n")
	srv, log := serve(t, &Handler{Path: dir, KillDelay: long})
	got := do(t, srv, log, "GET", "/p.cgi", "")
	if got.status != 200 || got.broken {
		t.Fatalf("answer %+v, stderr %s", got, log)
	}
	gone(t, got.body)
}

// TestGrandchildEscaped: one that left the group, and holds stdout and stderr,
// holds no request.
func TestGrandchildEscaped(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "p.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nsetsid sleep 1000 &\necho $!\n")
	srv, log := serve(t, &Handler{Path: dir, KillDelay: long})
	got := do(t, srv, log, "GET", "/p.cgi", "")
	if got.status != 200 || got.broken {
		t.Fatalf("answer %+v, stderr %s", got, log)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(got.body))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL) // it may have been killed before it could leave
}

// TestClosesStdoutAndLivesOn: the answer is whole, and the program has the
// delay to end.
func TestClosesStdoutAndLivesOn(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "p.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\necho $$\nexec >&-\ntrap '' TERM\nexec sleep 1000\n")
	srv, log := serve(t, &Handler{Path: dir, KillDelay: 50 * time.Millisecond})
	got := do(t, srv, log, "GET", "/p.cgi", "")
	if got.status != 200 || got.broken || !strings.Contains(log.String(), "closed its output, but had not ended") {
		t.Fatalf("answer %+v, stderr %s", got, log)
	}
	gone(t, got.body)
}

// TestAbort: the client leaves, and the program with all of its group is
// killed, whether it minds SIGTERM or not.
func TestAbort(t *testing.T) {
	for _, trap := range []string{"", "trap '' TERM\n"} {
		dir := t.TempDir()
		script(t, dir, "p.cgi", "#!/bin/sh\n"+trap+"printf 'Content-Type: text/plain\\n\\n'\nsleep 1000 &\necho $$ $!\nwait\n")
		srv, log := serve(t, &Handler{Path: dir, KillDelay: 50 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/p.cgi", nil)
		if err != nil {
			t.Fatal(err)
		}
		log.requests.Add(1)
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		resp.Body.Close()
		log.requests.Wait()
		gone(t, line)
	}
}

// Where the process that serves is about to be ended, a program that ignores SIGTERM
// does not have its time: nobody would end what it has started.
func TestAbortWhileStopping(t *testing.T) {
	for _, before := range []bool{true, false} {
		dir := t.TempDir()
		pids := filepath.Join(dir, "pids")
		script(t, dir, "p.cgi", "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $$ $! > "+pids+
			"\nprintf 'Content-Type: text/plain\\n\\npart'\nwhile :; do sleep 1000; done\n")
		stopping := make(chan struct{})
		if before {
			close(stopping)
		}
		srv, log := serve(t, &Handler{Path: dir, KillDelay: time.Hour, Stopping: stopping})
		log.requests.Add(1)
		resp, err := srv.Client().Get(srv.URL + "/p.cgi")
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close() // the client goes away
		if !before {
			close(stopping)
		}
		gone(t, string(b))
		log.requests.Wait()
	}
}

// TestBodyBreaks: a program never sees the end of a body that was cut.
func TestBodyBreaks(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "committed")
	script(t, dir, "p.cgi", "#!/bin/sh\necho started >&2\ncat >/dev/null && touch "+mark+"\nprintf 'Status: 200\\n\\n'\n")
	log := &transcript{}
	h := &Handler{Path: dir, Stderr: func(context.Context) io.Writer { return log }}
	r, w := io.Pipe()
	req, err := http.NewRequest("POST", "http://x/p.cgi", r)
	if err != nil {
		t.Fatal(err)
	}
	broke := make(chan error, 1)
	go func() {
		_, err := io.WriteString(w, "part")
		w.CloseWithError(io.ErrUnexpectedEOF)
		broke <- err
	}()
	// broke is received below.
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("ServeHTTP: %v; want ErrAbortHandler", v)
			}
		}()
		h.ServeHTTP(discard{}, req)
	}()
	if err := <-broke; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program took the cut body for a whole one")
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestTimeout(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "before.cgi", "#!/bin/sh\nexec sleep 1000\n")
	script(t, dir, "within.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\npart'\nexec sleep 1000\n")
	srv, log := serve(t, &Handler{Path: dir, Timeout: 300 * time.Millisecond})
	if got := do(t, srv, log, "GET", "/before.cgi", ""); got.status != http.StatusGatewayTimeout || got.broken {
		t.Errorf("before the header: %+v; want 504", got)
	}
	// Within the body is where the shell comes to it in time, on this machine, busy as it may be.
	for limit := 300 * time.Millisecond; ; limit *= 4 {
		srv, log = serve(t, &Handler{Path: dir, Timeout: limit})
		got := do(t, srv, log, "GET", "/within.cgi", "")
		if got.body == "part" && got.broken {
			break
		}
		if got.status != http.StatusGatewayTimeout || limit > 10*time.Second {
			t.Fatalf("within the body: %+v; want a broken answer", got)
		}
	}
	if !strings.Contains(log.String(), "time limit of the CGI program reached") {
		t.Errorf("stderr %q", log)
	}
}

// TestBothWaysAtOnce sends and takes more than the pipes hold.
func TestBothWaysAtOnce(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "cat.cgi", "#!/bin/sh\nprintf 'Content-Type: application/octet-stream\\n\\n'\nexec cat\n")
	srv, log := serve(t, &Handler{Path: dir})
	full := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer log.requests.Done()
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		(&Handler{Path: dir}).ServeHTTP(w, r)
	})
	srv.Config.Handler = full
	body := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	got := do(t, srv, log, "POST", "/cat.cgi", body)
	if got.body != body || got.broken {
		t.Errorf("%d bytes came back, broken %v; want %d", len(got.body), got.broken, len(body))
	}
}

// TestBodyIsNotRead: a program need not read its input (§4.2), however long.
func TestBodyIsNotRead(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "p.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nno, thanks'\n")
	srv, log := serve(t, &Handler{Path: dir})
	req, err := http.NewRequest("POST", srv.URL+"/p.cgi", endless{})
	if err != nil {
		t.Fatal(err)
	}
	log.requests.Add(1)
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "no, thanks" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// endless is a body without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestChunksAsTheyCome: the second line is only written once the first was read.
func TestChunksAsTheyCome(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	script(t, dir, "p.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfirst\\n'\ncat "+fifo+"\n")
	srv, log := serve(t, &Handler{Path: dir})
	log.requests.Add(1)
	resp, err := srv.Client().Get(srv.URL + "/p.cgi")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	br := bufio.NewReader(resp.Body)
	if line, err := br.ReadString('\n'); line != "first\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := os.WriteFile(fifo, []byte("second\n"), 0); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(br); string(rest) != "second\n" || err != nil {
		t.Fatalf("%q, %v", rest, err)
	}
}
