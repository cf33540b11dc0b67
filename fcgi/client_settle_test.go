package fcgi

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// settling is an application without flow control that is waited for.
func settling(t *testing.T) (*peerApp, *Transport) {
	p, tr := newPeerApp(t)
	tr.Settle = true
	return p, tr
}

// give has the client of a request leave before the answer, and returns what
// tells that the application is done.
func (p *peerApp) give(tr *Transport, req *Request) (id uint16, settled <-chan struct{}) {
	p.t.Helper()
	ctx, leave := context.WithCancelCause(p.t.Context())
	a := ask(ctx, tr, req)
	p.accept()
	id = p.request()
	leave(errors.New("the client left"))
	got := <-a
	lost, ok := errors.AsType[*RequestError](got.err)
	if !ok {
		p.t.Fatalf("answered with %v", got.err)
	}
	p.wantEmpty("its input is empty", TypeStdin, id)
	p.want("it is told", TypeAbortRequest, id)
	if _, err := p.rr.Next(); err != io.EOF {
		p.t.Fatalf("then comes %v, want the end of its input", err)
	}
	return id, lost.Settled()
}

func wantSettled(t *testing.T, why string, settled <-chan struct{}, want bool) {
	t.Helper()
	synctest.Wait()
	select {
	case <-settled:
		if !want {
			t.Fatalf("%s: it is told to be done", why)
		}
	default:
		if want {
			t.Fatalf("%s: it is not told to be done", why)
		}
	}
}

// A thread that has a request which nobody wants any more is done when it says
// so, or closes; until then its place is not free.
func TestSettle(t *testing.T) {
	for why, end := range map[string]func(p *peerApp, id uint16){
		"it ends the request":    func(p *peerApp, id uint16) { p.end(id) },
		"it closes":              func(p *peerApp, id uint16) { p.nc.Close() },
		"it dies in a record":    func(p *peerApp, id uint16) { p.send([]byte{1, 6, 0}); p.nc.Close() },
		"it ends it with answer": func(p *peerApp, id uint16) { p.send(whole(id, "for nobody")) },
	} {
		t.Run(why, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p, tr := settling(t)
				id, settled := p.give(tr, get("/"))
				time.Sleep(time.Hour) // without a bound
				wantSettled(t, "it is at work", settled, false)
				end(p, id)
				wantSettled(t, why, settled, true)
				if _, err := p.nc.Write([]byte{1}); err == nil && why != "it closes" && why != "it dies in a record" {
					t.Error("the connection is still open")
				}
				// Another request has a connection of its own.
				b := ask(t.Context(), tr, get("/next"))
				p.accept()
				p.send(whole(p.request(), "next"))
				if got := <-b; got.err != nil || got.body != "next" {
					t.Errorf("the next request: %+v", got)
				}
			})
		})
	}
}

// One that hears nothing is told by a write that fails, but what was on its
// way when the request was given up is no such writing.
func TestSettleUnheard(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := settling(t)
		id, settled := p.give(tr, get("/"))
		p.stdout(id, okHead+"on its way")
		wantSettled(t, "what was on its way is skipped", settled, false)
		time.Sleep(lastWords + time.Millisecond)
		p.stdout(id, "it goes on")
		wantSettled(t, "it is told by closing", settled, true)
		if _, err := p.nc.Write([]byte("more")); err == nil {
			t.Error("it may write on")
		}
	})
}

// One that neither hears nor writes has its time, and its connection ends.
func TestSettleBound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := settling(t)
		req := get("/")
		req.PieceTimeout = time.Minute
		_, settled := p.give(tr, req)
		time.Sleep(time.Minute)
		wantSettled(t, "whoever waits loses patience first", settled, false)
		time.Sleep(lastWords)
		wantSettled(t, "its time is over", settled, true)
	})
}

// A body that the application does not take is in nobody's way, and a Transport
// that is closed waits for what was given up, or has it end.
func TestSettleWithBody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := settling(t)
		ctx, leave := context.WithCancelCause(t.Context())
		a := ask(ctx, tr, post(strings.NewReader(strings.Repeat("x", 4<<20))))
		p.accept()
		if h, _ := p.next(); h.Type != TypeBeginRequest {
			t.Fatalf("%v, want the request's begin", h)
		}
		synctest.Wait() // the pump waits for room
		leave(errors.New("the client left"))
		lost, ok := errors.AsType[*RequestError]((<-a).err)
		if !ok {
			t.Fatal("answered")
		}
		lost.Wait()
		wantSettled(t, "it is at work", lost.Settled(), false)
		tr.Close()
		wantSettled(t, "a closed Transport lets it end", lost.Settled(), false)
		tr.Abort(errClosed)
		wantSettled(t, "its connections were ended", lost.Settled(), true)
		tr.Wait()
	})
}
