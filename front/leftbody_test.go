package front

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A body that nobody waited for, of a request that is answered, is never taken
// for a request: what follows it is served, or the connection ends.
func TestBodyThatComesAfterTheAnswer(t *testing.T) {
	for _, c := range []struct {
		why    string
		head   string
		body   string
		after  time.Duration // from the answer to the body
		served bool          // what follows
	}{
		{"at once", "Content-Length: 4", "body", 0, true},
		{"at once, in chunks", "Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n", 0, true},
		{"soon", "Content-Length: 4", "body", leaveTimeout / 2, true},
		{"late", "Content-Length: 4", "body", 3 * drainTimeout, false},
		{"late, in chunks", "Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n", 3 * drainTimeout, false},
	} {
		next := 0
		open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case http.MethodGet:
				next++
				if err := r.Context().Err(); err != nil {
					t.Errorf("%s: what follows begins ended: %v", c.why, err)
				}
				return
			case http.MethodPost:
			default:
				t.Errorf("%s: the body was taken for the method %q", c.why, r.Method)
				return
			}
			// As the gateway does it where an application answers without reading.
			if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
				t.Error(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				io.Copy(io.Discard, r.Body)
			}()
			// Received below.
			time.Sleep(time.Second) // virtual: it waits for the body
			io.WriteString(w, "early")
			r.Body.(interface{ Stop() }).Stop()
			<-done
		}, func(d *door) {
			next = 0
			nc := d.dial()
			defer nc.Close()
			br := bufio.NewReader(nc)
			io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\n"+c.head+"\r\n\r\n")
			first, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatalf("%s: %v", c.why, err)
			}
			early := make([]byte, len("early"))
			if _, err := io.ReadFull(first.Body, early); string(early) != "early" {
				t.Errorf("%s: answer %q, %v", c.why, early, err)
			}
			time.Sleep(c.after) // virtual
			io.WriteString(nc, c.body+strings.Replace(get, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
			if b, err := io.ReadAll(first.Body); len(b) > 0 || err != nil {
				t.Errorf("%s: end of the answer: %q, %v", c.why, b, err)
			}
			rest, _ := io.ReadAll(br)
			if d.engine == NetEngine && strings.HasPrefix(c.head, "Transfer-Encoding") {
				c.served = false // its reader of chunks does not go on after a deadline
			}
			if served := strings.HasPrefix(string(rest), "HTTP/1.1 200 "); served != c.served || !c.served && len(rest) > 0 || next > 1 || next == 1 != c.served {
				t.Errorf("%s: served %d behind it, answered %q; want it served: %v", c.why, next, rest, c.served)
			}
		})
	}
}

// A client that has its answer and leaves with its body unsent: net/http watches
// the connection from that body's end on, early as it is, while we cut it. The
// race detector looks.
func TestClientLeavesBeforeItsBodyEnds(t *testing.T) {
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		io.WriteString(w, "early")
		r.Body.(interface{ Stop() }).Stop()
	}, func(d *door) {
		nc := d.dial()
		br := bufio.NewReader(nc)
		io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		early := make([]byte, len("early"))
		if _, err := io.ReadFull(resp.Body, early); string(early) != "early" {
			t.Errorf("answer %q, %v", early, err)
		}
		nc.CloseWrite()
		if rest, err := io.ReadAll(br); strings.Contains(string(rest), "HTTP/1.1 ") {
			t.Errorf("after the answer came %q, %v", rest, err)
		}
		nc.Close()
	})
}
