package http1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frontd/frontd/internal/memnet"
)

func TestShutdown(t *testing.T) {
	var release chan struct{}
	s := &Server{Log: quietLog, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	})}
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{})
		l := newListener()
		served, ended := make(chan error, 1), make(chan error, 1)
		go func() { served <- s.Serve(l) }() // received below
		busy, fresh, silent, kept, idle := l.dial(), l.dial(), l.dial(), l.dial(), l.dial()
		io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		for _, c := range []*memnet.Conn{kept, idle} {
			io.WriteString(c, get)
			if readAnswer(t, bufio.NewReader(c)).Close {
				t.Error("an answer before the end says that it is the last")
			}
		}
		synctest.Wait()
		begun := time.Now()
		go func() { ended <- s.Shutdown(t.Context()) }() // received below
		synctest.Wait()
		for _, c := range []*memnet.Conn{fresh, kept} {
			io.WriteString(c, get)
			if resp := readAnswer(t, bufio.NewReader(c)); !resp.Close {
				t.Error("the last answer does not say so")
			}
		}
		if _, err := idle.Read(make([]byte, 1)); err != io.EOF || time.Since(begun) != drainIdle {
			t.Errorf("an idle connection: %v after %v", err, time.Since(begun))
		}
		if _, err := silent.Read(make([]byte, 1)); err != io.EOF || time.Since(begun) != drainFresh {
			t.Errorf("one that asks nothing: %v after %v", err, time.Since(begun))
		}
		synctest.Wait()
		if len(ended) > 0 {
			t.Error("ended with a request under way")
		}
		if n := s.Connections(); n != 1 {
			t.Errorf("%d connections are left", n)
		}
		close(release)
		readAnswer(t, bufio.NewReader(busy))
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		if err := s.Serve(newListener()); err != ErrServerClosed {
			t.Errorf("Serve afterwards: %v", err)
		}
	})
}

// On a real socket an early answer is not lost to a reset, and a file is sent
// whole.
func TestOnTCP(t *testing.T) {
	name := t.TempDir() + "/file"
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{Log: quietLog, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.Header().Set("Connection", "close")
			w.WriteHeader(413)
			return
		}
		http.ServeFile(w, r, name)
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	// Received below.
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute)) // a test that hangs fails
	r := bufio.NewReader(c)
	for range 3 {
		io.WriteString(c, get)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	io.WriteString(c, post("Content-Length: 8000000\r\n\r\n"))
	if n, err := c.Write(make([]byte, 8000000)); err != nil {
		t.Errorf("sent %d: %v", n, err)
	}
	if resp := readAnswer(t, r); resp.StatusCode != 413 {
		t.Errorf("%v", resp.Status)
	}
	c.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-done
}
