package fcgi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestServerResponses(t *testing.T) {
	h := func(f http.HandlerFunc) http.HandlerFunc { return f }
	set := func(w http.ResponseWriter, name, value string) { w.Header().Set(name, value) }
	big := strings.Repeat("b", serverResponseBuffer)
	for _, tt := range []struct {
		why     string
		method  string
		handler http.HandlerFunc
		want    []string // of STDOUT and STDERR; the end follows
	}{
		{"a handler that does nothing", "GET", h(func(w http.ResponseWriter, r *http.Request) {}),
			[]string{"Status: 200 OK\r\nContent-Length: 0\r\n\r\n"}},
		{"a sniffed type", "GET", h(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }),
			[]string{"Status: 200 OK\r\nContent-Length: 6\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html>"}},
		{"no sniffing of what is encoded", "GET", h(func(w http.ResponseWriter, r *http.Request) {
			set(w, "Content-Encoding", "gzip")
			io.WriteString(w, "x")
		}), []string{"Status: 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"}},
		{"A15: Flush before the first Write sends the head", "GET", h(func(w http.ResponseWriter, r *http.Request) {
			set(w, "Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			io.WriteString(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			w.(http.Flusher).Flush()
		}), []string{"Status: 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", "data: 1\n\n"}},
		{"A16: interim responses are not final", "GET", h(func(w http.ResponseWriter, r *http.Request) {
			set(w, "Link", "</a.css>")
			w.WriteHeader(103)
			w.Header().Del("Link")
			w.WriteHeader(http.StatusCreated)
		}), []string{"Status: 103 Early Hints\r\nLink: </a.css>\r\n\r\n", "Status: 201 Created\r\nContent-Length: 0\r\n\r\n"}},
		{"A17: HEAD", "HEAD", h(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }),
			[]string{"Status: 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"}},
		{"A17: HEAD with a large body", "HEAD", h(func(w http.ResponseWriter, r *http.Request) {
			set(w, "Content-Length", "100000")
			set(w, "Content-Type", "a/b")
			for range 10 {
				io.WriteString(w, strings.Repeat("x", 10000))
			}
		}), []string{"Status: 200 OK\r\nContent-Type: a/b\r\nContent-Length: 100000\r\n\r\n"}},
		{"A17: 204", "GET", h(func(w http.ResponseWriter, r *http.Request) {
			set(w, "Content-Length", "5")
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "hello"); err != http.ErrBodyNotAllowed {
				t.Errorf("Write with a 204: %v", err)
			}
		}), []string{"Status: 204 No Content\r\n\r\n"}},
		{"A17: 304 keeps its length", "GET", h(func(w http.ResponseWriter, r *http.Request) {
			set(w, "Content-Length", "5")
			w.WriteHeader(304)
		}), []string{"Status: 304 Not Modified\r\nContent-Length: 5\r\n\r\n"}},
		{"more than Content-Length is cut", "GET", h(func(w http.ResponseWriter, r *http.Request) {
			set(w, "Content-Length", "2")
			set(w, "Content-Type", "a/b")
			if n, err := io.WriteString(w, "abc"); n != 2 || err != http.ErrContentLength {
				t.Errorf("Write beyond Content-Length: %d, %v", n, err)
			}
		}), []string{"Status: 200 OK\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nab"}},
		{"an unusable Content-Length", "GET", h(func(w http.ResponseWriter, r *http.Request) { set(w, "Content-Length", "+5") }),
			[]string{"Status: 200 OK\r\nContent-Length: 0\r\n\r\n"}},
		{"fields that are not the application's", "GET", h(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"Connection", "Transfer-Encoding", "Status", "Upgrade", "Keep-Alive", "Trailer:X", "Bad Name", ""} {
				w.Header()[name] = []string{"x"}
			}
			w.Header()["transfer-encoding"] = []string{"chunked"}
			w.Header()["X"] = []string{"a\r\nSet-Cookie: b", " c "}
		}), []string{"Status: 200 OK\r\nX: a  Set-Cookie: b\r\nX: c\r\nContent-Length: 0\r\n\r\n"}},
		{"a body larger than the buffer", "GET", h(func(w http.ResponseWriter, r *http.Request) {
			set(w, "Content-Type", "a/b")
			io.WriteString(w, "ab")
			io.WriteString(w, big)
			io.WriteString(w, "c")
		}), []string{"Status: 200 OK\r\nContent-Type: a/b\r\n\r\nab" + big, "c"}},
		{"an unknown status", "GET", h(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(299); w.WriteHeader(500) }),
			[]string{"Status: 299\r\nContent-Length: 0\r\n\r\n"}},
		{"fields set too late", "GET", h(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200); set(w, "X-Late", "1") }),
			[]string{"Status: 200 OK\r\nContent-Length: 0\r\n\r\n"}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newSrvSite(t, &Server{Handler: tt.handler}).dial()
				p.send(srvBegin(1, true), srvParams(1, "REQUEST_METHOD="+tt.method), srvIn(1, ""))
				for _, want := range tt.want {
					p.want(tt.why, fmt.Sprintf("STDOUT 1 %q", want))
				}
				p.want(tt.why, srvDone(1)...)
			})
		})
	}
}

func TestServerPanics(t *testing.T) {
	const failed = `STDOUT 1 "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\n\r\nInternal Server Error\n"`
	synctest.Test(t, func(t *testing.T) {
		s := newSrvSite(t, &Server{Handler: srvMux(map[string]http.HandlerFunc{
			"/early":  func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "not sent"); panic("boom") },
			"/quiet":  func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
			"/goexit": func(w http.ResponseWriter, r *http.Request) { runtime.Goexit() },
			"/status": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(1000) },
			"/short":  func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "5") },
			"/late":   func(w http.ResponseWriter, r *http.Request) { srvRaw(w, "half"); panic(http.ErrAbortHandler) },
			"/hello":  func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") },
		})})
		p := s.dial()
		for path, text := range map[string]string{"/early": "boom", "/goexit": "Goexit", "/status": "invalid WriteHeader status 1000"} {
			p.send(srvGet(1, path))
			stack, err := srvRecord(p.rr)
			if err != nil || !strings.HasPrefix(stack, "STDERR 1 ") || !strings.Contains(stack, text) || !strings.Contains(stack, "responder_test.go") {
				t.Fatalf("A18: %s: got %.300s, %v, want its stack on STDERR", path, stack, err)
			}
			p.want("A18: nothing was sent, so a 500", failed, `STDOUT 1 ""`, `STDERR 1 ""`, "END_REQUEST 1 app=0 REQUEST_COMPLETE")
		}
		for _, path := range []string{"/quiet", "/short"} {
			p.send(srvGet(1, path))
			p.want("no stack for "+path, append([]string{failed}, srvDone(1)...)...)
		}
		p.send(srvGet(1, "/late"))
		p.want("what was sent", "STDOUT 1 "+srvHead, `STDOUT 1 "half"`)
		p.wantClosed("a broken response on a connection of one request: no END_REQUEST")
		q := s.dial()
		q.send(srvGet(1, "/hello"))
		q.want("the process lives", srvHello(1)...)
	})
}

func TestServerResponseController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			if _, _, err := c.Hijack(); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("Hijack: %v", err)
			}
			if err := c.EnableFullDuplex(); err != nil {
				t.Errorf("EnableFullDuplex: %v", err)
			}
			c.SetReadDeadline(time.Now().Add(time.Minute))
			start := time.Now()
			if _, err := r.Body.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
				t.Errorf("Read: %v after %v", err, time.Since(start))
			}
			c.SetWriteDeadline(time.Now().Add(time.Hour))
			c.SetWriteDeadline(time.Now().Add(time.Minute))
			srvRaw(w, "x")
			start = time.Now()
			if err := srvRaw(w, "xyz"); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
				t.Errorf("Write: %v after %v", err, time.Since(start))
			}
		})}).dial()
		p.flow(20)
		p.send(srvPost(1, "/", "10"))
		p.want("until the deadline", "STDOUT 1 "+srvHead, `STDOUT 1 "x"`, `STDOUT 1 "x"`, "END_REQUEST 1 app=1 FRONTD_BROKEN")
	})
}

func TestServerWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		p := newSrvSite(t, &Server{WriteTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			err := srvRaw(w, strings.Repeat("x", 10))
			if d := time.Since(start); d != 3*time.Minute {
				t.Errorf("given up after %v, want the third minute: nothing was taken in it", d)
			}
			ended <- err
		})}).dial()
		p.send(srvGet(1, "/"))
		for range 3 { // slow, but not stuck
			synctest.Wait()
			<-time.After(30 * time.Second)
			p.nc.Read(make([]byte, 1))
		}
		if err := <-ended; err == nil {
			t.Error("A20: writing to a peer that takes nothing succeeded")
		}
	})
}

func TestServerStderr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late io.Writer
		p := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			late = Stderr(r.Context())
			fmt.Fprint(late, "warning")
			late.Write(nil)
			w.Header().Set("Content-Type", "a/b")
		})}).dial()
		p.send(srvGet(1, "/"))
		p.want("STDERR is apart, and ends", `STDERR 1 "warning"`, `STDOUT 1 "Status: 200 OK\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n"`,
			`STDOUT 1 ""`, `STDERR 1 ""`, "END_REQUEST 1 app=0 REQUEST_COMPLETE")
		if _, err := late.Write([]byte("x")); err != errServerRequestEnded {
			t.Errorf("writing to STDERR after the end: %v", err)
		}
		p.wantNothing("after the end")
		if w := Stderr(t.Context()); w != os.Stderr {
			t.Errorf("Stderr of a strange context is %v", w)
		}
	})
}
