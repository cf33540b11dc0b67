package fcgi

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// A piece that had to wait for room is news too: the application may say
// nothing more until it is heard. One processor makes the order certain.
func TestPlainBurstThenSilence(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		const tail = "the piece that has to wait"
		body, client := io.Pipe()
		begun, got := make(chan struct{}), make(chan answer, 1)
		go func() {
			// Its end is received from got.
			resp, err := tr.RoundTrip(t.Context(), post(body))
			if err != nil {
				got <- answer{err: err}
				return
			}
			begun <- struct{}{}
			<-begun // the read loop waits for room
			n := 0
			for n < blockWindow+len(tail) {
				b, err := resp.Next()
				if err != nil {
					break
				}
				n += len(b)
			}
			client.Close() // the application waits for that before it goes on
			rest, err := readAll(resp)
			resp.Close()
			got <- answer{body: rest, err: err}
		}()
		p.accept()
		id := p.request()
		p.stdout(id, okHead)
		<-begun
		p.stdout(id, strings.Repeat("x", blockWindow))
		p.stdout(id, tail)
		synctest.Wait()
		begun <- struct{}{}
		p.wantEmpty("the client's answer to all of the burst", TypeStdin, id)
		p.stdout(id, "bye")
		p.end(id)
		if a := <-got; a.err != nil || a.body != "bye" {
			t.Errorf("%+v", a)
		}
	})
}
