package front

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/fcgi"
)

// What an incident may want of a request is on its record, as far as was
// asked for, and nothing of it on the next request's.
func TestExchangeCarriesStderrAndBody(t *testing.T) {
	w := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/noisy" {
			for i := range 10_000 {
				fmt.Fprintf(fcgi.Stderr(r.Context()), "line %d\n", i)
			}
		}
		io.WriteString(w, "ok")
	}))
	for _, keep := range []Keep{{}, {Stderr: 1000, Body: 10}} {
		type record struct{ stderr, body string }
		records := make(chan record, 1)
		settings := settingsFor()
		h, err := New(Config{Log: quiet, Keep: keep, Routes: []Route{{Path: "/", App: "app", Settings: settings, Handler: gateway(w.upstream)}},
			Observe: func(x *Exchange) { records <- record{string(x.Stderr), string(x.BodyHead)} }})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(h)
		fetch(t, newReq(t, "POST", srv.URL+"/noisy", strings.NewReader(strings.Repeat("0123456789abcdef", 5000))))
		noisy := <-records
		fetch(t, newReq(t, "GET", srv.URL+"/", nil))
		if quietOne := <-records; quietOne != (record{}) {
			t.Errorf("keep %+v: a request that said nothing has %q", keep, quietOne)
		}
		srv.Close()
		if keep == (Keep{}) {
			if noisy != (record{}) {
				t.Errorf("nothing is wanted, %d and %d bytes are kept", len(noisy.stderr), len(noisy.body))
			}
			continue
		}
		lines := strings.SplitAfter(noisy.stderr, "\n")
		if len(noisy.stderr) > 1000 || len(noisy.stderr) < 950 || !strings.HasSuffix(noisy.stderr, "line 9999\n") || !strings.HasPrefix(lines[0], "line 9") {
			t.Errorf("stderr of %d bytes: %.40q … want whole lines, the last, at most 1000 bytes", len(noisy.stderr), noisy.stderr)
		}
		if noisy.body != "0123456789" {
			t.Errorf("body %q, want its first 10 bytes", noisy.body)
		}
	}
}

// The bound on the wait for an answer's head is its own: 504, within it.
func TestGatewayFirstByteTimeout(t *testing.T) {
	release := make(chan struct{})
	w := startWorker(t, 8, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		http.NewResponseController(w).Flush() // the head is there in time
		select {
		case <-release:
			io.WriteString(w, "body")
		case <-r.Context().Done():
		}
	}))
	defer close(release)
	settings := settingsFor()
	settings.FirstByteTimeout, settings.RequestTimeout = 50*time.Millisecond, time.Minute
	killed := make(chan string, 16)
	w.upstream.Kill = func(reason string) { killed <- reason }
	g := gateway(w.upstream)
	url, records := site(t, Route{Path: "/", App: "app", Settings: settings, Handler: g})
	resp, _ := fetch(t, newReq(t, "GET", url+"/late", nil))
	if x := <-records; resp.StatusCode != http.StatusGatewayTimeout || x.Cause != RequestTimeout || x.Total < 50*time.Millisecond {
		t.Errorf("status %d, cause %q after %v", resp.StatusCode, x.Cause, x.Total)
	}
	if reason := <-killed; !strings.Contains(reason, "50ms") {
		t.Errorf("killed because %q", reason)
	}
	// A head that is in time on this machine, busy as it may be, and a body that is not.
	for status := 0; status != http.StatusOK; settings.FirstByteTimeout *= 4 {
		url, _ := site(t, Route{Path: "/", App: "app", Settings: settings, Handler: g})
		resp, err := http.DefaultTransport.RoundTrip(newReq(t, "GET", url+"/slow-body", nil))
		if err != nil {
			t.Fatal(err)
		}
		if status = resp.StatusCode; status == http.StatusOK {
			<-time.After(2 * settings.FirstByteTimeout) // this is what is tested, and not a wait for something
			release <- struct{}{}
			if b, err := io.ReadAll(resp.Body); string(b) != "body" || err != nil {
				t.Errorf("body %q, %v", b, err)
			}
		} else if settings.FirstByteTimeout > 10*time.Second {
			t.Fatalf("a head in time, a body later: status %d", status)
		}
		resp.Body.Close()
	}
}

// The exception that a host tells of last is known also behind all that goes into the log.
func TestExceptionBehindMuchStderr(t *testing.T) {
	var s stderrLines
	s.begin(&Gateway{Stderr: func(*Exchange, []byte) {}}, &Exchange{})
	s.write(bytes.Repeat([]byte("much\n"), maxStderrTotal))
	for _, part := range []string{"frontd-traceback: ", "{}", "\n"} {
		s.write([]byte(part))
	}
	if !s.traced {
		t.Error("the exception is not known")
	}
	if s.write([]byte("more\n")); s.traced {
		t.Error("what was written behind it is taken for it")
	}
}
