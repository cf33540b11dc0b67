package cgi

import (
	"bufio"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzReadHead: whatever a program writes, what is accepted is fit for a
// client, and is the same when it comes byte by byte.
func FuzzReadHead(f *testing.F) {
	for _, s := range []string{
		"Content-Type: text/plain\n\nbody", "Status: 404 Not Found\r\nX: y\r\n\r\n", "Location: /x\n\n",
		"\n", "no colon\n\n", "A: b\n c\n\n", "Content-Length: 5\nContent-Length: 5\n\n", "A: b\rc\n\n", "A: \x00\n\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := readHead(bufio.NewReader(strings.NewReader(s)))
		again, errAgain := readHead(bufio.NewReader(iotest.OneByteReader(strings.NewReader(s))))
		if (err == nil) != (errAgain == nil) || got.status != again.status || got.length != again.length || len(got.header) != len(again.header) {
			t.Fatalf("%+v, %v; byte by byte %+v, %v", got, err, again, errAgain)
		}
		if err != nil {
			return
		}
		if got.status < 200 || got.status > 999 || got.length < -1 {
			t.Fatalf("accepted %+v", got)
		}
		for name, values := range got.header {
			for _, v := range values {
				if err := checkField(name, v); err != nil || strings.ContainsAny(v, "\r\n\x00") {
					t.Fatalf("accepted %q: %q", name, v)
				}
			}
		}
	})
}
