package front

import (
	"bytes"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever an engine answers without a handler is told once, with the cause of
// its status.
func TestRefusedHeadsAreTold(t *testing.T) {
	for _, c := range []struct {
		why, raw string
		cause    Cause
		status   int
	}{
		{"folded line", "GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", BadRequest, 400},
		{"no host", "GET /a HTTP/1.1\r\n\r\n", BadRequest, 400},
		{"two hosts", "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BadRequest, 400},
		{"head over 64 KiB", "GET /a HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:"+strings.Repeat("b", 998)+"\r\n", 100) + "\r\n", HeadTooLarge, 431},
		{"an expectation", "GET /a HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", ExpectationFailed, 417},
		{"a 417 of the application's", "GET /417 HTTP/1.1\r\nHost: a\r\n\r\n", "", 417},
		{"a good one", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "", 200},
	} {
		handler := func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/417" {
				w.WriteHeader(http.StatusExpectationFailed)
			}
			ok(w, r)
		}
		open(t, Config{}, ServerConfig{}, handler, func(d *door) {
			if got := statuses(t, d.talk(c.raw, 1<<20)); !slices.Equal(got, []int{c.status}) {
				t.Errorf("%s: answers %v, want %d", c.why, got, c.status)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			var told []Cause
			for _, r := range d.refusals {
				told = append(told, r.Cause)
			}
			for _, x := range d.seen {
				told = append(told, x.Cause)
			}
			if !slices.Equal(told, []Cause{c.cause}) {
				t.Errorf("%s: told of %q, want %q once; refused: %+v", c.why, told, c.cause, d.refusals)
			}
		})
	}
}

func TestRefusedHeadsAreLogged(t *testing.T) {
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}
	for _, c := range []struct {
		r    Refusal
		want string
	}{
		{Refusal{Remote: remote, Cause: HeadTooLarge, Bytes: 20}, `^192\.0\.2\.1 - - \[[^]]+\] "- - -" 431 20 "-" "-" .* cause=head-too-large id=-\n$`},
		{Refusal{Remote: remote, Cause: TooSlow, Method: "GET", Target: "/\x1b\r\n", Start: time.Now()},
			`"GET /\\x1b\\x0d\\x0a -" 408 0 .* cause=too-slow id=-\n$`},
		{Refusal{Cause: BadRequest, Proto: "HTTP/1.1"}, `^- - - \[[^]]+\] "- - HTTP/1.1" 400 `},
	} {
		var log bytes.Buffer
		NewAccessLog(&log, LogText).Refused(c.r)
		if !regexp.MustCompile(c.want).MatchString(log.String()) || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("logged %q, want %q", &log, c.want)
		}
	}
}
