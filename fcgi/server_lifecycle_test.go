package fcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestServerShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSrvSite(t, &Server{Handler: srvMux(map[string]http.HandlerFunc{
			"/wait":  func(w http.ResponseWriter, r *http.Request) { <-release; io.WriteString(w, "hello") },
			"/hello": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") },
		})})
		idle, busy, begun, shared, fresh, silent := s.dial(), s.dial(), s.dial(), s.dial(), s.dial(), s.dial()
		idle.send(srvGet(1, "/hello"))
		idle.want("before", srvHello(1)...)
		time.Sleep(2 * serverGrace) // virtual: it is idle for long
		recent := s.dial()
		recent.send(srvGet(1, "/hello"))
		recent.want("just now", srvHello(1)...)
		busy.send(srvGet(1, "/wait"))
		begun.send(srvBegin(1, true))
		shared.flow(1000)
		shared.send(srvGet(1, "/wait"))
		synctest.Wait()

		start := time.Now()
		down := make(chan error, 1)
		go func() { down <- s.srv.Shutdown(context.Background()) }()
		// Its end goes to down.
		idle.wantClosed("A22: an idle connection is closed")
		synctest.Wait()
		if _, err := s.l.Accept(); err == nil {
			t.Error("A22: the listener is still open")
		}
		shared.send(srvGet(2, "/hello"))
		shared.want("a new request beside one in hand", "END_REQUEST 2 app=0 OVERLOADED")
		begun.send(srvParams(1, "REQUEST_METHOD=GET", "REQUEST_URI=/hello"), srvIn(1, ""))
		begun.want("what had begun is finished", srvHello(1)...)
		begun.wantClosed("and then closed")
		fresh.send(srvGet(1, "/hello"))
		fresh.want("the request that was under way on a new connection", srvHello(1)...)
		fresh.wantClosed("and then closed")
		recent.send(srvGet(1, "/hello"))
		recent.want("one more on a connection that was in use just now", srvHello(1)...)
		recent.wantClosed("and then closed")
		silent.wantClosed("a new connection that asks nothing")
		if d := time.Since(start); d != serverGrace {
			t.Errorf("it was closed after %v, want %v", d, serverGrace)
		}
		select {
		case err := <-down:
			t.Fatalf("Shutdown returned %v with requests in hand", err)
		default:
		}
		release <- struct{}{}
		release <- struct{}{}
		busy.want("in hand", srvHello(1)...)
		shared.want("in hand", srvHello(1)...)
		busy.wantClosed("and then closed")
		shared.wantClosed("and then closed")
		if err := <-down; err != nil {
			t.Error(err)
		}
		if err := s.srv.Serve(newSrvListener()); err != ErrServerClosed {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

func TestServerShutdownDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := make(chan error, 1)
		s := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			cause <- context.Cause(r.Context())
		})})
		p := s.dial()
		p.send(srvGet(1, "/"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.srv.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v", err)
		}
		select {
		case <-cause:
			t.Error("Shutdown cancelled a request")
		default:
		}
		s.srv.Close()
		if err := <-cause; err != ErrAborted {
			t.Errorf("after Close: cause %v", err)
		}
	})
}

// A srvLateListener accepts one connection more as it is closed.
type srvLateListener struct {
	*srvListener
	late net.Conn
}

func (l *srvLateListener) Accept() (net.Conn, error) {
	nc, err := l.srvListener.Accept()
	if err != nil && l.late != nil {
		nc, err, l.late = l.late, nil, nil
	}
	return nc, err
}

// A connection that was accepted at the moment of the Shutdown is one like those
// before: its web server knows of nothing, and would tell its client of an error.
func TestServerShutdownWhileAccepting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		srv := &Server{Handler: srvSay("hello"), ErrorLog: t.Logf}
		served, down := make(chan error, 1), make(chan error, 1)
		go func() { served <- srv.Serve(&srvLateListener{newSrvListener(), theirs}) }()
		// Its end goes to served.
		synctest.Wait()
		go func() { down <- srv.Shutdown(context.Background()) }()
		// Its end goes to down.
		synctest.Wait()
		p := &srvPeer{t, ours, NewRecordReader(ours)}
		p.send(srvGet(1, "/hello"))
		p.want("the request that was under way", srvHello(1)...)
		p.wantClosed("and then closed")
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
}

// A srvFailingListener fails to accept a few times, then accepts nothing.
type srvFailingListener struct {
	*srvListener
	errs []error
}

func (l *srvFailingListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return l.srvListener.Accept()
}

func TestServerAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &Server{Handler: srvSay("hello")}
		l := &srvFailingListener{newSrvListener(), []error{syscall.EMFILE, syscall.ECONNABORTED, syscall.ENFILE}}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		// Its end goes to served.
		start := time.Now()
		ours, theirs := net.Pipe()
		l.conns <- theirs
		if d := time.Since(start); d != (5+10+20)*time.Millisecond {
			t.Errorf("A19: accepted again after %v, want 35ms", d)
		}
		ours.Close()
		srv.Shutdown(context.Background())
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		broken := &srvFailingListener{newSrvListener(), []error{syscall.EBADF}}
		if err := new(Server).Serve(broken); !errors.Is(err, syscall.EBADF) {
			t.Errorf("Serve on a listener that is broken for good: %v", err)
		}
	})
}

func TestServerMaxConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSrvSite(t, &Server{MaxConns: 1, Handler: srvSay("hello")})
		p := s.dial()
		second := make(chan *srvPeer)
		go func() { second <- s.dial() }()
		// Its end goes to second.
		synctest.Wait()
		select {
		case <-second:
			t.Fatal("A21: a connection over MaxConns was accepted")
		default:
		}
		p.nc.Close()
		q := <-second
		q.send(srvGet(1, "/"))
		q.want("it waited in the listener's queue", srvHello(1)...)
	})
}

// srvReal serves on a real listener, whose connections can be closed by half.
func srvReal(t *testing.T, network, addr string, srv *Server) net.Addr {
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	// Its end goes to served.
	t.Cleanup(func() {
		srv.Close()
		srv.Shutdown(context.Background())
		<-served
	})
	return l.Addr()
}

func srvDial(t *testing.T, a net.Addr) *srvPeer {
	nc, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &srvPeer{t, nc, NewRecordReader(nc)}
}

func TestServerAllowedPeers(t *testing.T) {
	var lines atomic.Int32
	srv := &Server{Handler: srvSay("hello"), AllowedPeers: []netip.Addr{netip.MustParseAddr("127.0.0.2")},
		ErrorLog: func(string, ...any) { lines.Add(1) }}
	p := srvDial(t, srvReal(t, "tcp", "127.0.0.1:0", srv))
	p.wantClosed("A2: a peer that is not listed")
	if lines.Load() != 1 {
		t.Errorf("%d log lines, want 1", lines.Load())
	}
	ok := &Server{Handler: srvSay("hello"), AllowedPeers: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	q := srvDial(t, srvReal(t, "tcp", "127.0.0.1:0", ok))
	q.send(srvGet(1, "/"))
	q.want("a peer that is listed", srvHello(1)...)
}

// TestServerEarlyResponse: the response to an upload that nobody reads must
// arrive whole, although the application closes before it took the upload.
func TestServerEarlyResponse(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "s")
			}
			p := srvDial(t, srvReal(t, network, addr, &Server{Handler: srvSay("hello")}))
			p.send(srvBegin(1, false), srvParams(1, "REQUEST_METHOD=POST", "CONTENT_LENGTH=10000000"))
			wrote := make(chan struct{})
			go func() {
				defer close(wrote)
				piece := srvIn(1, strings.Repeat("x", 60000))
				for range 20 {
					if _, err := p.nc.Write(piece); err != nil {
						return
					}
				}
			}()
			// Its end goes to wrote.
			p.want("A14", srvHello(1)...)
			p.wantClosed("A9: closed after END_REQUEST")
			<-wrote
		})
	}
}

func TestServerManyAtOnce(t *testing.T) {
	addr := srvReal(t, "unix", filepath.Join(t.TempDir(), "s"), &Server{Handler: srvEcho})
	done := make(chan string)
	const conns, rounds = 8, 50
	for range conns {
		go func() {
			nc, err := net.Dial("unix", addr.String())
			if err != nil {
				done <- err.Error()
				return
			}
			defer nc.Close()
			rr := NewRecordReader(nc)
			for range rounds {
				nc.Write(srvJoin(srvPost(1, "/", "3"), srvIn(1, "abc"), srvIn(1, "")))
				for _, want := range append([]string{srvText(1, `POST /  3 "abc" <nil>`)}, srvDone(1)...) {
					if got, err := srvRecord(rr); got != want {
						done <- got + " instead of " + want + ": " + errText(err)
						return
					}
				}
			}
			done <- ""
		}()
		// Its end goes to done.
	}
	for range conns {
		if s := <-done; s != "" {
			t.Error(s)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
