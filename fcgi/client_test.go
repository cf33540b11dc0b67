package fcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestClientRequestAndReuse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		for i, wantID := range []uint16{1, 2, 1} {
			a := ask(t.Context(), tr, get("/"))
			if i == 0 {
				p.accept()
			}
			id := p.request()
			if id != wantID {
				t.Errorf("request %d has id %d, want %d: ids in turn", i, id, wantID)
			}
			p.wantEmpty("GET has an empty STDIN too", TypeStdin, id)
			p.stdout(id, okHead+"hello")
			p.end(id)
			if got := <-a; got.err != nil || got.body != "hello" || got.resp.Status != 200 {
				t.Fatalf("answer %+v", got)
			}
		}
		if len(p.conns) != 0 {
			t.Error("a second connection was made although the first was free")
		}
	})
}

func TestClientFirstFlightIsOneWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		writes := make(chan int, 8)
		p, tr := newPeerApp(t)
		dial := tr.Dial
		tr.Dial = func(ctx context.Context) (net.Conn, error) {
			nc, err := dial(ctx)
			return countingConn{nc, writes}, err
		}
		a := ask(t.Context(), tr, get("/"))
		p.accept()
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		if len(writes) != 1 {
			t.Errorf("the first flight took %d writes, want 1", len(writes))
		}
		p.stdout(id, okHead)
		p.end(id)
		<-a
	})
}

type countingConn struct {
	net.Conn
	writes chan int
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes <- len(p)
	return c.Conn.Write(p)
}

func TestClientBrokenAnswers(t *testing.T) {
	tests := []struct {
		name string
		play func(p *peerApp, id uint16)
		body string
		err  error
		is   any // a type for errors.As
	}{
		{"closed before a byte", func(p *peerApp, id uint16) {}, "", ErrTruncated, nil},
		{"closed within the head", func(p *peerApp, id uint16) { p.stdout(id, "Content-Ty") }, "", ErrTruncated, nil},
		{"closed in mid body", func(p *peerApp, id uint16) { p.stdout(id, okHead+"half") }, "half", ErrTruncated, nil},
		{"closed behind the stream's end", func(p *peerApp, id uint16) {
			p.stdout(id, okHead+"whole")
			p.send(AppendRecord(nil, TypeStdout, id, nil))
		}, "whole", nil, nil},
		{"closed within a record", func(p *peerApp, id uint16) {
			p.send(AppendRecord(nil, TypeStdout, id, []byte(okHead+"0123456789"))[:HeaderLen+len(okHead)+4])
		}, "0123", ErrTruncated, nil},
		{"short of its Content-Length", func(p *peerApp, id uint16) {
			p.stdout(id, "Content-Length: 100\n\nshort")
			p.end(id)
		}, "short", ErrShortBody, nil},
		{"over its Content-Length", func(p *peerApp, id uint16) {
			p.stdout(id, "Content-Length: 2\n\nlong")
			p.end(id)
		}, "lo", nil, nil},
		{"another's id", func(p *peerApp, id uint16) { p.stdout(id+1, okHead+"EVIL") }, "", nil, new(*ProtocolError)},
		{"version 2", func(p *peerApp, id uint16) {
			b := AppendRecord(nil, TypeStdout, id, []byte(okHead))
			b[0] = 2
			p.send(b)
		}, "", nil, new(*ProtocolError)},
		{"no head at all", func(p *peerApp, id uint16) { p.end(id) }, "", nil, new(*ResponseError)},
		{"half a head, then the end", func(p *peerApp, id uint16) {
			p.stdout(id, "Content-Type: x\n")
			p.end(id)
		}, "", nil, new(*ResponseError)},
		{"overloaded", func(p *peerApp, id uint16) {
			p.send(AppendEndRequest(nil, id, 0, StatusOverloaded))
		}, "", nil, new(*StatusError)},
		{"END_REQUEST of another size", func(p *peerApp, id uint16) {
			p.send(AppendRecord(nil, TypeEndRequest, id, []byte("123")))
		}, "", nil, new(*ProtocolError)},
		{"an unknown type is skipped", func(p *peerApp, id uint16) {
			p.send(AppendRecord(nil, 42, id, []byte("not the body")))
			p.stdout(id, okHead+"body")
			p.end(id)
		}, "body", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p, tr := newPeerApp(t)
				a := ask(t.Context(), tr, get("/"))
				p.accept()
				id := p.request()
				p.wantEmpty("stdin", TypeStdin, id)
				tt.play(p, id)
				p.nc.CloseWrite()
				got := <-a
				if got.body != tt.body {
					t.Errorf("body %q, want %q", got.body, tt.body)
				}
				switch {
				case tt.is != nil:
					if !errors.As(got.err, tt.is) {
						t.Errorf("error %v, want a %T", got.err, tt.is)
					}
				case !errors.Is(got.err, tt.err):
					t.Errorf("error %v, want %v", got.err, tt.err)
				}
			})
		})
	}
}

// What comes for a request after its end never reaches the next one.
func TestClientLateRecords(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		a := ask(t.Context(), tr, get("/first"))
		p.accept()
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		p.stdout(id, okHead+"first")
		p.end(id)
		<-a
		b := ask(t.Context(), tr, get("/second"))
		next := p.request()
		p.stdout(id, "late bytes of the first")
		got := <-b
		var breach *ProtocolError
		if next == id || !errors.As(got.err, &breach) {
			t.Errorf("request id %d after %d got %q, %v; want a protocol error", next, id, got.body, got.err)
		}
	})
}

func TestClientStderrIsApart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		var log bytes.Buffer
		req := get("/")
		req.Stderr = func(b []byte) { log.Write(b) }
		a := ask(t.Context(), tr, req)
		p.accept()
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		p.stdout(id, "Content-Ty")
		p.send(AppendStream(nil, TypeStderr, id, []byte("warning: between two header bytes\n")))
		p.stdout(id, "pe: text/plain\n\nbody")
		p.end(id)
		if got := <-a; got.body != "body" || log.String() != "warning: between two header bytes\n" {
			t.Errorf("body %q, stderr %q", got.body, log.String())
		}
	})
}

// endless is a body that never ends and counts what was taken of it.
type endless struct{ taken int }

func (e *endless) Read(p []byte) (int, error) {
	e.taken += len(p)
	return len(p), nil
}

// §3.3, and the reason for on-demand input: an answer before the body's end.
func TestClientEarlyAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		body := new(endless)
		a := ask(t.Context(), tr, post(body))
		p.accept()
		id := p.request()
		p.stdout(id, "Status: 413 Too Large\n\nno")
		p.end(id)
		got := <-a
		if got.err != nil || got.resp.Status != 413 || got.body != "no" {
			t.Fatalf("answer %+v", got)
		}
		synctest.Wait() // for the body's reader, which the answer does not wait for
		if most := 1 << 20; body.taken > most {
			t.Errorf("%d bytes were taken off the client, want at most the socket's buffer", body.taken)
		}
		if tr.idle != nil {
			t.Error("a connection with an unfinished body was kept")
		}
	})
}

// A connection on which both sides write more than it holds.
func TestClientFullDuplex(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		const size = 4 << 20
		a := ask(t.Context(), tr, post(io.LimitReader(new(endless), size)))
		p.accept()
		id := p.request()
		p.stdout(id, okHead+strings.Repeat("x", size))
		n := 0
		for {
			c := p.want("the body", TypeStdin, id)
			if c == "" {
				break
			}
			n += len(c)
		}
		p.end(id)
		if got := <-a; n != size || len(got.body) != size || got.err != nil {
			t.Errorf("sent %d, got %d, %v", n, len(got.body), got.err)
		}
	})
}

type brokenBody struct{ err error }

func (b brokenBody) Read(p []byte) (int, error) { return 0, b.err }

func TestClientBodyBreaks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		a := ask(t.Context(), tr, post(io.MultiReader(strings.NewReader("ten bytes."), brokenBody{io.ErrUnexpectedEOF})))
		p.accept()
		id := p.request()
		if c := p.want("what came", TypeStdin, id); c != "ten bytes." {
			t.Errorf("STDIN %q", c)
		}
		p.wantEmpty("an abort, never an end of STDIN", TypeAbortRequest, id)
		p.wantClosed("and the end of the connection")
		got := <-a
		var body *BodyError
		if !errors.As(got.err, &body) || !errors.Is(got.err, io.ErrUnexpectedEOF) {
			t.Errorf("error %v", got.err)
		}
	})
}

func TestClientCancelPlain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		a := ask(ctx, tr, get("/"))
		p.accept()
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		gone := errors.New("the client went away")
		cancel(gone)
		p.wantEmpty("the abort", TypeAbortRequest, id)
		p.wantClosed("a connection with an abort on it")
		if got := <-a; !errors.Is(got.err, gone) {
			t.Errorf("error %v, want the context's cause", got.err)
		}
	})
}

func TestClientTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		req := get("/")
		req.HeadTimeout, req.PieceTimeout = 3*time.Second, 5*time.Second
		start := time.Now()
		a := ask(t.Context(), tr, req)
		p.accept()
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		if got := <-a; !errors.Is(got.err, ErrTimeout) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v, want ErrTimeout after 3s", got.err, time.Since(start))
		}
		b := ask(t.Context(), tr, req)
		p.accept()
		id = p.request()
		p.stdout(id, okHead+"one")
		synctest.Wait()
		start = time.Now()
		if got := <-b; !errors.Is(got.err, ErrTimeout) || got.body != "one" || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v, want ErrTimeout 5s after the last piece", got.err, time.Since(start))
		}
	})
}

func TestClientPairTooLarge(t *testing.T) {
	_, tr := newPeerApp(t)
	req := get("/")
	req.Params.Add("HTTP_COOKIE", strings.Repeat("x", MaxContent))
	if _, err := tr.RoundTrip(t.Context(), req); !errors.Is(err, ErrParamTooLarge) {
		t.Errorf("error %v, want ErrParamTooLarge: never cut, never split", err)
	}
}
