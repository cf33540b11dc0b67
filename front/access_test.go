package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var hostileText = "\x1b[31m\r\n\"\\\x00\x9b\xffé\u2028\u0085"

func sample() (*Exchange, *http.Request) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI = "/x?" + hostileText
	r.Header = http.Header{"User-Agent": {hostileText}, "Referer": {hostileText}}
	return &Exchange{ID: "the-id", Start: time.Date(2026, 11, 21, 2, 3, 4, 5000, time.UTC), Client: netip.MustParseAddrPort("[2001:db8::1]:9"),
		Host: "a", App: "blog", Worker: Worker{PID: 7, Name: "blog/1"}, Queue: 1500 * time.Microsecond, WorkerTime: 2 * time.Second,
		Status: 502, Cause: WorkerDied, Detail: hostileText, BytesIn: 3, BytesOut: 4, Attempts: 2}, r
}

func TestTextLineIsOneLineWhateverTheClientSends(t *testing.T) { // H14
	x, r := sample()
	line := string(appendText(nil, x, r, x.Start.Add(3*time.Second)))
	hostile := `\x1b[31m\x0d\x0a\x22\x5c\x00\x9b\xff\xc3\xa9\xe2\x80\xa8\xc2\x85`
	want := `2001:db8::1 - - [21/Nov/2026:02:03:04 +0000] "GET /x?` + hostile + ` HTTP/1.1" 502 4 "` + hostile + `" "` + hostile +
		`" host="a" app=blog worker=7 queue=0.001500 worker_time=2.000000 total=3.000000 in=3 attempts=2 cause=worker-died id=the-id` + "\n"
	if line != want {
		t.Errorf("line\n%q, want\n%q", line, want)
	}
}

func TestTextLineOfNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	line := string(appendText(nil, &Exchange{ID: "i"}, r, time.Time{}))
	if want := `^- - - \[.*\] "GET / HTTP/1.1" 000 0 "-" "-" host="" app=- worker=- queue=0.000000 .* cause=- id=i\n$`; !regexp.MustCompile(want).MatchString(line) {
		t.Errorf("line %q", line)
	}
}

func TestJSONLineIsJSONWhateverTheClientSends(t *testing.T) {
	x, r := sample()
	line := appendJSON(nil, x, r, x.Start.Add(3*time.Second))
	if n := bytes.Count(line, []byte("\n")); n != 1 || bytes.ContainsAny(line, "\x1b\r\u2028\u0085") {
		t.Errorf("line %q", line)
	}
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	text := "\x1b[31m\r\n\"\\\x00��é\u2028\u0085"
	for key, want := range map[string]any{"time": "2026-11-21T02:03:04.000005Z", "client": "2001:db8::1", "uri": "/x?" + text, "user_agent": text, "detail": text,
		"status": 502.0, "worker": 7.0, "worker_name": "blog/1", "queue": 0.0015, "total": 3.0, "cause": "worker-died", "id": "the-id", "app": "blog", "bytes_in": 3.0} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

func FuzzLogLine(f *testing.F) {
	f.Add(hostileText)
	f.Fuzz(func(t *testing.T, s string) {
		quoted := appendQuoted(nil, s)
		for _, c := range quoted {
			if c < ' ' || c > '~' || c == '"' {
				t.Fatalf("%q is logged as %q", s, quoted)
			}
		}
		var got map[string]string
		line := append(appendField([]byte(`{"a":"b"`), "k", s), '}')
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q is logged as %q: %v", s, line, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); strings.ToValidUTF8(got["k"], "") != got["k"] || !strings.Contains(s, "\xff") && want == s && got["k"] != s {
			t.Fatalf("%q is logged as %q", s, got["k"])
		}
	})
}

// A gate is a sink that takes nothing until it is opened.
type gate struct {
	open chan struct{}
	got  bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.got.Write(p)
}

func TestStuckLogLosesLinesAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		l := NewAccessLog(g, LogText, quiet)
		x, r := sample()
		start := time.Now()
		const lines = 3 * logQueue
		for range lines {
			l.write(x, r, start)
		}
		if time.Since(start) != 0 || l.Dropped() == 0 {
			t.Errorf("%d lines took %v, %d dropped", lines, time.Since(start), l.Dropped())
		}
		close(g.open)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if written := strings.Count(g.got.String(), "\n"); uint64(written)+l.Dropped() != lines {
			t.Errorf("%d written, %d dropped, of %d", written, l.Dropped(), lines)
		}
	})
}

// A fullDisk takes a number of bytes, then fails.
type fullDisk struct {
	room int
	got  bytes.Buffer
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.room -= n
	d.got.Write(p[:n])
	if n < len(p) {
		return n, errors.New("no space left")
	}
	return n, nil
}

func TestFullDiskIsToldOnceAndLinesStayWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		d := &fullDisk{room: 10}
		l := NewAccessLog(d, LogText, slog.New(slog.NewTextHandler(&told, nil)))
		x, r := sample()
		write := func() { l.write(x, r, x.Start); synctest.Wait() }
		write()
		write()
		d.room = 1 << 20
		write()
		l.Close()
		if l.Dropped() != 2 || strings.Count(told.String(), "level=ERROR") != 1 || strings.Count(told.String(), "written again") != 1 {
			t.Errorf("%d dropped, told %q", l.Dropped(), &told)
		}
		lines := strings.Split(d.got.String(), "\n")
		if len(lines) != 3 || len(lines[0]) != 10 || !strings.HasSuffix(lines[1], "id=the-id") {
			t.Errorf("lines %q", lines)
		}
	})
}

func TestReopenLosesAndTearsNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	l, err := OpenAccessLog(path, LogText, quiet)
	if err != nil {
		t.Fatal(err)
	}
	x, r := sample()
	const rounds, each = 20, 50
	for i := range rounds {
		for range each {
			l.write(x, r, x.Start)
		}
		if err := os.Rename(path, path+"."+string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reopen after Close: %v", err)
	}
	files, _ := filepath.Glob(path + "*")
	whole := string(appendText(nil, x, r, x.Start))
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := each
		if name == path {
			want = 0
		}
		if string(content) != strings.Repeat(whole, want) {
			t.Errorf("%s has %d bytes, want %d whole lines", name, len(content), want)
		}
	}
	if len(files) != rounds+1 || l.Dropped() != 0 {
		t.Errorf("%d files, %d lines dropped", len(files), l.Dropped())
	}
}

func TestReopenThatFailsKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "access.log")
	mustWrite(t, dir, map[string]string{"sub/": ""})
	l, err := OpenAccessLog(path, LogText, quiet)
	if err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(dir, "moved")
	if err := os.Rename(filepath.Join(dir, "sub"), moved); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("reopened where there is no folder")
	}
	x, r := sample()
	l.write(x, r, x.Start)
	l.Close()
	if content, err := os.ReadFile(filepath.Join(moved, "access.log")); err != nil || len(content) == 0 {
		t.Errorf("the old file has %d bytes, %v", len(content), err)
	}
}

func TestAccessLogHasTheFinalStatus(t *testing.T) {
	var log bytes.Buffer
	for _, c := range []struct {
		why     string
		handler http.HandlerFunc
		want    string
	}{
		{"nothing written", func(http.ResponseWriter, *http.Request) {}, ` 200 0 .* cause=- `},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("x") }, ` 500 [1-9][0-9]* .* cause=internal `},
		{"client gone", func(w http.ResponseWriter, r *http.Request) { Fail(w, r, ClientGone, "") }, ` 499 0 .* cause=client-gone `},
		{"gone in the middle", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "abc"); Fail(w, r, ClientGone, "") }, ` 499 3 .* cause=client-gone `},
		{"worker died in the middle", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "abc"); Fail(w, r, WorkerDied, "") }, ` 200 3 .* cause=worker-died `},
		{"cut off on purpose", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ` 000 0 .* cause=- `},
	} {
		log.Reset()
		l := NewAccessLog(&log, LogText, quiet)
		chain, err := New(Config{AccessLog: l, Log: quiet, Routes: []Route{{Handler: c.handler, Settings: DefaultSettings()}}})
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if v := recover(); v != nil && v != http.ErrAbortHandler {
					panic(v)
				}
			}()
			chain.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
		l.Close()
		if !regexp.MustCompile(c.want).MatchString(log.String()) {
			t.Errorf("%s: logged %q, want %q", c.why, &log, c.want)
		}
	}
}

func TestRequestIDsSortByTimeAndDiffer(t *testing.T) {
	start, seen, last := time.UnixMilli(1e12), map[string]bool{}, ""
	for i := range 1000 {
		id := newRequestID(start.Add(time.Duration(i) * time.Millisecond))
		if id <= last || len(id) != idLen || !saneID(id) || seen[id] {
			t.Fatalf("id %q after %q", id, last)
		}
		seen[id], last = true, id
	}
	if a, b := newRequestID(start), newRequestID(start); a == b || a[:10] != b[:10] {
		t.Errorf("ids of one moment: %q, %q", a, b)
	}
}
