package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// A beside is a handler that both engines run.
type beside struct {
	why     string
	handler http.HandlerFunc
	raw     string // "" is get
}

// besides are handlers that both engines run; what goes over the wire must be
// the same but for the order of fields and the size of chunks.
var besides = []beside{
	{"nothing", func(w http.ResponseWriter, r *http.Request) {}, ""},
	{"a small body gets its length and type", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, ""},
	{"several writes", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "a"); fmt.Fprint(w, "b") }, ""},
	{"a large body is chunked", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 100000)) }, ""},
	{"large and small", func(w http.ResponseWriter, r *http.Request) {
		for i := range 300 {
			w.Write(bytes.Repeat([]byte{'x'}, i*7%5000))
		}
	}, ""},
	{"a declared length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "abcde")
	}, ""},
	{"more than declared", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		_, err1 := io.WriteString(w, "abc")
		if _, err2 := io.WriteString(w, "de"); err1 != nil || !errors.Is(err2, http.ErrContentLength) {
			panic(fmt.Sprint(err1, err2))
		}
	}, ""},
	{"less than declared", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "abc")
	}, ""},
	{"204 has no body", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(204)
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	}, ""},
	{"304 has no type", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/x")
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(304)
	}, ""},
	{"HEAD has the length of what was written", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abcde")
	}, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"HEAD with nothing written", func(w http.ResponseWriter, r *http.Request) {}, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"HEAD with a length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Write(make([]byte, 100000))
	}, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"HTTP/1.0 closes after a length", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "abc") }, "GET / HTTP/1.0\r\n\r\n"},
	{"HTTP/1.0 keeps", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "abc") }, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	{"HTTP/1.0 cannot keep without a length", func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 100000))
	}, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	{"the client closes", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "abc") }, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
	{"the handler closes", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "abc")
	}, ""},
	{"a flush before anything", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		io.WriteString(w, "abc")
	}, ""},
	{"a type is guessed before a flush", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "\x89PNG\r\n\x1a\n")
		w.(http.Flusher).Flush()
		io.WriteString(w, "abc")
	}, ""},
	{"no type where none is wanted", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "abc")
	}, ""},
	{"no type of what is encoded", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "abc")
	}, ""},
	{"a date of one's own", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Date", "never") }, ""},
	{"fields cannot be split", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", " a\r\nSet-Cookie: b ")
		w.Header()["Bad Name"] = []string{"c"}
		w.Header()["Y"] = []string{"1", "2", ""}
	}, ""},
	{"a header changed too late", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		w.Header().Set("Too", "late")
		io.WriteString(w, "abc")
	}, ""},
	{"a second status", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(201); w.WriteHeader(202) }, ""},
	{"a status without a name", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(299) }, ""},
	{"an early hint", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(103)
		w.Header().Del("Link")
		io.WriteString(w, "abc")
	}, ""},
	{"trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A, B")
		io.WriteString(w, "abc")
		w.Header().Set("A", "1")
		w.Header().Set(http.TrailerPrefix+"C", "3")
	}, ""},
	{"identity", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Transfer-Encoding", "identity")
		w.Write(make([]byte, 100000))
	}, ""},
	{"a body is read", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, post("Content-Length: 5\r\n\r\nabcde")},
	{"trailers of a request", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer, r.TransferEncoding, r.ContentLength)
	}, post("Transfer-Encoding: chunked\r\nTrailer: X, Y\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\nZ: 2\r\n\r\n")},
	{"a small body is left", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "abc") }, post("Content-Length: 5\r\n\r\nabcde")},
	{"a closed body", func(w http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		_, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, err)
	}, post("Content-Length: 5\r\n\r\nabcde")},
	{"100-continue", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, post("Expect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde")},
	{"100-continue with nothing to come", func(w http.ResponseWriter, r *http.Request) {}, post("Expect: 100-continue\r\nContent-Length: 0\r\n\r\n")},
	{"a final answer in the place of 100", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }, post("Expect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde")},
	{"a panic", func(w http.ResponseWriter, r *http.Request) { panic("on purpose") }, ""},
	{"an abort", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, ""},
	{"a request's fields", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Method, r.URL, r.Proto, r.Host, r.Header, r.ContentLength, r.Close, r.RequestURI, r.TransferEncoding)
	}, "GET http://h:80/a%20b?q HTTP/1.1\r\nhost: h\r\npragma: no-cache\r\nx-a: 1\r\nX-A:  2 \r\nUPGRADE-insecure-requests: 1\r\ncookie: a\r\n\r\n"},
	{"ServeContent", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.txt", testTime, strings.NewReader(strings.Repeat("x", 9000)))
	}, "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=10-8000\r\n\r\n"},
	{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", 302) }, ""},
}

var testTime = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func TestBesideNetHTTP(t *testing.T) {
	var now beside
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/next" && now.raw != "" {
			io.WriteString(w, "next")
			return
		}
		now.handler(w, r)
	})
	std := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	l := newListener()
	done := make(chan error, 1)
	go func() { done <- std.Serve(l) }()
	// Received below.
	serve(t, &Server{Handler: h}, func(own *memListener) {
		for _, now = range slices.Concat(besides, besidesOfConnections) {
			raw := now.raw
			if raw == "" {
				raw = get
			}
			a, n := plain(t, own.talk(raw+get, 1<<20)), plain(t, l.talk(raw+get, 1<<20))
			if !slices.Equal(a, n) {
				t.Errorf("%s:\nengine   %q\nnet/http %q", now.why, a, n)
			}
		}
	})
	std.Close()
	<-done
}

// plain is the answers of a connection in a form that can be compared: of
// each the lines of its head, in order of the alphabet, and its body as its framing has it.
func plain(t *testing.T, answers string) (list []string) {
	t.Helper()
	for answers != "" {
		head, rest, ok := strings.Cut(answers, "\r\n\r\n")
		if !ok {
			t.Fatalf("no end of a head in %q", answers)
		}
		lines := strings.Split(head, "\r\n")
		for i, line := range lines {
			if strings.HasPrefix(line, "Date: ") && strings.HasSuffix(line, " GMT") {
				lines[i] = "Date: now"
			}
		}
		slices.Sort(lines[1:])
		list = append(list, lines...)
		if strings.HasPrefix(head, "HTTP/1.1 1") || strings.HasPrefix(rest, "HTTP/1.1 ") {
			answers = rest // an interim answer, or one to HEAD: no body follows
			continue
		}
		r := bufio.NewReader(strings.NewReader(answers))
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%q: %v", answers, err)
		}
		body, err := io.ReadAll(res.Body)
		list = append(list, fmt.Sprint(len(body), err, res.Trailer), string(body[:min(len(body), 200)]))
		left, _ := io.ReadAll(r) // of a string
		answers = string(left)
	}
	return list
}
