package notice

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/incident"
)

func oneIncident() Batch {
	return Batch{News: []News{{New: true, Times: 3, Incident: &incident.Incident{ID: "k7f3", Kind: incident.Exception, App: "blog", Count: 3,
		First: time.Unix(1700000000, 0).UTC(), Last: time.Unix(1700000009, 0).UTC(), Traceback: &incident.Traceback{Language: "python", Type: "ValueError", Message: "no\r\nBcc: x@example.com",
			Frames: []incident.Frame{{File: "/srv/blog/views.py", Line: 7, Function: "index", Code: "    raise ValueError(x)"}}}}}}}
}

// hook serves one webhook with h, and posts a batch to it.
func hook(t *testing.T, h http.HandlerFunc) (*Webhook, func() error) {
	s := httptest.NewServer(h)
	client := NewWebhookClient()
	t.Cleanup(func() { client.CloseIdleConnections(); s.Close() })
	w := &Webhook{URL: s.URL + "/in?token=hush", Client: client, Agent: "frontd/test"}
	return w, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return w.Send(ctx, oneIncident())
	}
}

func TestWebhookPostsTheIncident(t *testing.T) {
	var got *http.Request
	var body []byte
	w, post := hook(t, func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	})
	w.Secret, w.Header = "s3cret", http.Header{"Authorization": {"Bearer t"}}
	if err := post(); err != nil {
		t.Fatal(err)
	}
	var i incident.Incident
	if err := json.Unmarshal(body, &i); err != nil || i.ID != "k7f3" || i.Traceback.Frames[0].Line != 7 {
		t.Errorf("body %s: %v", body, err)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "X-Frontd-Event": "new", "X-Frontd-Incident": "k7f3",
		"X-Frontd-Times": "3", "Authorization": "Bearer t", "User-Agent": "frontd/test"} {
		if v := got.Header.Get(name); v != want || got.Method != http.MethodPost || got.URL.Query().Get("token") != "hush" {
			t.Errorf("%s %s: %s is %q, want %q", got.Method, got.URL, name, v, want)
		}
	}
	signature := got.Header.Get("X-Frontd-Signature")
	var at int64
	if err := json.Unmarshal([]byte(strings.TrimPrefix(strings.Split(signature, ",")[0], "t=")), &at); err != nil {
		t.Fatal(err)
	}
	if want := Sign("s3cret", time.Unix(at, 0), body); signature != want || time.Since(time.Unix(at, 0)) > time.Minute {
		t.Errorf("signature %q, want %q", signature, want)
	}
}

// The value is computed apart: printf 1700000000.{} | openssl dgst -sha256 -hmac key
func TestSignature(t *testing.T) {
	const want = "t=1700000000,sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
	if got := Sign("key", time.Unix(1700000000, 0), []byte("{}")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWebhookAnswers(t *testing.T) {
	for _, c := range []struct {
		status           int
		failed, refusing bool
	}{{200, false, false}, {204, false, false}, {302, true, true}, {400, true, true}, {404, true, true},
		{408, true, false}, {429, true, false}, {500, true, false}, {503, true, false}} {
		visits := 0
		_, post := hook(t, func(w http.ResponseWriter, r *http.Request) {
			visits++
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
		})
		err := post()
		_, refused := errors.AsType[*Refusal](err)
		if (err != nil) != c.failed || refused != c.refusing || visits != 1 {
			t.Errorf("%d: %v, %d visits", c.status, err, visits)
		}
	}
}

func TestWebhookThatIsSlowOrAway(t *testing.T) {
	release := make(chan struct{})
	w, _ := hook(t, func(http.ResponseWriter, *http.Request) { <-release })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := w.Send(ctx, oneIncident())
	close(release)
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "hush") {
		t.Errorf("slow: %v", err)
	}
	w.URL = "http://127.0.0.1:1/?token=hush"
	if err := w.Send(context.Background(), oneIncident()); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("away: %v", err)
	}
}
