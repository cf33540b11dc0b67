package front

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A deadline of ours, for a body that nobody waits for any more, is not taken
// for the client's leaving: net/http watches the connection with a read of its
// own from the body's end on, which that deadline ends too.
func TestDeadlineOfABodyDoesNotEndItsRequest(t *testing.T) {
	unlimited := DefaultSettings()
	unlimited.BodyIdle, unlimited.BodyMinRate = 0, 0
	limited := DefaultSettings()
	for _, c := range []struct {
		why      string
		settings *Settings
		handler  http.HandlerFunc
	}{
		{"stopped, and its rest taken", &unlimited, func(w http.ResponseWriter, r *http.Request) {
			r.Body.(interface{ Stop() }).Stop()
			io.Copy(io.Discard, r.Body)
		}},
		{"stopped within its time", &limited, func(w http.ResponseWriter, r *http.Request) {
			r.Body.(interface{ Stop() }).Stop()
			io.Copy(io.Discard, r.Body)
		}},
		{"stopped while its end is read", &limited, func(w http.ResponseWriter, r *http.Request) {
			b := r.Body.(*body)
			b.rc = endsLate{b.rc, func() {
				b.Stop()
				time.Sleep(time.Second) // virtual: the deadline ends a read that there is
			}}
			io.Copy(io.Discard, b)
		}},
		{"left, and the answer takes its time", &limited, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			time.Sleep(3 * drainTimeout) // virtual
		}},
	} {
		open(t, Config{Settings: c.settings}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				return
			}
			c.handler(w, r)
			time.Sleep(time.Second) // virtual: long enough for a read that a deadline ends
			if err := r.Context().Err(); err != nil {
				t.Errorf("%s: the request has ended: %v", c.why, err)
			}
			io.WriteString(w, "ok")
		}, func(d *door) {
			answers := d.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"+get, 1<<20)
			if got := statuses(t, answers); !slices.Equal(got, []int{200, 200}) || !strings.Contains(answers, "ok") {
				t.Errorf("%s: answers %q", c.why, answers)
			}
		})
	}
}

// endsLate does something when the last Read has returned to it, and returns then.
type endsLate struct {
	io.ReadCloser
	meanwhile func()
}

func (e endsLate) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err == io.EOF {
		e.meanwhile()
	}
	return n, err
}

// A client that leaves while it is watched ends its request, deadlines or not.
func TestWatchedClientThatLeavesIsGone(t *testing.T) {
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		r.Body.(interface{ Stop() }).Stop()
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, func(d *door) {
		c := d.dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		time.Sleep(time.Minute) // virtual: it is watched
		c.Close()
		synctest.Wait()
		time.Sleep(time.Second) // virtual: the own engine looks now and then
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.seen) != 1 {
			t.Errorf("%d requests ended, want 1", len(d.seen))
		}
	})
}
