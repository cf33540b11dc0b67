package front

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A tcpDoor is a server of ours on a real socket, where the kernel can copy files.
type tcpDoor struct {
	t     *testing.T
	addr  string
	ended chan Exchange
}

func openTCP(t *testing.T, engine Engine, route Route) *tcpDoor {
	t.Helper()
	d := &tcpDoor{t: t, ended: make(chan Exchange, 16)}
	chain, err := New(Config{Log: quiet, Observe: func(x *Exchange) { d.ended <- *x }, Routes: []Route{route}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	s := NewServer(chain, ServerConfig{Log: quiet, Engine: engine})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	// Received at the end.
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return d
}

// get sends a request for a file and reads the head of its answer.
func (d *tcpDoor) get(method, path string, header http.Header) (*net.TCPConn, *http.Response) {
	d.t.Helper()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) // a test that hangs fails
	r, err := http.NewRequest(method, "http://"+d.addr+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	if err := r.Write(c); err != nil {
		d.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		d.t.Fatal(err)
	}
	return c.(*net.TCPConn), res
}

// Files go out by either engine, whole and in parts, and every byte is counted.
func TestStaticSendsFiles(t *testing.T) {
	dir := t.TempDir()
	content := make([]byte, 200<<10)
	rand.NewChaCha8([32]byte{2}).Read(content)
	for _, name := range []string{"a.bin", "p.js.gz"} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "p.js"), []byte("plain"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "p.js"), old, old); err != nil {
		t.Fatal(err)
	}
	s := staticFor(t, dir, func(s *Static) { s.Precompressed = []string{"gzip"} })
	for _, engine := range []Engine{OwnEngine, NetEngine} {
		t.Run(string(engine), func(t *testing.T) {
			comp := mustMake[*Compression](t)(NewCompression(Compression{Encodings: []string{"gzip"}, MinSize: 1}))
			d := openTCP(t, engine, Route{Settings: DefaultSettings(), Compression: comp, Handler: s})
			_, res := d.get("GET", "/a.bin", nil)
			tag := res.Header.Get("Etag")
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
			<-d.ended
			for _, c := range []struct {
				name, method, path string
				header             http.Header
				status             int
				want               []byte
			}{
				{"whole", "GET", "/a.bin", nil, 200, content},
				{"HEAD", "HEAD", "/a.bin", nil, 200, nil},
				{"a range", "GET", "/a.bin", http.Header{"Range": {"bytes=70000-170000"}}, 206, content[70000:170001]},
				{"to the end", "GET", "/a.bin", http.Header{"Range": {"bytes=-100001"}}, 206, content[len(content)-100001:]},
				{"If-Range holds", "GET", "/a.bin", http.Header{"Range": {"bytes=1-"}, "If-Range": {tag}}, 206, content[1:]},
				{"If-Range does not", "GET", "/a.bin", http.Header{"Range": {"bytes=1-"}, "If-Range": {`"other"`}}, 200, content},
				{"beyond the end", "GET", "/a.bin", http.Header{"Range": {"bytes=999999-"}}, 416, []byte("invalid range: failed to overlap\n")},
				{"not modified", "GET", "/a.bin", http.Header{"If-None-Match": {tag}}, 304, nil},
				{"encoded before", "GET", "/p.js", http.Header{"Accept-Encoding": {"gzip"}}, 200, content},
			} {
				_, res := d.get(c.method, c.path, c.header)
				got, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != c.status || !bytes.Equal(got, c.want) {
					t.Errorf("%s: %d, %d bytes, %v; want %d and %d bytes", c.name, res.StatusCode, len(got), err, c.status, len(c.want))
				}
				if x := <-d.ended; x.BytesOut != int64(len(c.want)) || x.Status != c.status || x.Cause != "" {
					t.Errorf("%s: recorded status %d, %d bytes, cause %q", c.name, x.Status, x.BytesOut, x.Cause)
				}
			}
		})
	}
}

const endlessSize = 1 << 30

// endlessFile is a file that no socket's buffers hold, and takes no room.
func endlessFile(t *testing.T) (name string, s *Static) {
	t.Helper()
	dir := t.TempDir()
	name = filepath.Join(dir, "endless.bin")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, endlessSize); err != nil {
		t.Fatal(err)
	}
	return name, staticFor(t, dir, func(*Static) {})
}

// A file that becomes shorter while it is sent breaks its answer: what is missing
// is not made up, and the connection takes no other request.
func TestStaticShrinkingFile(t *testing.T) {
	name, s := endlessFile(t)
	d := openTCP(t, OwnEngine, Route{Settings: DefaultSettings(), Handler: s})
	_, res := d.get("GET", "/endless.bin", nil)
	if got := res.Header.Get("Content-Length"); got != fmt.Sprint(endlessSize) {
		t.Fatalf("Content-Length %s", got)
	}
	if err := os.Truncate(name, 10); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	if n >= endlessSize || err != io.ErrUnexpectedEOF {
		t.Errorf("%d bytes, %v, want an end too early", n, err)
	}
	if x := <-d.ended; x.BytesOut != n {
		t.Errorf("recorded %d bytes, the client got %d", x.BytesOut, n)
	}
}

// A client that leaves ends the sending of its file, and one that takes nothing
// has the time of every write.
func TestStaticClientStops(t *testing.T) {
	_, s := endlessFile(t)
	t.Run("gone", func(t *testing.T) {
		d := openTCP(t, OwnEngine, Route{Settings: DefaultSettings(), Handler: s})
		c, res := d.get("GET", "/endless.bin", nil)
		// The head goes out before the file: a client that left after it alone may
		// well have left before the file's first byte.
		if _, err := io.ReadFull(res.Body, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		c.SetLinger(0)
		c.Close()
		if x := <-d.ended; x.Cause != ClientGone || x.BytesOut <= 0 || x.BytesOut >= endlessSize {
			t.Errorf("recorded cause %q, %d bytes", x.Cause, x.BytesOut)
		}
	})
	t.Run("stalled", func(t *testing.T) {
		settings := DefaultSettings()
		settings.SendTimeout = 50 * time.Millisecond
		d := openTCP(t, OwnEngine, Route{Settings: settings, Handler: s})
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /endless.bin HTTP/1.1\r\nHost: a\r\n\r\n")
		if x := <-d.ended; x.Cause != TooSlow || x.BytesOut >= endlessSize {
			t.Errorf("recorded cause %q, %d bytes", x.Cause, x.BytesOut)
		}
	})
}
