package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var responses = []struct {
	why, text string
	want      string
	err       error // nil: it is right
	closes    bool
}{
	{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n", "hello\n", nil, false},
	{"nothing", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", nil, false},
	{"chunks, one of them with an extension", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n3\r\nlo\n\r\n0\r\n\r\n", "hello\n", nil, false},
	{"chunks with a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n0\r\nA: b\r\n\r\n", "hello\n", nil, false},
	{"until the end", "HTTP/1.1 200 OK\r\n\r\nhello\n", "hello\n", nil, true},
	{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", "hi", nil, true},
	{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", nil, true},
	{"HTTP/1.0 that stays", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", "hi", nil, false},
	{"an interim answer first", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", nil, false},

	{"another status", "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nhi", "hi", errStatus, false},
	{"another byte", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho", "hi", errBody, false},
	{"another length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi!", "hi", errBody, false},
	{"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhel", "hello\n", io.ErrUnexpectedEOF, false},
	{"cut off in the head", "HTTP/1.1 200 OK\r\nConte", "hi", io.ErrUnexpectedEOF, false},
	{"cut off before the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "hi", io.ErrUnexpectedEOF, false},
	{"too few in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\n\r\n", "hi", errBody, false},
	{"too many in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhi!\r\n0\r\n\r\n", "hi", errBody, false},
	{"too many until the end", "HTTP/1.1 200 OK\r\n\r\nhi!", "hi", errBody, true},
	{"no chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhi\r\n", "hi", errHead, false},
	{"no chunk end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n", "hi", errHead, false},
	{"no HTTP", "SSH-2.0-x\r\n\r\n", "", errHead, false},
	{"no status", "HTTP/1.1 abc\r\n\r\n", "", errHead, false},
	{"no colon", "HTTP/1.1 200 OK\r\nx\r\n\r\n", "", errHead, false},
	{"no length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "", errHead, false},
	{"an endless head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeadBytes), "", errHead, false},
}

func TestResponses(t *testing.T) {
	for _, c := range responses {
		for how, src := range map[string]io.Reader{
			"at once":      strings.NewReader(c.text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
		} {
			r := newResponseReader(src)
			if err := r.read([]byte(c.want)); !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %v, want %v", c.why, how, err, c.err)
			}
			if c.err == nil && r.closes != c.closes {
				t.Errorf("%s, %s: closes is %v", c.why, how, r.closes)
			}
		}
	}
}

// What follows an answer belongs to the next one.
func TestTwoResponses(t *testing.T) {
	one := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	r := newResponseReader(strings.NewReader(one + one))
	for range 2 {
		if err := r.read([]byte("hi")); err != nil {
			t.Fatal(err)
		}
	}
	r.begin()
	if err := r.read(nil); err != io.ErrUnexpectedEOF || !r.untouched() {
		t.Errorf("a third: %v", err)
	}
}

func FuzzResponse(f *testing.F) {
	for _, c := range responses {
		f.Add([]byte(c.text), []byte(c.want))
	}
	f.Fuzz(func(t *testing.T, text, want []byte) {
		whole := newResponseReader(strings.NewReader(string(text))).read(want)
		split := newResponseReader(iotest.OneByteReader(strings.NewReader(string(text)))).read(want)
		if (whole == nil) != (split == nil) {
			t.Errorf("%q: at once %v, byte by byte %v", text, whole, split)
		}
	})
}
