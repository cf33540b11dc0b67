package front

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// To a client of HTTP/1.0 the end of the connection is the end of the answer: one that
// broke off in the middle has none, on either engine and over TLS.
func TestBrokenAnswerToOldClient(t *testing.T) {
	worker := startWorker(t, 4, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part of it")
		if r.URL.Path == "/broken" {
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	var panics atomic.Int64
	told := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("panic")) {
			panics.Add(1)
		}
		return len(p), nil
	}), nil))
	seen := make(chan Cause, 8)
	chain, err := New(Config{Log: told, Observe: func(x *Exchange) { seen <- x.Cause }, Routes: []Route{{Handler: gateway(worker.upstream), Settings: DefaultSettings()}}})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := LoadCertificates([]CertificateFiles{certify(t, t.TempDir(), "localhost", time.Now())}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]ServerConfig{
		"own":      {Engine: OwnEngine},
		"net/http": {Engine: NetEngine},
		"TLS":      {TLS: certs.Config()},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			config.Log = told
			s := NewServer(chain, config)
			done := make(chan error, 1)
			go func() { done <- s.Serve(l) }()
			// Received at the end.
			ask := func(path string) (string, error) {
				var c net.Conn
				if c, err = net.Dial("tcp", l.Addr().String()); err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if config.TLS != nil {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
				}
				if _, err := io.WriteString(c, "GET "+path+" HTTP/1.0\r\nHost: a\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				answer, err := io.ReadAll(c)
				return string(answer), err
			}
			if answer, err := ask("/whole"); err != nil || !strings.HasSuffix(answer, "part of it") {
				t.Errorf("a whole answer: %q, %v", answer, err)
			}
			if answer, err := ask("/broken"); err == nil {
				t.Errorf("a broken answer came to a clean end: %q", answer)
			}
			if whole, broken := <-seen, <-seen; whole != "" || broken != BadResponse {
				t.Errorf("recorded the causes %q and %q", whole, broken)
			}
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := panics.Swap(0); n != 0 {
				t.Errorf("%d panics were logged", n)
			}
		})
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
