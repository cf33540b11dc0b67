package fcgi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseHead(t *testing.T) {
	tests := []struct{ in, want string }{
		{"Content-Type: text/plain\r\n\r\n", `200 -1 "" map[Content-Type:[text/plain]]`},
		{"content-type:a/b\nX:\ty \n\n", `200 -1 "" map[Content-Type:[a/b] X:[y]]`},
		{"Status: 404 Not Found\n\n", `404 -1 "" map[]`},
		{"status: 418\nContent-Length: 3\n\n", `418 3 "" map[]`},
		{"Status: 999 Own\n\n", `999 -1 "" map[]`},
		{"Location: https://e.example/\n\n", `302 -1 "" map[Location:[https://e.example/]]`},
		{"Location: //e.example/\n\n", `302 -1 "" map[Location:[//e.example/]]`},
		{"Status: 301 Moved\nLocation: /x\n\n", `301 -1 "" map[Location:[/x]]`},
		{"Location: /ok?a=b\n\n", `200 -1 "/ok?a=b" map[Location:[/ok?a=b]]`},
		{"Set-Cookie: a=1\nSet-Cookie: b=2\n\n", `200 -1 "" map[Set-Cookie:[a=1 b=2]]`},
		{"Content-Length: 5\nContent-Length: 5\nA: b\n\n", `200 5 "" map[A:[b]]`},
		{"A: b\nConnection: X-A, close\nX-A: c\nUpgrade: h2c\nKeep-Alive: 1\nTrailer: z\n\n", `200 -1 "" map[A:[b]]`},
		{"A: b\nX-CGI-Secret: s\n\n", `200 -1 "" map[A:[b]]`},
		{"Status: 103 Early Hints\nLink: </a>\n\n", `103 -1 "" map[Link:[</a>]]`},
		{"Content-Type: a\nContent-Type: a\n\n", `200 -1 "" map[Content-Type:[a]]`},

		{"\n", "error"},
		{"Status: 050 x\n\n", "error"},
		{"Status: 099\n\n", "error"},
		{"Status: 1000\n\n", "error"},
		{"Status: abc\n\n", "error"},
		{"Status: +20\n\n", "error"},
		{"Status: 101 Switching\n\n", "error"},
		{"Status: 200\nStatus: 200\n\n", "error"},
		{"HTTP/1.1 404 Not Found\n\n", "error"},
		{"no colon\n\n", "error"},
		{": no name\n\n", "error"},
		{"Bad Name: x\n\n", "error"},
		{"Name : x\n\n", "error"},
		{"A: b\x00c\n\n", "error"},
		{"A: b\rSet-Cookie: c\n\n", "error"},
		{"A: b\n folded\n\n", "error"},
		{"A: b\x7f\n\n", "error"},
		{"Transfer-Encoding: chunked\n\n", "error"},
		{"Content-Length: 1\nContent-Length: 2\n\n", "error"},
		{"Content-Length: -1\n\n", "error"},
		{"Content-Length: +1\n\n", "error"},
		{"Content-Length: 99999999999999999999\n\n", "error"},
		{"Content-Type: a\nContent-Type: b\n\n", "error"},
		{"Location: /a\nLocation: /b\n\n", "error"},
	}
	for _, tt := range tests {
		n, err := headLen([]byte(tt.in))
		if err != nil || n != len(tt.in) {
			t.Errorf("headLen(%q) = %d, %v; want %d", tt.in, n, err, len(tt.in))
			continue
		}
		h, err := parseHead([]byte(tt.in))
		got := fmt.Sprintf("%d %d %q %v", h.status, h.length, h.local, h.header)
		if err != nil {
			got = "error"
			var bad *ResponseError
			if !errors.As(err, &bad) {
				t.Errorf("%q: %v is no *ResponseError", tt.in, err)
			}
		}
		if got != tt.want {
			t.Errorf("%q: %s (%v), want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestHeadLen(t *testing.T) {
	const head = "A: b\r\nC: d\n\r\n"
	for i := range head {
		if n, err := headLen([]byte(head[:i])); n != 0 || err != nil {
			t.Errorf("headLen(%q) = %d, %v; want it unfinished", head[:i], n, err)
		}
	}
	if n, _ := headLen([]byte(head + "body\n\n")); n != len(head) {
		t.Errorf("headLen = %d, want %d", n, len(head))
	}
	if _, err := headLen([]byte("A: " + strings.Repeat("x", 20<<10) + "\n\n")); err != nil {
		t.Errorf("a line of 20 KB: %v", err)
	}
	if _, err := headLen([]byte(strings.Repeat("x", maxHead+1))); err == nil {
		t.Error("a header over its limit was not refused")
	}
	if _, err := headLen([]byte(strings.Repeat("A: b\n", maxHead/5+1))); err == nil {
		t.Error("a header of short lines over its limit was not refused")
	}
}

// Whatever a worker sends, what passes can be written to a client.
func FuzzParseHead(f *testing.F) {
	f.Add([]byte("Status: 200 OK\r\nContent-Type: text/html\r\n\r\nbody"))
	f.Add([]byte("Location: /x\n\n"))
	f.Add([]byte("A: b\r\rSet-Cookie: c\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := headLen(b)
		if err != nil || n == 0 {
			return
		}
		h, err := parseHead(b[:n])
		if err != nil {
			return
		}
		if h.status < 100 || h.status > 999 || h.length < -1 {
			t.Fatalf("%q gave status %d, length %d", b[:n], h.status, h.length)
		}
		for name, values := range h.header {
			for _, v := range values {
				if !validName(name) || strings.ContainsAny(v, "\r\n\x00") {
					t.Fatalf("%q let through %q: %q", b[:n], name, v)
				}
			}
		}
	})
}
