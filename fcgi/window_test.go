package fcgi

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

const step = 64 << 10

// A reader that waits for the application has its window grow, and the next answer
// on the connection has the large one from its beginning.
func TestFlowWindowGrows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newFlowApp(t)
		a := ask(t.Context(), tr, get("/large"))
		p.accept()
		p.flow(DefaultWindow)
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		p.stdout(id, okHead)
		slowly := func(why string, steps, increment int) {
			t.Helper()
			for range steps {
				p.stdout(id, strings.Repeat("x", step))
				synctest.Wait() // the reader has taken it, and waits
			}
			want := string(AppendWindow(nil, id, TypeStdout, uint32(increment))[HeaderLen:])
			if got := p.want(why, TypeWindow, id); got != want {
				t.Fatalf("%s: WINDOW %x, want %x", why, got, want)
			}
		}
		slowly("half a window was taken", 2, len(okHead)+2*step+DefaultWindow)
		slowly("half of twice that", 4, 4*step+2*DefaultWindow)
		slowly("it is as large as it gets", 8, 8*step)
		p.end(id)
		if got := <-a; got.err != nil || len(got.body) != 14*step {
			t.Fatalf("%d bytes, %v", len(got.body), got.err)
		}

		begin := func() <-chan answer {
			a := ask(t.Context(), tr, get("/next"))
			h, _ := p.next()
			for h.Type == TypeWindow { // the last answer's reader was faster than its end
				h, _ = p.next()
			}
			if h.Type != TypeBeginRequest || h.ID != id {
				t.Fatalf("got %v, want a request's beginning", h)
			}
			return a
		}
		a = begin()
		if _, n, err := parseWindow([]byte(p.want("the window from the start", TypeWindow, id))); n != grownWindow-DefaultWindow || err != nil {
			t.Errorf("WINDOW +%d, %v, want +%d", n, err, grownWindow-DefaultWindow)
		}
		finish := func(a <-chan answer, size int) {
			p.want("the parameters", TypeParams, id)
			p.wantEmpty("the parameters' end", TypeParams, id)
			p.wantEmpty("stdin", TypeStdin, id)
			p.stdout(id, okHead+strings.Repeat("y", size))
			p.end(id)
			if got := <-a; got.err != nil || len(got.body) != size {
				t.Fatalf("%d bytes, want %d; %v", len(got.body), size, got.err)
			}
		}
		finish(a, grownWindow-len(okHead)) // all of it in one go
		a = begin()
		p.want("again", TypeWindow, id)
		finish(a, 5)
		a = begin()
		finish(a, 5) // whose PARAMS come next: a small answer needs no large window
	})
}

// What a window has not grown to is beyond it.
func TestFlowGrownWindowOverrun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &stream{c: &clientConn{window: 1}, limit: DefaultWindow}
		s.queue.size = DefaultWindow - step
		p := newPiece(step)
		p.b = p.b[:step]
		if n, err := s.push(p); n != DefaultWindow || err != nil {
			t.Fatalf("a whole window: %d queued, %v", n, err)
		}
		p = newPiece(step)
		p.b = p.b[:1]
		if _, err := s.push(p); err == nil {
			t.Error("a byte beyond the window was taken")
		}
	})
}

func TestGrowthIsBounded(t *testing.T) {
	var g growth
	var lent []int64
	for {
		n := g.lend(grownWindow, DefaultWindow)
		if n == 0 {
			break
		}
		lent = append(lent, n)
	}
	if total := int64(len(lent)) * (grownWindow - DefaultWindow); total > maxGrowth || total < maxGrowth/2 {
		t.Errorf("%d windows grew by %d bytes in all, at most %d allowed", len(lent), total, int64(maxGrowth))
	}
	for _, n := range lent {
		g.giveBack(n)
	}
	if left := g.bytes.Load(); left != 0 {
		t.Errorf("%d bytes are lent when all were given back", left)
	}
	if n := g.lend(DefaultWindow, grownWindow); n != 0 {
		t.Errorf("the largest window grew by %d", n)
	}
}

func TestServerWindowGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSrvSite(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n, err := io.Copy(io.Discard, r.Body); n != 14*step || err != nil {
				t.Errorf("read %d bytes, %v", n, err)
			}
			srvRaw(w, "")
		})}).dial()
		p.flow(1000)
		p.send(srvPost(1, "/", fmt.Sprint(14*step)))
		slowly := func(why string, steps, increment int) {
			t.Helper()
			for range steps {
				synctest.Wait() // the handler waits for more
				p.send(srvIn(1, strings.Repeat("x", step/2)), srvIn(1, strings.Repeat("x", step/2)))
			}
			p.want(why, fmt.Sprintf("WINDOW 1 STDIN +%d", increment))
		}
		slowly("half a window was taken", 2, 2*step+DefaultWindow)
		slowly("half of twice that", 4, 4*step+2*DefaultWindow)
		for range 8 {
			p.send(srvIn(1, strings.Repeat("x", step/2)), srvIn(1, strings.Repeat("x", step/2)))
		}
		p.send(srvIn(1, ""))
		p.want("the response; nothing more is to come, so nothing is granted", append([]string{"STDOUT 1 " + srvHead}, srvDone(1)...)...)
	})
}
