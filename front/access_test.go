package front

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

var hostileText = "\x1b[31m\r\n\"\\\x00\x9b\xffé\u2028\u0085"

func sample() (*Exchange, *http.Request) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI = "/x?" + hostileText
	r.Header = http.Header{"User-Agent": {hostileText}, "Referer": {hostileText}}
	return &Exchange{ID: "the-id", Start: time.Date(2026, 11, 21, 2, 3, 4, 5000, time.UTC), Client: netip.MustParseAddrPort("[2001:db8::1]:9"),
		Host: "a", App: "blog", Worker: Worker{PID: 7, Name: "blog/1"}, Queue: 1500 * time.Microsecond, WorkerTime: 2 * time.Second,
		Total: 3 * time.Second, Status: 502, Cause: WorkerDied, Detail: hostileText, BytesIn: 3, BytesOut: 4, Attempts: 2}, r
}

func TestTextLineIsOneLineWhateverTheClientSends(t *testing.T) { // H14
	x, r := sample()
	x.Detail = "dial \x1b\": no such file\nmore"
	line := string(appendText(nil, x, r, newSecond(x.Start)))
	hostile := `\x1b[31m\x0d\x0a\x22\x5c\x00\x9b\xff\xc3\xa9\xe2\x80\xa8\xc2\x85`
	want := `2001:db8::1 - - [21/Nov/2026:02:03:04 +0000] "GET /x?` + hostile + ` HTTP/1.1" 502 4 "` + hostile + `" "` + hostile +
		`" host="a" app=blog worker=7 queue=0.001500 worker_time=2.000000 total=3.000000 in=3 attempts=2 cause=worker-died detail="dial \x1b\x22: no such file" id=the-id` + "\n"
	if line != want {
		t.Errorf("line\n%q, want\n%q", line, want)
	}
	x.Detail = strings.Repeat("\x1b", 8<<10)
	if line := appendText(nil, x, r, newSecond(x.Start)); len(line) > len(want)+4*maxDetail {
		t.Errorf("a long detail makes a line of %d bytes", len(line))
	}
	x.Cause = ""
	if line := string(appendText(nil, x, r, newSecond(x.Start))); strings.Contains(line, "detail=") {
		t.Errorf("line %q has a detail of nothing", line)
	}
}

func TestTextLineOfNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	line := string(appendText(nil, &Exchange{ID: "i"}, r, newSecond(time.Time{})))
	if want := `^- - - \[.*\] "GET / HTTP/1.1" 000 0 "-" "-" host="" app=- worker=- queue=0.000000 .* cause=- id=i\n$`; !regexp.MustCompile(want).MatchString(line) {
		t.Errorf("line %q", line)
	}
}

func TestJSONLineIsJSONWhateverTheClientSends(t *testing.T) {
	x, r := sample()
	line := appendJSON(nil, x, r, newSecond(x.Start))
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

// The parts that lines of one second share, and our own digits, are what
// package time and strconv make of them.
func TestLogNumbers(t *testing.T) {
	l := NewAccessLog(io.Discard, LogText)
	zone := time.FixedZone("", 90*60)
	for _, start := range []time.Time{
		time.Unix(1e9, 0), time.Unix(1e9, 1), time.Unix(1e9, 120_000_000), time.Unix(1e9, 999_999_999).UTC(),
		time.Unix(1e9, 5).In(zone), time.Unix(1e9+1, 5).In(zone),
	} {
		s := l.second(start)
		if got, want := string(s.appendTime(nil, start.Nanosecond())), start.Format(time.RFC3339Nano); got != want {
			t.Errorf("time %s, want %s", got, want)
		}
		if want := start.Format("02/Jan/2006:15:04:05 -0700"); s.text != want {
			t.Errorf("time %s, want %s", s.text, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0.000000", 499: "0.000000", 500: "0.000001", time.Millisecond: "0.001000", 59999999999: "60.000000",
		time.Hour + 7*time.Microsecond: "3600.000007", -time.Second: "0.000000",
	} {
		if got := string(appendSeconds(nil, d)); got != want {
			t.Errorf("%d ns is %s, want %s", d, got, want)
		}
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
		l := NewAccessLog(&log, LogText)
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
		if !regexp.MustCompile(c.want).MatchString(log.String()) {
			t.Errorf("%s: logged %q, want %q", c.why, &log, c.want)
		}
	}
}

func TestRequestIDsSortByTimeAndDiffer(t *testing.T) {
	start, seen, last := time.UnixMilli(1e12), map[string]bool{}, ""
	for i := range 1000 {
		id := string(appendRequestID(nil, start.Add(time.Duration(i)*time.Millisecond)))
		if id <= last || len(id) != idLen || !saneID(id) || seen[id] {
			t.Fatalf("id %q after %q", id, last)
		}
		seen[id], last = true, id
	}
	if a, b := string(appendRequestID(nil, start)), string(appendRequestID(nil, start)); a == b || a[:10] != b[:10] {
		t.Errorf("ids of one moment: %q, %q", a, b)
	}
}
