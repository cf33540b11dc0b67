package front

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Frames of HTTP/2 as a hostile client makes them (RFC 9113 §6), by hand: a
// library would not send most of these.
const (
	h2Data         = 0x0
	h2Headers      = 0x1
	h2Reset        = 0x3
	h2Settings     = 0x4
	h2GoAway       = 0x7
	h2Continuation = 0x9

	h2EndStream  = 0x1
	h2EndHeaders = 0x4
	h2Ack        = 0x1

	h2Cancel          = 0x8 // §7
	h2EnhanceYourCalm = 0xb
)

// An h2Frame is what came from the server.
type h2Frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// An h2Client is a connection whose frames come from a channel that is closed at its end.
type h2Client struct {
	t      *testing.T
	conn   *tls.Conn
	frames chan h2Frame
}

// openHTTP2 runs f with connections of HTTP/2 to a server of its own, on virtual time.
func openHTTP2(t *testing.T, c Config, streams int, handler http.HandlerFunc, f func(d *door)) {
	t.Helper()
	certs, err := LoadCertificates([]CertificateFiles{certify(t, t.TempDir(), "localhost", time.Now())}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	openOne(t, c, ServerConfig{TLS: certs.Config(), MaxStreams: streams}, handler, f)
}

// http2 connects with settings of the client's, of six bytes each.
func (d *door) http2(settings string) *h2Client {
	d.t.Helper()
	c := &h2Client{d.t, tls.Client(d.dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}), make(chan h2Frame, 1<<16)}
	if err := c.conn.Handshake(); err != nil {
		d.t.Fatal(err)
	}
	go c.read()
	// close receives its end, by frames.
	c.write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	c.send(h2Settings, 0, 0, []byte(settings))
	c.send(h2Settings, h2Ack, 0, nil)
	return c
}

func (c *h2Client) read() {
	defer close(c.frames)
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.conn, head[:]); err != nil {
			return
		}
		f := h2Frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))}
		if _, err := io.ReadFull(c.conn, f.payload); err != nil {
			return
		}
		c.frames <- f
	}
}

// close ends the connection.
func (c *h2Client) close() {
	c.conn.Close()
	for range c.frames {
	}
}

// write reports whether the connection took it.
func (c *h2Client) write(p []byte) bool {
	_, err := c.conn.Write(p)
	return err == nil
}

func (c *h2Client) send(kind, flags byte, stream uint32, payload []byte) bool {
	n := len(payload)
	head := binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)
	return c.write(append(head, payload...))
}

// get asks for path, without a body.
func (c *h2Client) get(stream uint32, path string) bool {
	return c.send(h2Headers, h2EndStream|h2EndHeaders, stream, h2Request(path))
}

// reset ends a stream (§6.4).
func (c *h2Client) reset(stream uint32) bool {
	return c.send(h2Reset, 0, stream, []byte{0, 0, 0, h2Cancel})
}

// h2Request is the fields of a GET, each a literal that nobody remembers (RFC 7541 §6.2.2).
func h2Request(path string) []byte {
	var b []byte
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", path}} {
		b = append(b, 0, byte(len(f[0])))
		b = append(b, f[0]...)
		b = append(b, byte(len(f[1])))
		b = append(b, f[1]...)
	}
	return b
}

// h2Fields are literals of any length that nobody remembers.
func h2Fields(fields ...string) (block []byte) {
	for i, text := range fields {
		if i%2 == 0 {
			block = append(block, 0)
		}
		n := len(text)
		if n < 127 { // RFC 7541 §5.1
			block = append(block, byte(n))
		} else {
			block = append(block, 127)
			for n -= 127; n >= 128; n >>= 7 {
				block = append(block, byte(n)|128)
			}
			block = append(block, byte(n))
		}
		block = append(block, text...)
	}
	return block
}

// open sends a request's head in as many frames as it takes (§6.10), and its body if it has one.
func (c *h2Client) open(stream uint32, block []byte, body string) {
	kind, flags := byte(h2Headers), byte(h2EndStream)
	if body != "" {
		flags = 0
	}
	for ; len(block) > 1<<14; kind, flags = h2Continuation, 0 {
		c.send(kind, flags, stream, block[:1<<14])
		block = block[1<<14:]
	}
	c.send(kind, flags|h2EndHeaders, stream, block)
	if body != "" {
		c.send(h2Data, h2EndStream, stream, []byte(body))
	}
}

// await returns the next frame of one of these kinds for the stream, and false at the connection's end.
func (c *h2Client) await(stream uint32, kinds ...byte) (h2Frame, bool) {
	for f := range c.frames {
		for _, kind := range kinds {
			if f.kind == kind && f.stream == stream {
				return f, true
			}
		}
	}
	return h2Frame{}, false
}

// A client that opens streams and resets them at once (CVE-2023-44487) has no
// more requests served at once than it may, and then no connection.
func TestRapidReset(t *testing.T) { // H12
	const streams = 8
	var running, served atomic.Int64
	var release chan struct{} // made in the bubble
	openHTTP2(t, Config{}, streams, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		running.Add(1)
		defer running.Add(-1)
		<-r.Context().Done() // each reset reaches its request
		<-release            // but ending it takes its time
	}, func(d *door) {
		release = make(chan struct{})
		c := d.http2("")
		for i := range uint32(1000) {
			if stream := 2*i + 1; !c.get(stream, "/") || !c.reset(stream) {
				break // it was closed
			}
		}
		f, ok := c.await(0, h2GoAway)
		if !ok || binary.BigEndian.Uint32(f.payload[4:]) != h2EnhanceYourCalm {
			t.Errorf("told to go: %v, %x; want ENHANCE_YOUR_CALM", ok, f.payload)
		}
		synctest.Wait()
		if n := running.Load(); n != streams {
			t.Errorf("%d requests at once, want %d", n, streams)
		}
		close(release)
		c.close()
	})
	if n := served.Load(); n > 5*streams {
		t.Errorf("%d requests were served of a thousand that nobody waited for", n)
	}
}

func TestResetEndsTheRequest(t *testing.T) { // H12
	var ended chan error
	openHTTP2(t, Config{}, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/next" {
			<-r.Context().Done()
			ended <- r.Context().Err()
		}
	}, func(d *door) {
		ended = make(chan error, 1)
		c := d.http2("")
		c.get(1, "/")
		time.Sleep(time.Second) // virtual: it is being served
		c.reset(1)
		if err := <-ended; err == nil {
			t.Error("ended without an error")
		}
		c.get(3, "/next") // the connection goes on
		if _, ok := c.await(3, h2Headers); !ok {
			t.Error("no answer to the next request")
		}
		c.close()
	})
}

// Fields without an end cost the connection, and no memory (CVE-2024-27316).
func TestContinuationFlood(t *testing.T) { // H12
	openHTTP2(t, Config{}, 0, func(w http.ResponseWriter, r *http.Request) { t.Error("was served") }, func(d *door) {
		c := d.http2("")
		c.send(h2Headers, h2EndStream, 1, h2Request("/"))
		field := "\x00\x01x\x7f\xe1\x1e" + strings.Repeat("v", 127+(0x61|0x1e<<7))
		taken := 0
		for ; taken < 1024 && c.send(h2Continuation, 0, 1, []byte(field)); taken++ {
		}
		if taken == 1024 {
			t.Errorf("%d frames of %d bytes were taken", taken, len(field))
		}
		if f, ok := c.await(0, h2GoAway); !ok || binary.BigEndian.Uint32(f.payload[4:]) == 0 {
			t.Errorf("told to go: %v, %x; want an error", ok, f.payload)
		}
		c.close()
	})
}

// A few bytes that stand for megabytes of fields (RFC 7541 §7.3) are refused.
func TestHeaderBomb(t *testing.T) { // H12
	var served atomic.Int64
	openHTTP2(t, Config{}, 0, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.URL.Path != "/next" {
			t.Error("the bomb was served")
		}
	}, func(d *door) {
		c := d.http2("")
		block := h2Request("/")
		block = append(block, "\x40\x01x\x7f\x91\x1d"...) // remembered: its length follows, 127 + 17 + 29<<7
		block = append(block, strings.Repeat("v", 127+17+29<<7)...)
		block = append(block, strings.Repeat("\xbe", 10000)...) // that field again and again
		c.send(h2Headers, h2EndStream|h2EndHeaders, 1, block)
		if f, ok := c.await(1, h2Headers, h2Reset); !ok {
			t.Errorf("no answer to the bomb, last %+v", f)
		}
		c.get(3, "/next")
		if _, ok := c.await(3, h2Headers); !ok {
			t.Error("no answer to the next request")
		}
		c.close()
	})
	if n := served.Load(); n != 1 {
		t.Errorf("%d requests were served, want the next one only", n)
	}
}

// What RFC 9113 calls malformed and net/http lets through is refused, and what is
// too large told; the connection lives on.
func TestHostileHeadsInHTTP2(t *testing.T) { // 4A, H12
	with := func(fields ...string) []byte { return append(h2Request("/"), h2Fields(fields...)...) }
	to := func(authority, path string, fields ...string) []byte {
		block := h2Fields(":method", "GET", ":scheme", "https", ":path", path)
		if authority != "" {
			block = append(block, h2Fields(":authority", authority)...)
		}
		return append(block, h2Fields(fields...)...)
	}
	many := func(n, size int) []byte {
		block := h2Request("/")
		for i := range n {
			block = append(block, h2Fields(fmt.Sprintf("x-%d", i), strings.Repeat("v", size))...)
		}
		return block
	}
	for _, c := range []struct {
		why   string
		block []byte
		body  string
		want  Cause
	}{
		{"a good one", with("x", "y"), "", ""},
		{"Host as the authority", to("A:443", "/", "host", "a"), "", ""},
		{"Host alone", to("", "/", "host", "a"), "", ""},
		{"a path with a query", to("a", "/b?c=%20"), "", ""},
		{"one length", with("content-length", "1"), "b", ""},
		{"another Host", with("host", "b"), "", BadRequest},
		{"two Host", to("", "/", "host", "a", "host", "b"), "", BadRequest},
		{"absolute form", to("a", "http://b/x"), "", BadRequest},
		{"space in the path", to("a", "/a b"), "", BadRequest},
		{"space in the query", to("a", "/a?b c"), "", BadRequest},
		{"two lengths", with("content-length", "1", "content-length", "2"), "b", BadRequest},
		{"two types", with("content-type", "a/b", "content-type", "c/d"), "b", BadRequest},
		{"request line for a method", h2Fields(":method", "GET /x HTTP/1.1", ":scheme", "https", ":authority", "a", ":path", "/"), "", BadRequest},
		{"as much as may be", many(60, 1000), "", ""},
		{"head over 64 KiB", many(70, 1000), "", HeadTooLarge},
		{"head near 128 KiB", many(99, 1200), "", HeadTooLarge},
		{"fields over 100", many(101, 1), "", HeadTooLarge},
		{"field over 16 KiB", with("x", strings.Repeat("v", 17000)), "", HeadTooLarge},
		{"target over 8 KiB", to("a", "/"+strings.Repeat("a", 9000)), "", TargetTooLong},
	} {
		openHTTP2(t, Config{}, 0, func(w http.ResponseWriter, r *http.Request) {
			if host := r.Header["Host"]; host != nil || r.Host == "" {
				t.Errorf("%s: host %q, with the fields %q", c.why, r.Host, host)
			}
			io.Copy(w, r.Body)
		}, func(d *door) {
			client := d.http2("")
			client.open(1, c.block, c.body)
			if f, ok := client.await(1, h2Headers, h2Reset); !ok || f.kind != h2Headers {
				t.Errorf("%s: no answer, last %+v", c.why, f)
			}
			client.get(3, "/next")
			if _, ok := client.await(3, h2Headers); !ok {
				t.Errorf("%s: no answer to the next request", c.why)
			}
			synctest.Wait() // the handlers have returned
			d.mu.Lock()
			if len(d.seen) != 2 {
				t.Errorf("%s: recorded %d requests", c.why, len(d.seen))
			}
			for _, x := range d.seen { // in either order
				want := c.want
				if x.Path == "/next" {
					want = ""
				}
				if x.Cause != want {
					t.Errorf("%s: %q has cause %q, want %q", c.why, x.Path, x.Cause, want)
				}
			}
			d.mu.Unlock()
			client.close()
		})
	}
}

// A client that takes nothing holds its request for SendTimeout, its
// connection lives on.
func TestZeroWindow(t *testing.T) { // H12
	settings := DefaultSettings()
	settings.SendTimeout = 10 * time.Second
	openHTTP2(t, Config{Settings: &settings}, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/next" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if _, err := w.Write(make([]byte, 1<<20)); err == nil {
			t.Error("all of it was taken")
		}
		Fail(w, r, ClientGone, "the context is over")
	}, func(d *door) {
		c := d.http2("\x00\x04\x00\x00\x00\x00") // SETTINGS_INITIAL_WINDOW_SIZE 0
		start := time.Now()
		c.get(1, "/")
		if _, ok := c.await(1, h2Reset); !ok || time.Since(start) > 11*time.Second {
			t.Errorf("reset: %v, after %v; want it after 10 s", ok, time.Since(start))
		}
		c.get(3, "/next")
		if _, ok := c.await(3, h2Headers); !ok {
			t.Error("no answer to the next request")
		}
		synctest.Wait()
		d.mu.Lock()
		causes := map[string]Cause{} // in either order: the reset goes out before its handler returns
		for _, x := range d.seen {
			causes[x.Path] = x.Cause
		}
		if len(d.seen) != 2 || len(causes) != 2 || causes["/"] != TooSlow || causes["/next"] != "" {
			t.Errorf("recorded %v", causes)
		}
		d.mu.Unlock()
		c.close()
	})
}
