package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestCauses pins contract 4: word, status, whether the connection closes.
func TestCauses(t *testing.T) {
	for _, c := range []struct {
		cause  Cause
		word   string
		status int
		closes bool
		retry  string
	}{
		{QueueTimeout, "queue-timeout", 503, false, "1"}, {QueueFull, "queue-full", 503, false, "1"}, {WorkerDied, "worker-died", 502, false, ""},
		{RequestTimeout, "request-timeout", 504, false, ""}, {BadResponse, "bad-response", 502, false, ""}, {BodyTooLarge, "body-too-large", 413, true, ""},
		{HeadTooLarge, "head-too-large", 431, true, ""}, {TooSlow, "too-slow", 408, true, ""}, {BadRequest, "bad-request", 400, true, ""},
		{NoRoute, "no-route", 404, false, ""}, {StartFailed, "start-failed", 503, false, "5"}, {NotFound, "not-found", 404, false, ""},
		{Forbidden, "forbidden", 403, false, ""}, {MethodNotAllowed, "method-not-allowed", 405, false, ""}, {TargetTooLong, "target-too-long", 414, true, ""},
		{ExpectationFailed, "expectation-failed", 417, true, ""}, {VersionUnsupported, "version-unsupported", 505, true, ""},
		{LengthRequired, "length-required", 411, true, ""}, {RedirectLoop, "redirect-loop", 500, false, ""}, {UpstreamUnreachable, "upstream-unreachable", 502, false, ""},
		{Exhausted, "exhausted", 503, false, "1"},
		{SpoolFailed, "spool-failed", 507, true, ""}, {ShuttingDown, "shutting-down", 503, true, "1"}, {Internal, "internal", 500, false, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		f := newFlight(httptest.NewRecorder(), r, &defaultSettings)
		f.ID = "the-id"
		w := httptest.NewRecorder()
		w.Header().Set("Set-Cookie", "of=the application")
		Fail(w, r.WithContext(f), c.cause, "secret")
		h := w.Header()
		if string(c.cause) != c.word || w.Code != c.status || (h.Get("Connection") == "close") != c.closes || h.Get("Retry-After") != c.retry {
			t.Errorf("%s: word %q, status %d, %v", c.word, c.cause, w.Code, h)
		}
		if f.Cause != c.cause || f.Detail != "secret" {
			t.Errorf("%s: recorded %q, %q", c.word, f.Cause, f.Detail)
		}
		body := w.Body.String()
		if h.Get("Set-Cookie") != "" || !strings.Contains(body, c.word) || !strings.Contains(body, "the-id") || strings.Contains(body, "secret") {
			t.Errorf("%s: header %v, body %q", c.word, h, body)
		}
		if http.StatusText(c.status) != "" && !strings.Contains(body, http.StatusText(c.status)) {
			t.Errorf("%s: body %q", c.word, body)
		}
	}
	if ClientGone.Status() != 499 || Cause("unheard-of").Status() != 500 {
		t.Error("client-gone is 499, what nobody knows 500")
	}
}

func TestErrorPageShowsDetailInDevelopmentEscaped(t *testing.T) {
	dev := defaultSettings
	dev.ShowErrors = true
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	f := newFlight(httptest.NewRecorder(), r, &dev)
	w := httptest.NewRecorder()
	Fail(w, r.WithContext(f), StartFailed, "line 1\n<script>alert(1)</script>")
	if body := w.Body.String(); !strings.Contains(body, "&lt;script&gt;") || strings.Contains(body, "<script>") || !strings.HasPrefix(body, "<!DOCTYPE html>") {
		t.Errorf("page: %s", body)
	}
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("type %q", got)
	}
}

func TestErrorToHeadHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	Fail(w, httptest.NewRequest("HEAD", "/", nil), NotFound, "")
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
		t.Errorf("body %q, header %v", w.Body, w.Header())
	}
}

func TestPrefersHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/html": true, "text/plain, text/html": true, "text/html;q=0.5, text/plain": false, "text/html;q=0": false,
		"application/json": false, "TEXT/HTML ; q=0.9 , text/plain;q=0.1": true, "text/html;q=x": false, "text/html;q=2": false, "text/html;level=1": true,
	} {
		if got := preferred([]string{accept}) == formHTML; got != want {
			t.Errorf("%q: %v, want %v", accept, got, want)
		}
	}
}

func TestFailAfterTheHeadAborts(t *testing.T) {
	for _, c := range []struct {
		why   string
		sent  bool
		cause Cause
	}{{"head sent", true, WorkerDied}, {"client gone", false, ClientGone}} {
		r := httptest.NewRequest("GET", "/", nil)
		f := newFlight(httptest.NewRecorder(), r, &defaultSettings)
		if c.sent {
			f.writer.WriteHeader(http.StatusOK)
		}
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("%s: panic %v, want http.ErrAbortHandler", c.why, v)
				}
			}()
			Fail(&f.writer, r.WithContext(f), c.cause, "why")
		}()
		if f.Cause != c.cause || f.BytesOut != 0 {
			t.Errorf("%s: recorded %q, %d bytes", c.why, f.Cause, f.BytesOut)
		}
	}
}

func TestInterimAnswersAreNotTheAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	f := newFlight(w, httptest.NewRequest("GET", "/", nil), &defaultSettings)
	f.writer.WriteHeader(http.StatusEarlyHints)
	if f.HeadSent() {
		t.Error("103 taken for the head")
	}
	f.writer.WriteHeader(http.StatusCreated)
	if f.Status != http.StatusCreated {
		t.Errorf("status %d, want 201", f.Status)
	}
}

// A broken answer shows how far it came, even if all of it was there at once.
func TestBrokenAnswerIsSeenToBegin(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		Fail(w, r, WorkerDied, "")
	}
	open(t, Config{}, ServerConfig{}, handler, func(d *door) {
		c := d.dial()
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Error(err)
			return
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "half" || err == nil {
			t.Errorf("%q, %v; want it cut short", b, err)
		}
	})
}

func TestCauseOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Cause
	}{
		{nil, ""}, {&Error{Cause: QueueFull}, QueueFull}, {fmt.Errorf("read: %w", &Error{Cause: BodyTooLarge, Err: io.EOF}), BodyTooLarge},
		{&http.MaxBytesError{}, BodyTooLarge}, {context.Canceled, ClientGone}, {context.DeadlineExceeded, RequestTimeout},
		{fmt.Errorf("x: %w", os.ErrDeadlineExceeded), TooSlow}, {io.ErrUnexpectedEOF, ClientGone}, {syscall.ECONNRESET, ClientGone},
		{&net.OpError{Op: "read", Err: syscall.EPIPE}, ClientGone}, {errors.New("malformed chunked encoding"), BadRequest},
	} {
		if got := CauseOf(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
