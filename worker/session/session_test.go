package session

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"net"

	"go.uber.org/goleak"

	"github.com/frontd/frontd/fcgi"
	wire "github.com/frontd/frontd/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask serves one request with h and returns the answer, and what it says of the session.
func ask(t *testing.T, data string, h http.HandlerFunc) *fcgi.Response {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "w"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &fcgi.Server{Handler: h, ErrorLog: t.Logf}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	// Received below.
	tr := &fcgi.Transport{Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
	}}
	t.Cleanup(func() {
		tr.Abort(net.ErrClosed)
		tr.Wait()
		srv.Close()
		<-served
	})
	var params fcgi.Params
	params.Add("REQUEST_METHOD", "GET")
	params.Add("REQUEST_URI", "/")
	params.Add("SERVER_PROTOCOL", "HTTP/1.1")
	if data != "" {
		params.Add(wire.ParamData, data)
		params.Add(wire.ParamID, "id1")
	}
	resp, err := tr.RoundTrip(t.Context(), &fcgi.Request{Role: fcgi.RoleResponder, Params: &params})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(resp.Close)
	for {
		if _, err := resp.Next(); err != nil {
			return resp
		}
	}
}

func fields(h http.Header) string {
	var list []string
	for name, values := range h {
		for _, v := range values {
			list = append(list, strings.TrimPrefix(name, wire.HeaderPrefix)+" "+v)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func TestChangesGoOut(t *testing.T) {
	tests := []struct {
		name string
		do   func(s *Session)
		want string
	}{
		{"nothing", func(*Session) {}, ""},
		{"set", func(s *Session) { s.Set("k=%é", map[string]string{"a": "ü\r\nX: y"}) },
			"Set k%3D%25%C3%A9=%7B%22a%22:%22%C3%BC%5Cr%5CnX:%20y%22%7D"},
		{"add", func(s *Session) { s.Add("n", 1); s.Add("n", 2) }, "Add n=3"},
		{"set, then add", func(s *Session) { s.Set("n", 5); s.Add("n", 1) }, "Set n=6"},
		{"add, then set", func(s *Session) { s.Add("n", 1); s.Set("n", 5) }, "Set n=5"},
		{"set, then delete", func(s *Session) { s.Set("a/b", 1); s.Delete("a/b") }, "Delete a%2Fb"},
		{"delete, then add", func(s *Session) { s.Delete("n"); s.Add("n", 2) }, "Add n=2, Delete n"},
		{"clear", func(s *Session) { s.Set("x", 1); s.Add("n", 1); s.Clear() }, "Clear 1"},
		{"login", func(s *Session) { s.Renew(); s.Set("user", "ann") }, "Renew 1, Set user=%22ann%22"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := ask(t, `{"n":41,"name":"\u00e9"}`, func(w http.ResponseWriter, r *http.Request) {
				s := From(r.Context())
				if s.Int("n") != 41 || s.Text("name") != "é" || s.ID() != "id1" || s.Has("x") || s.Text("n") != "" {
					t.Errorf("the session is %s", s.values)
				}
				if From(r.Context()) != s {
					t.Error("another one the second time")
				}
				tt.do(s)
			})
			if got := fields(resp.Session); got != tt.want || resp.Status != 200 {
				t.Errorf("%d %s, want 200 %s", resp.Status, got, tt.want)
			}
			if changes, err := wire.TakeChanges(resp.Session); err != nil {
				t.Errorf("the front refuses %+v: %v", changes, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	resp := ask(t, `{}`, func(w http.ResponseWriter, r *http.Request) {
		s := From(r.Context())
		if s.Set("", 1) == nil || s.Set("\xff", 1) == nil || s.Set("f", func() {}) == nil || s.Set("t", "text") != nil || s.Add("t", 1) == nil {
			t.Error("a bad change was taken")
		}
		s.Delete("t")
		w.WriteHeader(http.StatusNoContent)
		if err := s.Set("k", 1); !errors.Is(err, ErrTooLate) {
			t.Errorf("after the head: %v", err)
		}
	})
	if got := fields(resp.Session); got != "Delete t" || resp.Status != http.StatusNoContent {
		t.Errorf("%d %s", resp.Status, got)
	}
	resp = ask(t, "", func(_ http.ResponseWriter, r *http.Request) {
		if err := From(r.Context()).Set("k", 1); !errors.Is(err, ErrNone) {
			t.Errorf("without sessions: %v", err)
		}
	})
	if resp.Session != nil {
		t.Errorf("without sessions: %v", resp.Session)
	}
	resp = ask(t, "{}", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("x"))
		if err := From(r.Context()).Set("k", 1); !errors.Is(err, ErrTooLate) {
			t.Errorf("asked for after the head: %v", err)
		}
	})
	if resp.Session != nil {
		t.Errorf("too late: %v", resp.Session)
	}
	if err := From(t.Context()).Set("k", 1); !errors.Is(err, ErrNone) {
		t.Errorf("outside of a request: %v", err)
	}
}

func TestFailuresStoreNothing(t *testing.T) {
	resp := ask(t, `{}`, func(_ http.ResponseWriter, r *http.Request) {
		From(r.Context()).Set("k", 1)
		panic(http.ErrAbortHandler)
	})
	if resp.Session != nil || resp.Status != 500 {
		t.Errorf("%d %v", resp.Status, resp.Session)
	}
}

func TestLocalRedirectKeepsChanges(t *testing.T) {
	resp := ask(t, `{}`, func(w http.ResponseWriter, r *http.Request) {
		From(r.Context()).Set("k", 1)
		w.Header().Set("Location", "/next")
	})
	if resp.LocalRedirect != "/next" || fields(resp.Session) != "Set k=1" {
		t.Errorf("%q %v", resp.LocalRedirect, resp.Session)
	}
}
