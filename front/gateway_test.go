package front

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frontd/frontd/fcgi"
)

// appWorker is a worker in this process: our own server behind a unix socket.
type appWorker struct {
	upstream *fcgi.Upstream
	server   *fcgi.Server
	listener net.Listener
}

func startWorker(t *testing.T, capacity int, h http.Handler) *appWorker {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "w"))
	if err != nil {
		t.Fatal(err)
	}
	w := &appWorker{server: &fcgi.Server{Handler: h, Authorizer: h}, listener: l}
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(l) }() // its end is received at the test's
	w.upstream = upstreamAt(l.Addr().String(), capacity)
	t.Cleanup(func() {
		w.upstream.Transport.Abort(net.ErrClosed)
		w.upstream.Transport.Wait()
		w.server.Close()
		<-served
	})
	return w
}

func upstreamAt(path string, capacity int) *fcgi.Upstream {
	return &fcgi.Upstream{Name: "app/0", PID: 1, Capacity: capacity, Transport: &fcgi.Transport{
		Keep: true, Flow: capacity > 1,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// longBody is more than is kept for a repetition. What a dyingWorker leaves of it
// net/http takes before it answers: else the answer could be overtaken by the
// connection's end (maxPostHandlerReadBytes there, in bytes).
const longBody = 512<<10 + 128<<10

// dyingWorker accepts requests and closes each connection without an answer.
func dyingWorker(t *testing.T, taken *atomic.Int64) *fcgi.Upstream {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "d"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done) // received at the test's end
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 64<<10)
			n, _ := nc.Read(b)
			if n > 1 && b[1] == byte(fcgi.TypeBeginRequest) { // else it is asked whether it lives
				taken.Add(1)
			}
			if bytes.Contains(b[:n], fmt.Appendf(nil, "CONTENT_LENGTH%d", longBody)) {
				io.CopyN(io.Discard, nc, 512<<10) // more than is kept for a repetition
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return upstreamAt(l.Addr().String(), 1)
}

// site serves the routes over HTTP. The records of its requests come from the channel.
func site(t *testing.T, routes ...Route) (url string, records <-chan Exchange) {
	t.Helper()
	seen := make(chan Exchange, 64)
	return siteOf(t, Config{Routes: routes, Observe: func(x *Exchange) { seen <- *x }}), seen
}

// siteOf serves a chain over HTTP.
func siteOf(t *testing.T, c Config) (url string) {
	t.Helper()
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func gateway(ups ...*fcgi.Upstream) *Gateway {
	g := &Gateway{Name: "app", Pool: fcgi.NewPool(16)}
	for _, u := range ups {
		g.Pool.Add(u)
	}
	return g
}

func fetch(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("body: %v", err)
	}
	return resp, string(b)
}

func newReq(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return req
}

func settingsFor() Settings {
	s := DefaultSettings()
	s.QueueTimeout = 10 * time.Second
	return s
}

func TestGatewayRepeatsWhatIsSafe(t *testing.T) {
	var taken atomic.Int64
	good := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d", r.Method, len(b))
	}))
	tests := []struct {
		method, body string
		status       int
		attempts     int
	}{
		{"GET", "", 200, 2},
		{"PUT", strings.Repeat("x", 1000), 200, 2},     // idempotent, and its body is still here
		{"PUT", strings.Repeat("x", longBody), 502, 1}, // idempotent, but bytes of the body are gone
		{"POST", "", 502, 1},                           // the worker may have acted on it
		{"POST", strings.Repeat("x", 1000), 502, 1},
	}
	for _, tt := range tests {
		dying := dyingWorker(t, &taken)
		dying.PID = 2
		g := gateway(dying) // it is idle longest, so it goes first
		g.Pool.Add(good.upstream)
		url, records := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
		resp, body := fetch(t, newReq(t, tt.method, url, strings.NewReader(tt.body)))
		x := <-records
		if resp.StatusCode != tt.status || x.Attempts != tt.attempts {
			t.Errorf("%s of %d bytes: %d %q after %d attempts, want %d after %d", tt.method, len(tt.body), resp.StatusCode, body, x.Attempts, tt.status, tt.attempts)
		}
		if tt.status == 200 && body != fmt.Sprintf("%s %d", tt.method, len(tt.body)) {
			t.Errorf("%s: %q, want all of the body once", tt.method, body)
		}
		if tt.status == 502 && x.Cause != WorkerDied {
			t.Errorf("%s: cause %q", tt.method, x.Cause)
		}
		if lost := g.Lost(2); len(lost) != 1 || lost[0].Method != tt.method {
			t.Errorf("lost requests %+v, want this one", lost)
		}
	}
	taken.Store(0)
	g := gateway(dyingWorker(t, &taken), dyingWorker(t, &taken), dyingWorker(t, &taken), dyingWorker(t, &taken))
	url, _ := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	if resp, _ := fetch(t, newReq(t, "GET", url, nil)); resp.StatusCode != 502 || taken.Load() != 1+maxRepeats {
		t.Errorf("status %d after %d workers, want 502 after %d", resp.StatusCode, taken.Load(), 1+maxRepeats)
	}
}

func TestGatewayAuthorizer(t *testing.T) {
	w := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		env := map[string]string{}
		for _, p := range fcgi.Env(r) {
			env[p.Name] += p.Value
		}
		if env["FCGI_ROLE"] != "" || env["X"] != "" {
			t.Errorf("variables %v", env)
		}
		if r.URL.Path == "/ask/login" {
			w.Header().Set("Location", "/login") // and no status: a local redirect
			return
		}
		if r.URL.Path == "/ask" && r.Header.Get("X-Key") == "" {
			http.Error(w, "no key", http.StatusForbidden)
			return
		}
		w.Header().Set("Variable-REMOTE_USER", "alice")
		w.Header().Set("Variable-HTTP_X_USER", "alice")
		fmt.Fprintf(w, "%s %s", env["REMOTE_USER"], env["HTTP_X_USER"])
	}))
	g := gateway(w.upstream)
	url, _ := site(t,
		Route{Path: "/ask", App: "app", Settings: settingsFor(), Handler: g, Authorizer: g},
		Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	resp, body := fetch(t, newReq(t, "GET", url+"/ask", nil))
	if resp.StatusCode != 403 || body != "no key\n" {
		t.Errorf("without a key: %d %q", resp.StatusCode, body)
	}
	if resp, _ := fetch(t, newReq(t, "GET", url+"/ask/login", nil)); resp.StatusCode != 302 || resp.Header.Get("Location") != "/login" {
		t.Errorf("a redirect of the authorizer: %d %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	req := newReq(t, "POST", url+"/ask", strings.NewReader("the body is for the application"))
	req.Header.Set("X-Key", "k")
	req.Header.Set("X-User", "root")
	if resp, body = fetch(t, req); resp.StatusCode != 200 || body != "alice alice" {
		t.Errorf("with a key: %d %q, want the authorizer's variables instead of the client's", resp.StatusCode, body)
	}
}

func TestGatewaySendsFiles(t *testing.T) { // H15
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	files, err := NewStatic(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	internal, err := NewStatic(dir, "/int")
	if err != nil {
		t.Fatal(err)
	}
	defer internal.Close()
	w := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", "attachment")
		w.Header().Set(r.URL.Query().Get("h"), r.URL.Query().Get("v"))
		io.WriteString(w, "the application's own")
	}))
	g := gateway(w.upstream)
	url, _ := site(t,
		Route{Path: "/int/", Internal: true, Settings: settingsFor(), Handler: internal},
		Route{Path: "/off", App: "app", Settings: settingsFor(), Handler: g},
		Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g, Sendfile: []FileRoot{{dir, files}}})
	tests := []struct {
		path, header, value string
		status              int
		body                string
	}{
		{"/", "X-Sendfile", dir + "/a.txt", 200, "0123456789"},
		{"/", "X-Sendfile", dir + "/nothing", 404, ""},
		{"/", "X-Sendfile", dir + "/link", 404, ""},
		{"/", "X-Sendfile", dir + "/../a.txt", 502, ""},
		{"/", "X-Sendfile", "/etc/passwd", 502, ""},
		{"/", "X-Sendfile", "a.txt", 502, ""},
		{"/off", "X-Sendfile", dir + "/a.txt", 200, "the application's own"},
		{"/", "X-Accel-Redirect", "/int/a.txt", 200, "0123456789"},
		{"/", "X-Accel-Redirect", "/int/../../etc/passwd", 502, ""},
		{"/", "X-Accel-Redirect", "http://evil/", 502, ""},
		{"/int/a.txt", "X-None", "x", 200, "the application's own"}, // a client does not get there
	}
	for _, tt := range tests {
		req := newReq(t, "POST", url+tt.path+"?h="+tt.header+"&v="+tt.value, strings.NewReader("upload"))
		resp, body := fetch(t, req)
		if resp.StatusCode != tt.status || tt.status == 200 && body != tt.body {
			t.Errorf("%s: %s: %s: %d %q, want %d %q", tt.path, tt.header, tt.value, resp.StatusCode, body, tt.status, tt.body)
		}
		if strings.Contains(body, "root:") {
			t.Errorf("%s: a file from outside was sent", tt.value)
		}
		if tt.body == "0123456789" && resp.Header.Get("Content-Disposition") != "attachment" {
			t.Errorf("%s: the application's Content-Disposition is gone", tt.value)
		}
	}
}

// A worker of one request at a time is free for the next when it has ended
// its answer, however slowly the client takes it: from memory, then a file.
func TestGatewaySlowClientFreesWorker(t *testing.T) {
	const size = 20 << 20
	w := startWorker(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			for range size / (64 << 10) {
				w.Write(bytes.Repeat([]byte("0123456789abcdef"), 4096))
			}
			return
		}
		io.WriteString(w, "next")
	}))
	g := gateway(w.upstream)
	url, records := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	resp, err := http.DefaultTransport.RoundTrip(newReq(t, "GET", url+"/big", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, body := fetch(t, newReq(t, "GET", url+"/next", nil)); body != "next" {
		t.Fatalf("behind a client that reads nothing: %q", body)
	}
	<-records // of /next; /big goes on
	n, err := io.Copy(io.Discard, resp.Body)
	if n != size || err != nil {
		t.Errorf("%d bytes, %v; want %d", n, err, size)
	}
	if x := <-records; x.Cause != "" || x.BytesOut != size {
		t.Errorf("record of the slow one: cause %q, %d bytes", x.Cause, x.BytesOut)
	}
}

func TestGatewaySpoolsWhatNeedsALength(t *testing.T) {
	w := startWorker(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.ContentLength, n, err)
	}))
	g := gateway(w.upstream)
	g.NeedLength = true
	url, _ := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	for _, size := range []int{0, 1, maxSpoolMemory, maxSpoolMemory + 1, 3 << 20} {
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", size))) // of unknown length: chunked
		_, got := fetch(t, newReq(t, "POST", url, body))
		if want := fmt.Sprint(int64(size), int64(size), nil); got != want {
			t.Errorf("chunked body of %d bytes: worker saw %s, want %s", size, got, want)
		}
	}
}

func TestGatewayLocalRedirect(t *testing.T) {
	w := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/from":
			w.Header().Set("Location", "/to?a=b")
		case "/loop":
			w.Header().Set("Location", "/loop")
		case "/out":
			w.Header().Set("Location", "/../../x")
		default:
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %q", r.Method, r.URL, b)
		}
	}))
	g := gateway(w.upstream)
	url, _ := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	if resp, body := fetch(t, newReq(t, "POST", url+"/from", strings.NewReader("form"))); resp.StatusCode != 200 || body != `GET /to?a=b ""` {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for path, status := range map[string]int{"/loop": 500, "/out": 502} {
		if resp, _ := fetch(t, newReq(t, "GET", url+path, nil)); resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, status)
		}
	}
}

// Where places are few, a client that sends slowly takes none before its body
// is here, and one that sends at once streams.
func TestGatewayFewPlaces(t *testing.T) {
	w := startWorker(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.ContentLength, n, err)
	}))
	g := gateway(w.upstream)
	g.FewPlaces = true
	url, _ := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
	body, feed := io.Pipe()
	slow := newReq(t, "POST", url, body)
	slow.ContentLength = 10
	answered := make(chan string, 1)
	go func() { // its end is received below
		resp, err := http.DefaultTransport.RoundTrip(slow)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answered <- string(b)
	}()
	io.WriteString(feed, "01234")
	for range 3 {
		if _, got := fetch(t, newReq(t, "POST", url, strings.NewReader("quick"))); got != "5 5 <nil>" {
			t.Fatalf("beside a slow client: %s", got)
		}
	}
	io.WriteString(feed, "56789")
	feed.Close()
	if got := <-answered; got != "10 10 <nil>" {
		t.Errorf("the slow client: %s", got)
	}
	big := strings.Repeat("x", 8<<20)
	if _, got := fetch(t, newReq(t, "POST", url, strings.NewReader(big))); got != fmt.Sprint(len(big), len(big), nil) {
		t.Errorf("a large body at once: %s", got)
	}
	endless, _ := io.Pipe()
	refused := newReq(t, "POST", url+"/refuse", io.MultiReader(strings.NewReader(big), endless))
	refused.ContentLength = 1 << 25
	resp, err := http.DefaultTransport.RoundTrip(refused)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("refused in the midst of its body: %v, %v", resp, err)
	}
	resp.Body.Close()
	endless.Close()
}
