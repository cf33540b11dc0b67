package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// hang is how long what must come may take: a test that waits for longer fails.
const hang = 60 * time.Second

// onTCP serves handler on a real socket, where the kernel can copy files, and
// returns what connects to it.
func onTCP(t *testing.T, handler http.HandlerFunc) func() *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handler: handler, Log: quietLog, ConnContext: func(nc net.Conn) context.Context {
		nc.(*net.TCPConn).SetWriteBuffer(64 << 10) // what the system would hold at most is a machine's own
		return context.Background()
	}}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	// Received at the end.
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return func() *net.TCPConn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(hang))
		return c.(*net.TCPConn)
	}
}

// aFile is a file of n random bytes, and these.
func aFile(t *testing.T, n int) (*os.File, []byte) {
	t.Helper()
	content := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(content)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, content
}

// A file comes whole and in its place, whichever way it goes.
func TestReadFromFile(t *testing.T) {
	const size = 300 << 10
	f, content := aFile(t, size)
	send := func(from, n int64) io.Reader {
		f.Seek(from, io.SeekStart)
		return io.LimitReader(f, n)
	}
	for _, c := range []struct {
		name, method string
		length       int // declared; -1: not
		src          func() io.Reader
		want         []byte
		direct       bool // by the kernel
	}{
		{"whole", "GET", size, func() io.Reader { return send(0, size) }, content, true},
		{"unlimited", "GET", size, func() io.Reader { send(0, 0); return f }, content, true},
		{"a range", "GET", 100000, func() io.Reader { return send(7, 100000) }, content[7:100007], true},
		{"more than declared", "GET", 100000, func() io.Reader { return send(0, size) }, content[:100000], true},
		{"small", "GET", 1000, func() io.Reader { return send(5, 1000) }, content[5:1005], false},
		{"chunks", "GET", -1, func() io.Reader { return send(0, size) }, content, false},
		{"HEAD", "HEAD", size, func() io.Reader { return send(0, size) }, nil, false},
		{"no file", "GET", size, func() io.Reader { return bytes.NewReader(content) }, content, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dial := onTCP(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "x/y")
				if c.length >= 0 {
					w.Header().Set("Content-Length", fmt.Sprint(c.length))
				}
				w.WriteHeader(200)
				x, src := w.(*response).x, c.src()
				if f, _ := x.plainFile(src); (f != nil) != (c.direct && runtime.GOOS == "linux") {
					t.Errorf("the kernel is to copy it: %v", f != nil)
				}
				if _, err := w.(io.ReaderFrom).ReadFrom(src); err != nil {
					t.Errorf("ReadFrom: %v", err)
				}
			})
			nc := dial()
			in := bufio.NewReader(nc)
			for range 2 { // the connection is good for another one
				fmt.Fprintf(nc, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", c.method)
				res, err := http.ReadResponse(in, &http.Request{Method: c.method})
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, c.want) {
					t.Fatalf("%d bytes, %v, want %d of the file", len(got), err, len(c.want))
				}
			}
		})
	}
}

// Files follow each other, and what is written before and between them, in order.
func TestReadFromFileBetweenWrites(t *testing.T) {
	const size = 100 << 10
	f, content := aFile(t, size)
	want := "before" + string(content) + "between" + string(content)
	dial := onTCP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		w.Header().Set("Content-Length", fmt.Sprint(len(want)))
		for _, word := range []string{"before", "between"} {
			io.WriteString(w, word)
			f.Seek(0, io.SeekStart)
			if n, err := io.CopyN(w, f, size); n != size || err != nil {
				t.Errorf("copied %d, %v", n, err)
			}
		}
	})
	nc := dial()
	io.WriteString(nc, get)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != want {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
	}
}

// endless is a file that no socket's buffers hold, and takes no room.
func endless(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "endless"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	return f
}

// What is declared is never filled up: the client of a file that became shorter
// sees its answer broken off.
func TestReadFromShrinkingFile(t *testing.T) {
	f := endless(t)
	dial := onTCP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		w.Header().Set("Content-Length", fmt.Sprint(1<<30))
		if n, err := io.CopyN(w, f, 1<<30); n == 1<<30 || err != io.EOF {
			t.Errorf("copied %d bytes, %v, want the file's early end", n, err)
		}
	})
	nc := dial()
	io.WriteString(nc, get+get)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1000); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); n >= 1<<30 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d bytes, %v, want an end too early", n, err)
	}
}

// A client that goes away ends the copy, and the request's context.
func TestReadFromClientGone(t *testing.T) {
	f := endless(t)
	ended := make(chan error, 1)
	dial := onTCP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		w.Header().Set("Content-Length", fmt.Sprint(1<<30))
		_, err := io.CopyN(w, f, 1<<30)
		if err != nil {
			<-r.Context().Done()
		}
		ended <- err
	})
	nc := dial()
	io.WriteString(nc, get)
	if _, err := io.ReadFull(nc, make([]byte, 100000)); err != nil {
		t.Fatal(err)
	}
	nc.SetLinger(0)
	nc.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("1 GiB was taken by a client that has gone")
		}
	case <-time.After(hang):
		t.Error("the copy goes on without a client")
	}
}

// The write deadline holds for a file, and one that is moved while the copy waits
// breaks nothing: the file goes on where it stood.
func TestReadFromDeadline(t *testing.T) {
	t.Run("passed", func(t *testing.T) {
		f := endless(t)
		ended := make(chan error, 1)
		dial := onTCP(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "x/y")
			w.Header().Set("Content-Length", fmt.Sprint(1<<30))
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			_, err := io.CopyN(w, f, 1<<30)
			ended <- err
		})
		io.WriteString(dial(), get)
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a client that takes nothing: %v", err)
		}
	})
	t.Run("moved", func(t *testing.T) {
		const size = 8 << 20 // more than the client takes before it reads
		f, content := aFile(t, size)
		moved := make(chan *conn, 1)
		var first time.Time
		dial := onTCP(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "x/y")
			w.Header().Set("Content-Length", fmt.Sprint(size))
			ctl := http.NewResponseController(w)
			first = time.Now().Add(10 * time.Millisecond)
			ctl.SetWriteDeadline(first)
			ctl.SetWriteDeadline(first.Add(time.Hour)) // the timer stays at the first until it passes
			moved <- w.(*response).x.c
			if n, err := io.CopyN(w, f, size); n != size || err != nil {
				t.Errorf("copied %d, %v", n, err)
			}
		})
		nc := dial()
		nc.SetReadBuffer(16 << 10)
		io.WriteString(nc, get)
		c := <-moved
		for give := time.Now().Add(hang); ; runtime.Gosched() {
			c.out.mu.Lock()
			passed := c.out.armed.After(first)
			c.out.mu.Unlock()
			if passed {
				break
			}
			if time.Now().After(give) {
				t.Fatal("the first deadline never passed")
			}
		}
		res, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v; the same as in the file: %v", len(got), err, bytes.Equal(got, content))
		}
	})
}
