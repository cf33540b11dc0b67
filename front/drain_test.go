package front

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frontd/frontd/internal/memnet"
)

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// read returns the next answer on c.
func readAnswer(t *testing.T, r *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatalf("body: %v", err)
	}
	return resp
}

// A graceful end answers what is on its way: a request under way, one that
// comes on a connection just made, one more on a kept connection.
func TestShutdownAnswersWhatIsOnItsWay(t *testing.T) {
	var release, soon chan struct{} // made in the bubble
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-release
		case "/soon":
			<-soon
		}
	}, func(d *door) {
		release, soon = make(chan struct{}), make(chan struct{})
		busy, prompt, fresh, silent, kept, idle := d.dial(), d.dial(), d.dial(), d.dial(), d.dial(), d.dial()
		io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		io.WriteString(prompt, "GET /soon HTTP/1.1\r\nHost: a\r\n\r\n")
		keptReader := bufio.NewReader(kept)
		io.WriteString(kept, plainGet)
		if resp := readAnswer(t, keptReader); resp.Close {
			t.Error("an answer before the end says that it is the last")
		}
		io.WriteString(idle, plainGet)
		readAnswer(t, bufio.NewReader(idle))
		synctest.Wait()

		begun := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- d.server.Shutdown(context.Background()) }() // its end is received below
		synctest.Wait()
		close(soon)
		if resp := readAnswer(t, bufio.NewReader(prompt)); !resp.Close {
			t.Error("a request that was under way: its answer does not say that it is the last")
		}
		for name, c := range map[string]*memnet.Conn{"just made": fresh, "kept": kept} {
			io.WriteString(c, plainGet)
			if resp := readAnswer(t, bufio.NewReader(c)); !resp.Close || resp.StatusCode != 200 {
				t.Errorf("a connection %s: %s, close %v; want a last answer", name, resp.Status, resp.Close)
			}
		}
		if _, err := idle.Read(make([]byte, 1)); err != io.EOF || time.Since(begun) != drainIdle {
			t.Errorf("an idle connection: %v after %v, want its end after %v", err, time.Since(begun), drainIdle)
		}
		if _, err := silent.Read(make([]byte, 1)); err != io.EOF || time.Since(begun) != drainFresh {
			t.Errorf("a connection that asks nothing: %v after %v, want its end after %v", err, time.Since(begun), drainFresh)
		}
		if len(ended) > 0 {
			t.Error("ended with a request under way")
		}
		close(release)
		readAnswer(t, bufio.NewReader(busy))
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestShutdownHasABound(t *testing.T) {
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}, func(d *door) {
		c := d.dial()
		io.WriteString(c, plainGet)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := d.server.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v, want the context's end", err)
		}
		c.Close()
	})
}
