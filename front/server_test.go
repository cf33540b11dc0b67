package front

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestServerOnTCP holds on real sockets what memory has no part in: an early
// refusal is not lost to a reset, and an error of the kernel is a client gone.
func TestServerOnTCP(t *testing.T) {
	ended := make(chan Exchange, 16)
	chain, err := New(Config{Log: quiet, Observe: func(x *Exchange) { ended <- *x },
		Routes: []Route{{Settings: DefaultSettings().With(Override{MaxBody: new(int64(1000))}), Handler: http.HandlerFunc(ok)}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(chain, ServerConfig{Log: quiet})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	// Received at the end.
	dial := func() *net.TCPConn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute)) // a test that hangs fails
		return c.(*net.TCPConn)
	}

	t.Run("413 while the client is still sending", func(t *testing.T) {
		c := dial()
		defer c.Close()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
		c.Write(bytes.Repeat([]byte("x"), 100000))
		answer, err := io.ReadAll(c)
		if got := statuses(t, string(answer)); err != nil || !slices.Equal(got, []int{413}) {
			t.Errorf("answers %v, %v", got, err)
		}
		if x := <-ended; x.Cause != BodyTooLarge || !x.Client.IsValid() {
			t.Errorf("recorded %+v", x)
		}
	})
	t.Run("400 for a head among others", func(t *testing.T) {
		c := dial()
		defer c.Close()
		io.WriteString(c, get+"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"+strings.Repeat(get, 1000))
		answer, err := io.ReadAll(c)
		if got := statuses(t, string(answer)); err != nil || !slices.Equal(got, []int{200, 400}) {
			t.Errorf("answers %v, %v", got, err)
		}
		<-ended
	})
	t.Run("reset in the middle of a body", func(t *testing.T) {
		c := dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
		c.SetLinger(0)
		c.Close()
		if x := <-ended; x.Cause != ClientGone || x.Status != StatusClientGone {
			t.Errorf("recorded %q, status %d", x.Cause, x.Status)
		}
	})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
