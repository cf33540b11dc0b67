package fcgi

import (
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frontd/frontd/internal/memnet"
)

// Of an answer that was asked for without a file only so much is taken ahead of
// its reader as goes into memory, for however long; Spill lets the rest go on, and
// ends it again.
func TestSpillIsAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p, tr := newPeerApp(t)
		req := get("/")
		req.Buffer = Buffering{Memory: 100 << 10, Dir: t.TempDir()}
		type result struct {
			r   *Response
			err error
		}
		answered := make(chan result, 1)
		go func() {
			// Received below.
			r, err := tr.RoundTrip(t.Context(), req)
			answered <- result{r, err}
		}()
		p.accept()
		id := p.request()
		p.wantEmpty("stdin", TypeStdin, id)
		const size, item = 4 << 20, 16 << 10
		var given atomic.Int64
		done := make(chan struct{})
		go func() {
			// done is received below.
			defer close(done)
			p.stdout(id, "Content-Type: text/plain\r\n\r\n")
			for given.Load() < size {
				given.Add(item)
				p.stdout(id, string(make([]byte, item)))
			}
			p.end(id)
		}()
		got := <-answered
		if got.err != nil {
			t.Fatal(got.err)
		}
		// Beside it the read buffer, what the connection itself holds, and what is in
		// hand at both ends.
		const most = 100<<10 + readBufferSize + memnet.BufferSize + largePiece + 2*item
		for _, c := range []struct {
			why  string
			file int64
		}{{"no file", 0}, {"a file of 1 MiB", 1 << 20}, {"no more than that", 0}} {
			got.r.Spill(c.file)
			before := given.Load()
			time.Sleep(time.Hour) // virtual
			synctest.Wait()
			now := given.Load()
			if c.file > 0 && (now < c.file || now > c.file+most) || c.file == 0 && now > max(before, most) {
				t.Errorf("%s: %d bytes were taken off the application, %d before", c.why, now, before)
			}
		}
		n := 0
		for {
			b, err := got.r.Next()
			n += len(b)
			if err != nil {
				if err != io.EOF || n != size {
					t.Errorf("%d bytes, %v; want %d", n, err, size)
				}
				break
			}
		}
		<-done
		got.r.Close()
	})
}
