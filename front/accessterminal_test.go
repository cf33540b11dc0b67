package front

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A line for people: the status in colour, then how long, then what.
func TestAccessLogForTerminals(t *testing.T) {
	start := time.Date(2026, 11, 21, 14, 3, 7, 250e6, time.UTC)
	for _, c := range []struct {
		status int
		total  time.Duration
		cause  Cause
		want   string
	}{
		{200, 1234 * time.Microsecond, "", "14:03:07.250 \x1b[32m200\x1b[0m \x1b[2m 1.2ms\x1b[0m GET /a\n"},
		{302, 12 * time.Millisecond, "", "14:03:07.250 \x1b[36m302\x1b[0m \x1b[2m  12ms\x1b[0m GET /a\n"},
		{404, 999 * time.Millisecond, "", "14:03:07.250 \x1b[33m404\x1b[0m \x1b[2m 999ms\x1b[0m GET /a\n"},
		{502, 75 * time.Second, WorkerDied, "14:03:07.250 \x1b[31m502\x1b[0m \x1b[2m 75.0s\x1b[0m GET /a \x1b[31mworker-died\x1b[0m\n"},
		{0, -1, ClientGone, "14:03:07.250 \x1b[31m000\x1b[0m \x1b[2m 0.0ms\x1b[0m GET /a \x1b[31mclient-gone\x1b[0m\n"},
	} {
		x := &Exchange{Start: start, Status: c.status, Total: c.total, Cause: c.cause}
		var colour, plain bytes.Buffer
		NewAccessLog(&colour, LogTerminal).write(x, httptest.NewRequest("GET", "/a", nil))
		NewAccessLog(&plain, LogTerminalPlain).write(x, httptest.NewRequest("GET", "/a", nil))
		if colour.String() != c.want {
			t.Errorf("in colour %q, want %q", colour.String(), c.want)
		}
		for _, code := range []string{"0", "2", "31", "32", "33", "36"} {
			c.want = strings.ReplaceAll(c.want, "\x1b["+code+"m", "")
		}
		if plain.String() != c.want {
			t.Errorf("plain %q, want %q", plain.String(), c.want)
		}
	}
}

// What a client sends does not rule the terminal.
func TestAccessLogForTerminalsIsText(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI = "/\x1b[2J\x9b2J\r\n200"
	line := string(appendTerminal(nil, &Exchange{}, r, true))
	if strings.ContainsAny(line, "\x1b\x9b\r") || strings.Count(line, "\n") != 1 {
		t.Errorf("%q", line)
	}
}
