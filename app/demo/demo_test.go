package demo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// crashEnv makes the test binary serve the demo once and crash.
const crashEnv = "DEMO_TEST_CRASH"

func TestMain(m *testing.M) {
	if how := os.Getenv(crashEnv); how != "" {
		r := httptest.NewRequest("POST", "/crash?how="+how, nil)
		New(Options{}).ServeHTTP(httptest.NewRecorder(), r)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func get(t *testing.T, h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPages(t *testing.T) {
	h := New(Options{
		Worker: "w<7>",
		Params: func(*http.Request) map[string]string { return map[string]string{"REQUEST_ID": "<i>42</i>"} },
	})
	tests := []struct {
		name, method, target, body string
		status                     int
		want                       string // must be in the body
	}{
		{"the request", "GET", "/?a=b", "", 200, "/?a=b"},
		{"its parameters", "GET", "/", "", 200, "&lt;i&gt;42&lt;/i&gt;"},
		{"the worker's name is text", "GET", "/", "", 200, "w&lt;7&gt;"},
		{"the process", "GET", "/", "", 200, fmt.Sprintf("process %d", os.Getpid())},
		{"form", "GET", "/form", "", 200, "Send by POST"},
		{"form by GET", "GET", "/form?name=Ann", "", 200, "Ann"},
		{"form by POST", "POST", "/form", "name=Ann+Lee", 200, "Ann Lee"},
		{"form too large", "POST", "/form", "name=" + strings.Repeat("x", maxForm), 413, "1048576"},
		{"form malformed", "POST", "/form", "name=%zz", 400, "invalid URL escape"},
		{"upload form", "GET", "/upload", "", 200, "multipart/form-data"},
		{"session", "GET", "/session", "", 200, "visit number 1"},
		{"crash form", "GET", "/crash", "", 200, "SIGKILL"},
		{"crash without a way", "POST", "/crash", "", 400, "allowed are panic, exit, kill, hang, abort"},
		{"hello", "GET", "/hello", "", 200, "hello\n"},
		{"headers", "GET", "/headers", "", 200, "X-Probe: yes\n"},
		{"status", "GET", "/status?code=418", "", 418, "teapot"},
		{"status without a body", "GET", "/status?code=204", "", 204, ""},
		{"status not a number", "GET", "/status?code=x", "", 400, "from 200 to 599"},
		{"status interim", "GET", "/status?code=100", "", 400, "from 200 to 599"},
		{"sleep", "GET", "/sleep?ms=0", "", 200, "slept 0 ms"},
		{"sleep too long", "GET", "/sleep?ms=600001", "", 400, "from 0 to 600000"},
		{"echo", "POST", "/echo", "back", 200, "back"},
		{"checksum", "POST", "/checksum", "abc", 200, `"size":3,"sha256":"ba7816bf`},
		{"raw upload", "PUT", "/upload", "abc", 200, `"size":3,"sha256":"ba7816bf`},
		{"stream", "GET", "/stream?n=3&interval=0", "", 200, "chunk 3 of 3"},
		{"stream of nothing", "GET", "/stream?n=0", "", 400, "from 1 to"},
		{"events", "GET", "/events?n=2&interval=10", "", 200, "id: 2\ndata: "},
		{"download too large", "GET", "/download?bytes=10737418241", "", 400, "to 10737418240"},
		{"download negative", "GET", "/download?bytes=-1", "", 400, "from 0"},
		{"redirect", "GET", "/redirect", "", 303, ""},
		{"missing", "GET", "/<script>", "", 404, "&lt;script&gt;"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := []string{"X-Probe", "yes"}
			if strings.HasPrefix(test.name, "form") && test.method == "POST" {
				header = append(header, "Content-Type", "application/x-www-form-urlencoded")
			}
			w := get(t, h, test.method, test.target, test.body, header...)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%s %s: %d %.200q; want %d with %q", test.method, test.target, w.Code, w.Body, test.status, test.want)
			}
		})
	}
}

// TestNothingIsMarkup sends markup by every way that a page shows again.
func TestNothingIsMarkup(t *testing.T) {
	const evil = `"'><script>alert(1)</script>`
	h := New(Options{Params: func(*http.Request) map[string]string { return map[string]string{evil: evil} }})
	form := "application/x-www-form-urlencoded"
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	if _, err := mw.CreateFormFile(evil, evil); err != nil {
		t.Fatal(err)
	}
	mw.Close()
	answers := map[string]*httptest.ResponseRecorder{
		"index":     get(t, h, "GET", "/?q=%3Cscript%3Ealert(1)", "", "X-Evil", evil, "Referer", evil),
		"form GET":  get(t, h, "GET", "/form?%3Cscript%3Ealert(1)=%22%3E%3Cscript%3Ealert(1)", ""),
		"form POST": get(t, h, "POST", "/form", "name=%22%3E%3Cscript%3Ealert(1)", "Content-Type", form),
		"upload":    get(t, h, "POST", "/upload", body.String(), "Content-Type", mw.FormDataContentType()),
		"session":   get(t, h, "GET", "/session", "", "Cookie", "demo_visits=<script>alert(1)"),
		"missing":   get(t, h, "GET", "/%3Cscript%3Ealert(1)", ""),
	}
	for name, w := range answers {
		if strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s: markup came through: %s", name, w.Body)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no content policy", name)
		}
	}
	echoed := get(t, h, "POST", "/echo", evil, "Content-Type", "text/html")
	if ct := echoed.Header().Get("Content-Type"); ct != "application/octet-stream" {
		t.Errorf("echo: sent as %s", ct)
	}
}

func TestMount(t *testing.T) {
	h := New(Options{Mount: func(*http.Request) string { return "/demo" }})
	if w := get(t, h, "GET", "/demo", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `href="/demo/form"`) {
		t.Errorf("index: %d %s", w.Code, w.Body)
	}
	if w := get(t, h, "GET", "/demo/hello", ""); w.Body.String() != "hello\n" {
		t.Errorf("hello: %d %s", w.Code, w.Body)
	}
	if w := get(t, h, "GET", "/demo/redirect", ""); w.Header().Get("Location") != "/demo/" {
		t.Errorf("redirect to %q", w.Header().Get("Location"))
	}
	if w := get(t, h, "GET", "/demonstration", ""); w.Code != 404 {
		t.Errorf("beside the mount: %d", w.Code)
	}
}

func TestSessionCounts(t *testing.T) {
	h := New(Options{})
	cookie := ""
	for i := 1; i <= 3; i++ {
		w := get(t, h, "GET", "/session", "", "Cookie", cookie)
		if want := fmt.Sprintf("visit number %d.", i); !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in %s", want, w.Body)
		}
		cookie = strings.Split(w.Header().Get("Set-Cookie"), ";")[0]
	}
}

// A kept is a session; a nil one is that of a URL without sessions.
type kept map[string]int64

func (k kept) Int(key string) int64 { return k[key] }

func (k kept) Add(key string, n int64) error {
	if k == nil {
		return errors.New("no sessions here")
	}
	k[key] += n
	return nil
}

func TestSessionIsTheSites(t *testing.T) {
	var of kept
	h := New(Options{Session: func(*http.Request) Session { return of }})
	if w := get(t, h, "GET", "/session", ""); !strings.Contains(w.Body.String(), "visit number 1.") || w.Header().Get("Set-Cookie") == "" {
		t.Errorf("without sessions: %s", w.Body)
	}
	of = kept{visitsKey: 6}
	if w := get(t, h, "GET", "/session", ""); !strings.Contains(w.Body.String(), "visit number 7.") || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("with a session: %q %s", w.Header().Get("Set-Cookie"), w.Body)
	}
}

func TestUploadSums(t *testing.T) {
	content := bytes.Repeat([]byte("frontd "), 100_000)
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	for _, name := range []string{"a.bin", "b.bin"} {
		part, err := mw.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	mw.Close()
	w := get(t, New(Options{}), "POST", "/upload", body.String(), "Content-Type", mw.FormDataContentType(), "Accept", "application/json")
	var got []sum
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(content)
	want := sum{Field: "file", Size: int64(len(content)), SHA256: hex.EncodeToString(hash[:])}
	for i, name := range []string{"a.bin", "b.bin"} {
		want.File = name
		if i >= len(got) || got[i] != want {
			t.Fatalf("got %+v; want %+v at %d", got, want, i)
		}
	}
	cut := get(t, New(Options{}), "POST", "/upload", body.String()[:1000], "Content-Type", mw.FormDataContentType())
	if cut.Code != http.StatusBadRequest {
		t.Errorf("an upload cut short: %d; want 400", cut.Code)
	}
}

func TestDownloadIsExact(t *testing.T) {
	const n = 251*256*2 + 1000
	w := get(t, New(Options{}), "GET", fmt.Sprintf("/download?bytes=%d", n), "")
	if w.Body.Len() != n || w.Header().Get("Content-Length") != fmt.Sprint(n) {
		t.Fatalf("%d bytes, Content-Length %s; want %d", w.Body.Len(), w.Header().Get("Content-Length"), n)
	}
	for i, b := range w.Body.Bytes() {
		if b != byte(i%251) {
			t.Fatalf("byte %d is %d; want %d", i, b, i%251)
		}
	}
	if tag := w.Header().Get("ETag"); tag != "" {
		t.Errorf("ETag %s; want none", tag)
	}
}

func server(t *testing.T) *httptest.Server {
	srv := httptest.NewUnstartedServer(New(Options{}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // the panics asked for
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// TestEchoIsDuplex reads the first half back before it sends the second.
func TestEchoIsDuplex(t *testing.T) {
	srv := server(t)
	r, w := io.Pipe()
	req, err := http.NewRequest("POST", srv.URL+"/echo", r)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(w, "first\n"); sent <- err }()
	// sent is received below.
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	back := bufio.NewReader(resp.Body)
	if line, err := back.ReadString('\n'); line != "first\n" {
		t.Fatalf("first line back: %q, %v", line, err)
	}
	if _, err := io.WriteString(w, "second\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if rest, err := io.ReadAll(back); string(rest) != "second\n" || err != nil {
		t.Fatalf("rest: %q, %v", rest, err)
	}
}

// TestEventsEndWithTheClient: the server's Close would wait for a handler that stayed.
func TestEventsEndWithTheClient(t *testing.T) {
	srv := server(t)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "id: 1\n" {
		t.Fatalf("first line: %q, %v", line, err)
	}
	cancel()
	resp.Body.Close()
}

func TestCrashInHandler(t *testing.T) {
	srv := server(t)
	post := func(how string, header ...string) (*http.Response, error) {
		req, err := http.NewRequest("POST", srv.URL+"/crash?how="+how, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return srv.Client().Do(req)
	}
	if _, err := post("panic"); err == nil {
		t.Error("panic: an answer came")
	}
	resp, err := post("abort")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("abort: the answer ended as if it were whole")
	}
	resp.Body.Close()
	resp, err = post("panic", "Sec-Fetch-Site", "cross-site")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %d; want 403", resp.StatusCode)
	}
}

// TestHangEndsWithTheRequest: httptest's Close waits for the handler.
func TestHangEndsWithTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := httptest.NewRequest("POST", "/crash?how=hang", nil).WithContext(ctx)
		New(Options{}).ServeHTTP(httptest.NewRecorder(), r)
	}()
	// done is received below.
	select {
	case <-done:
		t.Fatal("hang returned before the request was aborted")
	default:
	}
	cancel()
	<-done
}

func TestCrashOfProcess(t *testing.T) {
	for how, want := range map[string]string{"exit": "exit status 3", "kill": "signal: killed"} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashEnv+"="+how)
		if err := cmd.Run(); err == nil || err.Error() != want {
			t.Errorf("%s: %v; want %s", how, err, want)
		}
	}
}
