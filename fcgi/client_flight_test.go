package fcgi

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// serveWhole answers each request on nc with the same.
func serveWhole(nc net.Conn) {
	rr := NewRecordReader(nc)
	for {
		h, err := rr.Next()
		if err != nil {
			return
		}
		if h.Type == TypeStdin && h.ContentLength == 0 {
			nc.Write(whole(h.ID, "ok"))
		}
	}
}

// The end of a request gives its connection to the next one before its own
// goroutine has put its memory back: no two of them may write with the same.
func TestFlightOwnsItsMemory(t *testing.T) {
	p, tr := newSockApp(t)
	go func() {
		// Ends with the listener; the connections end with the Transport.
		for nc, err := p.ln.Accept(); err == nil; nc, err = p.ln.Accept() {
			go serveWhole(nc)
			// Ends with nc.
		}
	}()
	for range 2 {
		if got := <-ask(t.Context(), tr, get("/")); got.err != nil {
			t.Fatal(got.err)
		}
	}
	within := get("/within")
	within.OnEnd = func() {
		for c := range tr.conns { // its goroutine is the only one at work
			w := &c.out
			if cap(w.pending) > 0 && cap(w.spare) > 0 && &w.pending[:1][0] == &w.spare[:1][0] {
				t.Error("what is written and what is gathered meanwhile are the same memory")
			}
		}
	}
	outer := get("/outer")
	outer.OnEnd = func() {
		if got := <-ask(t.Context(), tr, within); got.err != nil {
			t.Error(got.err)
		}
	}
	if got := <-ask(t.Context(), tr, outer); got.err != nil {
		t.Fatal(got.err)
	}
}

// An application that is stopped takes no more of a request than its socket holds:
// the time of the request, and its client's leaving, end the wait for it.
func TestFlightIntoStoppedApplication(t *testing.T) {
	large := func() *Request {
		req := get("/")
		for range 60 {
			req.Params.Add("HTTP_X", strings.Repeat("x", 60<<10))
		}
		return req
	}
	ended := func(t *testing.T, a <-chan answer) error {
		t.Helper()
		select {
		case got := <-a:
			return got.err
		case <-time.After(time.Minute):
			t.Fatal("the request goes on for ever")
		}
		return nil
	}
	for name, body := range map[string]bool{"without a body": false, "with a body": true} {
		t.Run(name, func(t *testing.T) {
			p, tr := newSockApp(t)
			req := large()
			if req.HeadTimeout = 100 * time.Millisecond; body {
				req.Stdin = strings.NewReader("body")
			}
			a := ask(t.Context(), tr, req)
			p.accept()
			if err := ended(t, a); !errors.Is(err, ErrTimeout) {
				t.Errorf("over its time: %v, want %v", err, ErrTimeout)
			}
			ctx, cancel := context.WithCancel(t.Context())
			a = ask(ctx, tr, large())
			p.accept()
			cancel()
			if err := ended(t, a); !errors.Is(err, context.Canceled) {
				t.Errorf("its client gone: %v, want %v", err, context.Canceled)
			}
		})
	}
}
