package front

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/incident"
)

// What a worker ends a request with is told once: where FCGI_STDERR says why, that
// is the line, and there may be an incident in it; else a note is.
func TestGatewayTellsAStatusOnce(t *testing.T) {
	w := startWorker(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("said") {
			io.WriteString(fcgi.Stderr(r.Context()), "died at x.pl line 3.\n")
		}
		if r.URL.Query().Has("failed") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		io.WriteString(w, "hello")
		w.(interface{ SetAppStatus(uint32) }).SetAppStatus(3)
	}))
	for _, c := range []struct {
		query, note string
		incidents   []int
	}{
		{query: "", note: "application status 3"},
		{query: "?failed", note: "application status 3", incidents: []int{500}},
		{query: "?said", incidents: []int{200}},
		{query: "?said&failed", incidents: []int{500}},
	} {
		var notes []string
		var told []int
		g := gateway(w.upstream)
		g.Note = func(_ *Exchange, what string) { notes = append(notes, what) }
		done := make(chan struct{})
		h, err := New(Config{
			Routes: []Route{{App: "app", Settings: settingsFor(), Handler: g}}, Keep: Keep{Stderr: 1 << 10},
			Incident: func(f Failure) *incident.Incident { told = append(told, f.Status); return nil },
			Observe:  func(*Exchange) { close(done) },
		})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		resp, body := fetch(t, newReq(t, "GET", srv.URL+"/"+c.query, nil))
		<-done
		if body != "hello" {
			t.Errorf("%q: answer %d %q", c.query, resp.StatusCode, body)
		}
		if strings.Join(notes, "|") != c.note || !slices.Equal(told, c.incidents) {
			t.Errorf("%q: noted %q, incidents of %v; want %q, %v", c.query, notes, told, c.note, c.incidents)
		}
	}
}

// A 205 has no content, whatever the application writes (RFC 9110 §15.3.6).
func TestGatewayEmpties205(t *testing.T) {
	for _, length := range []string{"", "5", "0"} {
		w := startWorker(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			w.WriteHeader(http.StatusResetContent)
			io.WriteString(w, "hello")
		}))
		g := gateway(w.upstream)
		url, _ := site(t, Route{Path: "/", App: "app", Settings: settingsFor(), Handler: g})
		resp, body := fetch(t, newReq(t, "GET", url+"/", nil))
		if resp.StatusCode != http.StatusResetContent || body != "" || resp.ContentLength != 0 {
			t.Errorf("Content-Length %q: %d %q, length %d", length, resp.StatusCode, body, resp.ContentLength)
		}
	}
}
