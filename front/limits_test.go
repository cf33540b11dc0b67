package front

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func withSettings(change func(*Settings)) Config {
	s := DefaultSettings()
	change(&s)
	return Config{Settings: &s}
}

func TestBodyTooLarge(t *testing.T) { // H8
	for _, c := range []struct {
		why     string
		raw     string
		want    []int
		handled bool
		in      int64
	}{
		{"as long as allowed", "Content-Length: 5\r\n\r\nabcde", []int{200, 200}, true, 5},
		{"refused by its length, before it is sent", "Content-Length: 6\r\n\r\n", []int{413}, false, 0},
		{"refused before 100 Continue", "Content-Length: 6\r\nExpect: 100-continue\r\n\r\n", []int{413}, false, 0},
		{"chunks as long as allowed", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", []int{200, 200}, true, 5},
		{"chunks over it", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", []int{413}, true, 5},
		{"one endless chunk", "Transfer-Encoding: chunked\r\n\r\nffffffffff\r\nabcdefghi", []int{413}, true, 5},
	} {
		var body []byte
		handled := false
		open(t, withSettings(func(s *Settings) { s.MaxBody = 5 }), ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				return
			}
			handled = true
			var err error
			if body, err = io.ReadAll(r.Body); err != nil {
				Fail(w, r, CauseOf(err), err.Error())
			}
		}, func(d *door) {
			raw := "POST / HTTP/1.1\r\nHost: a\r\n" + c.raw
			if len(c.want) > 1 {
				raw += get
			}
			answer := d.talk(raw, 1<<20)
			if got := statuses(t, answer); !slices.Equal(got, c.want) {
				t.Errorf("%s: answers %v, want %v", c.why, got, c.want)
			}
			if c.want[0] == 413 && !strings.Contains(answer, "Connection: close\r\n") {
				t.Errorf("%s: the connection stays: %q", c.why, answer)
			}
			if x := d.seen[0]; handled != c.handled || x.BytesIn != c.in || int64(len(body)) != c.in {
				t.Errorf("%s: handled %v, %d bytes counted, %d read; want %v, %d", c.why, handled, x.BytesIn, len(body), c.handled, c.in)
			}
		})
	}
}

func TestUnlimitedBody(t *testing.T) {
	open(t, withSettings(func(s *Settings) { s.MaxBody = -1 }), ServerConfig{}, ok, func(d *door) {
		d.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100000), 1<<20)
		if x := d.seen[0]; x.Status != 200 || x.BytesIn != 100000 {
			t.Errorf("status %d, %d bytes", x.Status, x.BytesIn)
		}
	})
}

// drip writes raw a byte at a time, with a pause of virtual time before each,
// until the server has had enough. The channel says when it is over.
func drip(w io.Writer, raw string, pause time.Duration) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		for i := range len(raw) {
			time.Sleep(pause)
			if _, err := io.WriteString(w, raw[i:i+1]); err != nil {
				return
			}
		}
	}()
	// The caller receives its end.
	return over
}

func TestSlowBody(t *testing.T) { // H5
	slow := func(s *Settings) { s.BodyIdle, s.BodyGrace, s.BodyMinRate = 10*time.Second, 30*time.Second, 2 }
	for _, c := range []struct {
		why    string
		pause  time.Duration // between bytes
		bytes  int
		status int
		after  time.Duration
	}{
		{"fast enough", 400 * time.Millisecond, 100, 200, 40 * time.Second},
		{"nothing comes", time.Hour, 1, 408, 10 * time.Second},
		{"never idle, but under the rate", time.Second, 1000, 408, 59500 * time.Millisecond}, // 30 s + n/2 = n
	} {
		open(t, withSettings(slow), ServerConfig{}, ok, func(d *door) {
			conn := d.dial()
			defer conn.Close()
			start := time.Now()
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "+strconv.Itoa(c.bytes)+"\r\n\r\n")
			dripped := drip(conn, strings.Repeat("x", c.bytes), c.pause)
			answer, _ := io.ReadAll(conn)
			took := time.Since(start)
			conn.Close()
			<-dripped
			if got := statuses(t, string(answer)); !slices.Equal(got, []int{c.status}) {
				t.Errorf("%s: answers %v, want %d", c.why, got, c.status)
			}
			x := d.seen[0]
			if c.status == 408 && (x.Cause != TooSlow || !strings.Contains(string(answer), "Connection: close")) {
				t.Errorf("%s: cause %q, answer %q", c.why, x.Cause, answer)
			}
			if took < c.after {
				t.Errorf("%s: took %v, want at least %v", c.why, took, c.after)
			}
			if c.status == 408 && x.BytesIn > 70 {
				t.Errorf("%s: %d bytes were waited for", c.why, x.BytesIn)
			}
		})
	}
}

func TestSlowHandlerDoesNotMakeTheClientSlow(t *testing.T) {
	limits := func(s *Settings) { s.BodyIdle, s.BodyGrace, s.BodyMinRate = time.Second, time.Second, 1000 }
	open(t, withSettings(limits), ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		for b := make([]byte, 5000); ; { // more than net/http holds: each Read comes to the connection
			time.Sleep(time.Minute) // virtual: a worker that takes its time
			if _, err := r.Body.Read(b); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("body: %v", err)
				break
			}
		}
		time.Sleep(time.Hour) // no deadline may be left on the connection
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request is over: %v", err)
		}
	}, func(d *door) {
		raw := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + strings.Repeat("x", 50000)
		if got := statuses(t, d.talk(raw+get, 1<<20)); !slices.Equal(got, []int{200, 200}) {
			t.Errorf("answers %v, want two", got)
		}
	})
}

func TestClientThatLeavesInItsBodyIsGone(t *testing.T) {
	var got error
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		_, got = io.Copy(io.Discard, r.Body)
		Fail(w, r, CauseOf(got), "")
	}, func(d *door) {
		c := d.dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
		c.CloseWrite()
		answer, _ := io.ReadAll(c)
		c.Close()
		if len(answer) != 0 {
			t.Errorf("answer %q to half a request", answer)
		}
		if x := d.seen[0]; x.Cause != ClientGone || x.Status != 499 || x.BytesIn != 3 {
			t.Errorf("recorded %q, status %d, %d bytes", x.Cause, x.Status, x.BytesIn)
		}
	})
	var own *Error
	if !errors.As(got, &own) || !errors.Is(got, io.ErrUnexpectedEOF) {
		t.Errorf("the handler read %v", got)
	}
}

func TestUnreadBodyDelaysTheAnswerForABoundedTime(t *testing.T) {
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "early") // net/http reads the body first
	}, func(d *door) {
		start := time.Now()
		answer := d.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 1<<20)
		if !strings.Contains(answer, "early") || time.Since(start) > 2*drainTimeout+time.Second {
			t.Errorf("after %v: %q", time.Since(start), answer)
		}
	})
}

func TestSlowReader(t *testing.T) { // H6
	const size = 10 << 20
	open(t, withSettings(func(s *Settings) { s.SendTimeout = 10 * time.Second }), ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		if _, err := w.Write(make([]byte, size)); err == nil {
			t.Error("all of it was taken")
		}
		Fail(w, r, ClientGone, "the context is over")
	}, func(d *door) {
		c := d.dial()
		defer c.Close()
		start := time.Now()
		io.WriteString(c, get)
		got := make([]byte, 1<<20) // reads that much, then nothing
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(11 * time.Second) // virtual
		synctest.Wait()
		if len(d.seen) != 1 {
			t.Fatalf("still being served after %v", time.Since(start))
		}
		if x := d.seen[0]; x.Cause != TooSlow || x.BytesOut >= size {
			t.Errorf("recorded %q, %d bytes", x.Cause, x.BytesOut)
		}
	})
}

func TestReaderThatTakesItsTimeButReadsIsServed(t *testing.T) {
	const size = 4 << 20
	open(t, withSettings(func(s *Settings) { s.SendTimeout = 10 * time.Second }), ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, size)) // one write, far longer than the timeout
	}, func(d *door) {
		c := d.dial()
		defer c.Close()
		io.WriteString(c, strings.Replace(get, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		var all bytes.Buffer
		for {
			time.Sleep(3 * time.Second) // virtual
			if _, err := io.CopyN(&all, c, 128<<10); err != nil {
				break
			}
		}
		if all.Len() < size {
			t.Errorf("%d bytes of %d: %+v", all.Len(), size, d.seen)
		}
	})
}

func TestLongWorkAfterAWriteDoesNotCostTheAnswer(t *testing.T) {
	open(t, withSettings(func(s *Settings) { s.SendTimeout = time.Second }), ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "something") // net/http keeps it until the handler returns
		time.Sleep(time.Minute)        // virtual
	}, func(d *door) {
		answers := d.talk(get+"GET /../ HTTP/1.1\r\nHost: a\r\n\r\n", 1<<20)
		if got := statuses(t, answers); !slices.Equal(got, []int{200, 400}) || !strings.Contains(answers, "something") {
			t.Errorf("answers %v: %q", got, answers)
		}
	})
}

var dateLine = regexp.MustCompile(`Date: [^\r]*\r\n`)

func TestSlowHead(t *testing.T) { // H4
	open(t, Config{}, ServerConfig{ReadHeaderTimeout: 10 * time.Second}, ok, func(d *door) {
		c := d.dial()
		defer c.Close()
		start := time.Now()
		dripped := drip(c, "GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 1000), time.Second)
		answer, _ := io.ReadAll(c)
		took := time.Since(start)
		c.Close()
		<-dripped
		if took < 10*time.Second || took > 11*time.Second {
			t.Errorf("took %v, want 10 s for the whole head", took)
		}
		answer = dateLine.ReplaceAll(answer, nil) // which the own engine says too
		if got := statuses(t, string(answer)); !slices.Equal(got, []int{408}) || string(answer) != slowHead {
			t.Errorf("answer %q", answer)
		}
		if len(d.refusals) != 1 || d.refusals[0].Cause != TooSlow {
			t.Errorf("told of %+v", d.refusals)
		}
	})
}

func TestIdleConnections(t *testing.T) { // H7
	config := ServerConfig{ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 20 * time.Second}
	for _, c := range []struct {
		why, raw string
		want     []int
		after    time.Duration
	}{
		{"new, nothing sent", "", nil, 10 * time.Second},
		{"kept, nothing more", get, []int{200}, 20 * time.Second},
		{"kept, then a part of a head", get + "GET / HT", []int{200, 408}, 10 * time.Second},
		{"kept, then one byte", get + "G", []int{200, 408}, 20 * time.Second},
		{"longer in a request than idle may be", "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + get, []int{200, 200}, time.Hour + 20*time.Second},
	} {
		open(t, Config{}, config, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(time.Hour) // virtual
			}
		}, func(d *door) {
			start := time.Now()
			answers := d.talk(c.raw, 1<<20)
			if got := statuses(t, answers); !slices.Equal(got, c.want) {
				t.Errorf("%s: answers %v, want %v", c.why, got, c.want)
			}
			after := c.after
			if d.engine == OwnEngine && strings.HasSuffix(c.raw, "G") {
				after = config.ReadHeaderTimeout // to it, one byte is a part of a head
			}
			if took := time.Since(start); took < after || took > after+time.Second {
				t.Errorf("%s: closed after %v, want %v", c.why, took, after)
			}
		})
	}
}

func TestHeadInMidBodyLeavesTheClientItsTime(t *testing.T) {
	open(t, Config{}, ServerConfig{}, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		read := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
		}()
		// Received below.
		synctest.Wait() // it waits for the body
		http.NewResponseController(w).Flush()
		if err := <-read; err != nil {
			t.Errorf("body: %v", err)
		}
	}, func(d *door) {
		c := d.dial()
		defer c.Close()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n")
		<-drip(c, "x", 2*drainTimeout)
		answer, _ := io.ReadAll(c)
		if got := statuses(t, string(answer)); !slices.Equal(got, []int{200}) {
			t.Errorf("answers %v, want 200", got)
		}
	})
}
