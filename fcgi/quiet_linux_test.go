package fcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// quietPair returns a quietConn and what it is connected to.
func quietPair(t *testing.T) (*quietConn, *net.UnixConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	q := newQuietConn(nc.(*net.UnixConn))
	if q == nil {
		t.Fatal("this system makes no quietConn")
	}
	t.Cleanup(func() { q.Close(); peer.Close() })
	return q, peer.(*net.UnixConn)
}

// arrivals asks the epoll instance of q, without waiting, as the poller does.
func arrivals(t *testing.T, q *quietConn) int {
	t.Helper()
	n := 0
	err := q.inRaw.Control(func(ep uintptr) {
		var err error
		if n, err = syscall.EpollWait(int(ep), make([]syscall.EpollEvent, 4), 0); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestQuietConnIsToldOfArrivalsOnly(t *testing.T) {
	q, peer := quietPair(t)
	if n := arrivals(t, q); n != 0 {
		t.Errorf("%d events on a connection that can be written to", n)
	}
	if _, err := q.Write([]byte("request")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(peer, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	if n := arrivals(t, q); n != 0 {
		t.Errorf("%d events when the peer has read", n)
	}
	if _, err := peer.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if n := arrivals(t, q); n != 1 {
		t.Errorf("%d events when the peer has written, want 1", n)
	}
	peer.Close()
	b, err := io.ReadAll(q)
	if string(b) != "answer" || err != nil {
		t.Errorf("read %q and %v", b, err)
	}
	if n := arrivals(t, q); n != 1 {
		t.Errorf("%d events when the peer has gone, want 1", n)
	}
}

// Much both ways at once: reads and writes that wait, each woken by its own.
func TestQuietConnMovesMuchBothWays(t *testing.T) {
	q, peer := quietPair(t)
	sent := make([]byte, 4<<20)
	rand.New(rand.NewSource(1)).Read(sent)
	errs := make(chan error, 3)
	send := func(c net.Conn, half func() error) {
		_, err := c.Write(sent)
		errs <- errors.Join(err, half())
	}
	go send(q, q.CloseWrite)
	// Its end is received from errs.
	go send(peer, peer.CloseWrite)
	// Its end is received from errs.
	go func() {
		b, err := io.ReadAll(peer)
		if err == nil && !bytes.Equal(b, sent) {
			err = errors.New("the peer got something else")
		}
		errs <- err
	}()
	// Its end is received from errs.
	b, err := io.ReadAll(q)
	if err != nil || !bytes.Equal(b, sent) {
		t.Errorf("got %d bytes, the same: %t, and %v", len(b), bytes.Equal(b, sent), err)
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestQuietConnDeadlines(t *testing.T) {
	q, peer := quietPair(t)
	past := time.Unix(1, 0)
	if err := q.SetDeadline(past); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || !isTimeout(err) {
		t.Errorf("Read after its deadline: %v", err)
	}
	much := make([]byte, 8<<20) // over what the socket holds: it has to wait, with a deadline set before
	n, err := q.Write(much)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == len(much) {
		t.Errorf("Write after its deadline: %d, %v", n, err)
	}
	if n, err = q.Write(much); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a second one: %d, %v", n, err)
	}
	if err := q.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, peer)
	// Ends with the pair.
	if n, err := q.Write(much); n != len(much) || err != nil {
		t.Errorf("Write without a deadline: %d, %v", n, err)
	}
}

func TestQuietConnCloseWakesWhoWaits(t *testing.T) {
	q, peer := quietPair(t)
	errs := make(chan error, 2)
	go func() { _, err := q.Read(make([]byte, 1)); errs <- err }()
	// Its end is received from errs.
	go func() { _, err := q.Write(make([]byte, 8<<20)); errs <- err }()
	// Its end is received from errs.
	if _, err := io.ReadFull(peer, make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a call during Close: %v", err)
		}
	}
	if _, err := io.Copy(io.Discard, peer); err != nil {
		t.Errorf("the peer reads to %v, want to the end", err)
	}
	_, read := q.Read(make([]byte, 1))
	_, write := q.Write([]byte("x"))
	control := quietRaw{q}.Control(func(uintptr) { t.Error("Control of a closed connection") })
	for _, err := range []error{read, write, control, q.Close(), q.CloseWrite(), q.SetDeadline(time.Time{})} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("a call after Close: %v", err)
		}
	}
}

// The peer that is gone is an error of the write's own, as package net has it.
func TestQuietConnPeerGone(t *testing.T) {
	q, peer := quietPair(t)
	peer.Close()
	var op *net.OpError
	if _, err := q.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) || !errors.As(err, &op) {
		t.Errorf("Write: %v", err)
	}
	if _, err := q.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read: %v", err)
	}
}

// A server's end of a connection with flow control is quiet, too, and all that was
// set on it before, or is after, holds.
func TestServerQuietens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RequestURI)
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }() // received below
	for _, flow := range []bool{false, true} {
		tr := &Transport{Flow: flow, Keep: true, Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
		for _, uri := range []string{"/first", "/second"} {
			req := get(uri)
			req.Params.Add("REQUEST_METHOD", "GET")
			if got := <-ask(t.Context(), tr, req); got.err != nil || got.body != uri {
				t.Fatalf("flow control %v: %q, %v", flow, got.body, got.err)
			}
		}
		if quiet := quietConns(srv); quiet != flow {
			t.Errorf("quiet is %v, flow control %v", quiet, flow)
		}
		tr.Close()
		tr.Wait()
	}
	tr := &Transport{Flow: true, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	if got := <-ask(t.Context(), tr, get("/third")); got.err != nil {
		t.Fatal(got.err)
	}
	if err := srv.Shutdown(t.Context()); err != nil { // it closes what is idle
		t.Error(err)
	}
	<-served
	tr.Close()
	tr.Wait()
}

// quietConns reports whether any connection of srv is quiet.
func quietConns(srv *Server) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for c := range srv.conns {
		c.mu.Lock()
		_, ok := c.sock.halfConn.(*quietConn)
		c.mu.Unlock()
		if ok {
			return true
		}
	}
	return false
}
