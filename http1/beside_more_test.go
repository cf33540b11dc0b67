package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// besidesOfConnections are about what happens around an answer: bodies that are
// not read, connections that end, odd requests, and odd answers.
var besidesOfConnections = []beside{
	{"pipelined bodies unread", sayHello, post("Content-Length: 5\r\n\r\nabcde") + post("Content-Length: 5\r\n\r\nabcde")},
	{"pipelined chunked bodies unread", sayHello, chunks("5\r\nabcde\r\n0\r\nX: y\r\n\r\n") + chunks("3\r\nabc\r\n0\r\n\r\n")},
	{"an unread body of what is drained", sayHello, post(fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxDrain-1, strings.Repeat("x", maxDrain-1)))},
	{"an unread body of one byte more", sayHello, post(fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxDrain, strings.Repeat("x", maxDrain)))},
	{"a body half read", func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 3)
		n, err := io.ReadFull(r.Body, b)
		fmt.Fprint(w, n, err, string(b))
	}, post("Content-Length: 5\r\n\r\nabcde")},
	{"a body that is cut short", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprint(w, len(b), err)
	}, "POST /cut HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 500\r\n\r\nabc"},
	{"a body read in small pieces", func(w http.ResponseWriter, r *http.Request) {
		var all []byte
		for b := make([]byte, 1); ; {
			n, err := r.Body.Read(b)
			if all = append(all, b[:n]...); err != nil {
				fmt.Fprintf(w, "%s %v", all, err)
				return
			}
		}
	}, chunks("1;a=b\r\na\r\n4\r\nbcde\r\n0\r\n\r\n")},
	{"no body has an end at once", func(w http.ResponseWriter, r *http.Request) {
		n, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, n, err, r.ContentLength, r.Body == http.NoBody)
	}, ""},
	{"an empty chunked body", func(w http.ResponseWriter, r *http.Request) {
		n, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, n, err, r.ContentLength, r.Body == http.NoBody)
	}, chunks("0\r\n\r\n")},
	{"both close", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "abc")
	}, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
	{"the handler keeps what the client closes", keepAlive, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
	{"the handler keeps", keepAlive, ""},
	{"HTTP/1.0, and the handler keeps", keepAlive, "GET / HTTP/1.0\r\n\r\n"},
	{"HTTP/1.0 keeps, and the handler too", keepAlive, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	{"HTTP/1.0 keeps, the handler closes", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "abc")
	}, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	{"HTTP/1.0 keeps with a body unread", sayHello, "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"},
	{"HTTP/1.0 keeps a HEAD", sayHello, "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	{"HTTP/1.0 keeps a 304", status(304), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	{"HTTP/1.0 flushed", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
		io.WriteString(w, "def")
	}, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
	{"an upgrade is only a field", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header["Connection"], r.Header["Upgrade"])
	}, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"},
	{"101 without a hijack", status(101), ""},
	{"100 by hand", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(100)
		io.Copy(w, r.Body)
	}, post("Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")},
	{"two early hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.Header().Set("Link", "</b>")
		w.WriteHeader(103)
		io.WriteString(w, "abc")
	}, ""},
	{"an early hint to HEAD", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(103)
		io.WriteString(w, "abc")
	}, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"204 with a length of its own", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(204)
	}, ""},
	{"304 with a length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(304)
	}, ""},
	{"205 with a body", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(205)
		io.WriteString(w, "abc")
	}, ""},
	{"HEAD with less than declared", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "abc")
	}, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"HEAD with a type to be guessed", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"HEAD flushed", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
		io.WriteString(w, "def")
	}, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"HEAD with trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A")
		io.WriteString(w, "abc")
		w.Header().Set("A", "1")
	}, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"trailers beside a length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A")
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "abc")
		w.Header().Set("A", "1")
	}, ""},
	{"an empty answer flushed", func(w http.ResponseWriter, r *http.Request) { http.NewResponseController(w).Flush() }, ""},
	{"an empty write", func(w http.ResponseWriter, r *http.Request) { w.Write(nil) }, ""},
	{"a type from the first write alone", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "<")
		io.WriteString(w, "html>")
	}, ""},
	{"a type of much", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("<html>"), 20000)) }, ""},
	{"a type of bytes", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte{0, 1, 2}) }, ""},
	{"an empty type", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "")
		io.WriteString(w, "abc")
	}, ""},
	{"no date where none is wanted", func(w http.ResponseWriter, r *http.Request) { w.Header()["Date"] = nil }, ""},
	{"names as they were put", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["x-lower"] = []string{"1"}
		w.Header()["X-\xc3\xa9"] = []string{"2"}
		w.Header()[""] = []string{"3"}
		w.Header()["X:Y"] = []string{"4"}
	}, ""},
	{"values with odd bytes", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["A"] = []string{"\xff", "\ta\tb\t", "a\r\n\r\nb", "\r\n", "\u00e9"}
	}, ""},
	{"a request's odd bytes", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q %q", r.Header, r.URL.Path, r.URL.RawPath, r.URL.RawQuery)
	}, "GET /%41%2f\xc3\xa9?a=\xff HTTP/1.1\r\nHost: a\r\nx-a_B.c: \xc3\xa9\xff\r\nACCEPT-ENCODING:\t a \t\r\nx--y-: 1\r\n\r\n"},
	{"no path", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q", r.URL, r.Host, r.RequestURI)
	}, "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"two slashes", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q", r.URL, r.Host, r.URL.Path)
	}, "GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"CONNECT", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q", r.URL, r.Host, r.RequestURI)
	}, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"},
	{"a panic after the head", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
		panic("on purpose")
	}, ""},
	{"an abort after the head", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, ""},
	{"an abort before anything left", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "abc")
		panic(http.ErrAbortHandler)
	}, ""},
	{"an impossible status", func(w http.ResponseWriter, r *http.Request) {
		defer func() { fmt.Fprint(w, recover()) }()
		w.WriteHeader(99)
	}, ""},
	{"full duplex", func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "x/y")
		http.NewResponseController(w).Flush()
		io.Copy(w, r.Body)
	}, chunks("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")},
	{"a hijack", func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		rest, _ := io.ReadAll(rw)
		fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(rest), rest)
		rw.Flush()
	}, ""},
	{"a read deadline that has passed", func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)); err != nil {
			panic(err)
		}
		w.Header().Set("Connection", "close")
		io.WriteString(w, "abc")
	}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"a write deadline that has passed", func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := c.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			panic(err)
		}
		if err := c.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
			panic(err)
		}
	}, ""},
	{"ReadFrom", func(w http.ResponseWriter, r *http.Request) {
		w.(io.ReaderFrom).ReadFrom(strings.NewReader(strings.Repeat("x", 9000)))
	}, ""},
	{"ReadFrom with a length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "9000")
		w.Header().Set("Content-Type", "x/y")
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(strings.Repeat("x", 9000)))
		if n != 9000 || err != nil {
			panic(fmt.Sprint(n, err))
		}
	}, ""},
	{"an announced field that is set before", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A")
		w.Header().Set("A", "1")
		io.WriteString(w, "abc")
	}, ""},
	{"a Connection changed too late", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "keep-alive")
		w.WriteHeader(201)
		w.Header().Set("Connection", "close")
	}, ""},
	{"HEAD with a length beside a coding", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		w.Header().Set("Content-Length", "0")
	}, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"chunked by hand", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		io.WriteString(w, "abc")
	}, ""},
}

func sayHello(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }

func keepAlive(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "keep-alive")
	io.WriteString(w, "abc")
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
}

// Where the engines differ on purpose: the answer that ours gives.
func TestDifferencesFromNetHTTP(t *testing.T) {
	for _, c := range []struct {
		why     string
		handler http.HandlerFunc
		raw     string
		want    string
	}{
		{"HTTP/1.0 gets no interim answer (RFC 9110 §15.2: MUST NOT)", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(204)
		}, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 204 No Content\r\nDate: now\r\n\r\n"},
		{"a length that is none is as if not declared", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			w.Header().Set("Content-Length", "-1")
			io.WriteString(w, "abc")
		}, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nDate: now\r\n\r\nabc"},
		{"a body can be read after the answer has begun", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.Header()["Content-Type"] = nil
			w.(http.Flusher).Flush()
			io.Copy(w, r.Body)
		}, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
			"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nDate: now\r\n\r\nabc"},
	} {
		serve(t, &Server{Handler: c.handler}, func(l *memListener) {
			if got := dateField.ReplaceAllString(l.talk(c.raw, 1<<20), "Date: now\r\n"); got != c.want {
				t.Errorf("%s:\n%q, want\n%q", c.why, got, c.want)
			}
		})
	}
}

var dateField = regexp.MustCompile(`Date: [^\r]+ GMT\r\n`)
