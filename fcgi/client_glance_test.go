package fcgi

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// glancing starts a request on a connection with flow control, which the
// application has read and not answered.
func glancing(t *testing.T, ctx context.Context, req *Request) (p *peerApp, tr *Transport, a <-chan answer) {
	t.Helper()
	p, tr = newPeerApp(t)
	tr.Flow = true
	a = ask(ctx, tr, req)
	p.accept()
	p.flow(DefaultWindow)
	p.request()
	p.wantEmpty("no body", TypeStdin, 1)
	synctest.Wait()
	return p, tr, a
}

func TestGlanceHearsOfTheClientsLeaving(t *testing.T) {
	for _, waited := range []time.Duration{0, glanceTime / 2, 5 * glanceTime} {
		inBubble(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			p, _, a := glancing(t, ctx, get("/"))
			time.Sleep(waited)
			gone, at := errors.New("the client has gone"), time.Now()
			cancel(gone)
			if got := <-a; !errors.Is(got.err, gone) {
				t.Errorf("after %v: %v, want the cause of the context's end", waited, got.err)
			}
			late := 2 * glanceTime
			if waited > late {
				late = 0
			}
			if d := time.Since(at); d > late {
				t.Errorf("after %v: told %v later, want %v at most", waited, d, late)
			}
			p.want("what is told the application", TypeAbortRequest, 1)
			p.end(1)
		})
	}
}

// No bound on time is later for a glance, be it shorter than one or longer.
func TestGlanceKeepsTimeouts(t *testing.T) {
	for _, bound := range []time.Duration{time.Millisecond, glanceTime, 3*glanceTime + 1, time.Second} {
		inBubble(t, func(t *testing.T) {
			req := get("/")
			req.HeadTimeout = bound
			begun := time.Now()
			p, _, a := glancing(t, t.Context(), req)
			got := <-a
			if d := time.Since(begun); !errors.Is(got.err, ErrTimeout) || d != bound {
				t.Errorf("%v after %v, want %v after %v", got.err, d, ErrTimeout, bound)
			}
			p.want("what is told the application", TypeAbortRequest, 1)
			p.end(1)
		})
	}
}

// A connection that nobody waits on is not looked at, nor one where all have
// waited for long; the next request is.
func TestGlancesEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr, slow := glancing(t, t.Context(), get("/slow"))
		c := tr.sharedNow()
		time.Sleep(3 * glanceTime)
		synctest.Wait()
		if c.looking.Load() {
			t.Error("a stream that is watched keeps the looks going")
		}
		quick := ask(t.Context(), tr, get("/quick"))
		if id := p.request(); id != 2 {
			t.Fatalf("request id %d, want 2", id)
		}
		p.wantEmpty("no body", TypeStdin, 2)
		synctest.Wait()
		if !c.looking.Load() {
			t.Error("nobody looks for a stream that waits")
		}
		for id, a := range map[uint16]<-chan answer{1: slow, 2: quick} {
			p.stdout(id, okHead+"done")
			p.end(id)
			if got := <-a; got.err != nil || got.body != "done" {
				t.Errorf("request %d: %q, %v", id, got.body, got.err)
			}
		}
		time.Sleep(3 * glanceTime)
		synctest.Wait()
		if c.looking.Load() {
			t.Error("an idle connection is looked at")
		}
	})
}
