package fcgi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/iotest"
)

// wireAnswer is an answer with all that a peer is free to do: padding, reserved
// bytes, STDERR within the head, types nobody knows, management records.
func wireAnswer(id uint16) []byte {
	raw := func(t Type, content string, padding int) []byte {
		b := []byte{1, byte(t), byte(id >> 8), byte(id), 0, byte(len(content)), byte(padding), 0xff}
		return append(append(b, content...), make([]byte, padding)...)
	}
	return srvJoin(
		raw(TypeStdout, "Status: 201 Made\r\nX-A: ", 255), raw(TypeStderr, "warning", 1),
		raw(42, "who knows", 0), AppendRecord(nil, TypeGetValuesResult, 0, nil),
		raw(TypeStdout, "b\r\n\r", 3), raw(TypeStdout, "\nhello", 0), raw(TypeStdout, ", world", 7),
		raw(TypeStdout, "", 8), raw(TypeStderr, "", 0), AppendEndRequest(nil, id, 0, StatusRequestComplete))
}

// stutteringConn delivers one byte a read.
type stutteringConn struct{ net.Conn }

func (c stutteringConn) Read(p []byte) (int, error) { return iotest.OneByteReader(c.Conn).Read(p) }

// The same answer byte by byte and whole, twice on one connection (R3 to R8).
func TestWireAnswerDivided(t *testing.T) {
	for _, stutter := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			p, tr := newPeerApp(t)
			if dial := tr.Dial; stutter {
				tr.Dial = func(ctx context.Context) (net.Conn, error) {
					nc, err := dial(ctx)
					return stutteringConn{nc}, err
				}
			}
			for i := range 2 {
				a := ask(t.Context(), tr, get("/"))
				if i == 0 {
					p.accept()
				}
				id := p.request()
				p.wantEmpty("stdin", TypeStdin, id)
				p.send(wireAnswer(id))
				got := <-a
				if got.err != nil || got.body != "hello, world" || got.resp.Status != 201 || got.resp.Header.Get("X-A") != "b" {
					t.Errorf("stutter %v: %+v", stutter, got)
				}
			}
		})
	}
}

// The answer cut at every byte: the client sees a failure unless the whole of
// STDOUT was there with its end (1E: "STDOUT ended, no END").
func TestWireAnswerCut(t *testing.T) {
	whole := wireAnswer(1)
	ended := len(whole) - (HeaderLen + 8) - HeaderLen - 8 // STDERR's end and END_REQUEST behind the padding of STDOUT's end
	for cut := range whole {
		inBubble(t, func(t *testing.T) {
			p, tr := newPeerApp(t)
			a := ask(t.Context(), tr, get("/"))
			p.accept()
			id := p.request()
			p.wantEmpty("stdin", TypeStdin, id)
			p.send(whole[:cut])
			p.nc.CloseWrite()
			got := <-a
			switch {
			case got.err == nil && (cut < ended || got.body != "hello, world"):
				t.Errorf("cut at %d of %d (%q): a clean end", cut, len(whole), got.body)
			case got.err != nil && cut >= ended:
				t.Errorf("cut at %d of %d: %v, want the answer, which was whole", cut, len(whole), got.err)
			case got.err != nil && !errors.Is(got.err, ErrTruncated):
				t.Errorf("cut at %d: %v, want ErrTruncated", cut, got.err)
			}
		})
	}
}

// Ids stay small and are used again (R12).
func TestWireIDsStaySmall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newFlowApp(t)
		const together, rounds = 4, 250
		for round := range rounds {
			var answers []<-chan answer
			for range together {
				answers = append(answers, ask(t.Context(), tr, get("/")))
			}
			if round == 0 {
				p.accept()
				p.flow(DefaultWindow)
			}
			for range answers {
				id := p.request()
				p.wantEmpty("stdin", TypeStdin, id)
				if id < 1 || id > together {
					t.Fatalf("round %d: request id %d of at most %d at once", round, id, together)
				}
				p.stdout(id, fmt.Sprintf("%s%d", okHead, round))
				p.end(id)
			}
			for _, a := range answers {
				if got := <-a; got.err != nil || got.body != fmt.Sprint(round) {
					t.Fatalf("round %d: %+v", round, got)
				}
			}
		}
	})
}

// After the end of STDOUT nothing more of it comes (R8).
func TestWireStdoutAfterItsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		a := ask(t.Context(), tr, get("/"))
		p.accept()
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		p.stdout(id, okHead+"whole")
		p.send(AppendRecord(nil, TypeStdout, id, nil))
		p.stdout(id, "EVIL")
		p.wantClosed("a breach of the protocol")
		var breach *ProtocolError
		if got := <-a; !errors.As(got.err, &breach) || got.body != "whole" {
			t.Errorf("%+v", got)
		}
	})
}
