package fcgi

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
)

// cycle delivers b again and again.
type cycle struct {
	b  []byte
	at int
}

func (c *cycle) Read(p []byte) (int, error) {
	n := copy(p, c.b[c.at:])
	if c.at += n; c.at == len(c.b) {
		c.at = 0
	}
	return n, nil
}

// BenchmarkRecordRead is one small record and the end of a request: no allocation.
func BenchmarkRecordRead(b *testing.B) {
	in := srvJoin(AppendRecord(nil, TypeStdout, 1, bytes.Repeat([]byte{'x'}, 500)), AppendEndRequest(nil, 1, 0, StatusRequestComplete))
	rr := NewRecordReader(&cycle{b: in})
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for range 2 {
			if _, err := rr.Next(); err != nil {
				b.Fatal(err)
			}
			for {
				piece, err := rr.Chunk()
				if err != nil {
					b.Fatal(err)
				}
				if len(piece) == 0 {
					break
				}
			}
		}
	}
}

// BenchmarkRecordReadLarge is the largest record: its size costs no memory.
func BenchmarkRecordReadLarge(b *testing.B) {
	in := AppendRecord(nil, TypeStdout, 1, make([]byte, MaxContent))
	rr := NewRecordReader(&cycle{b: in})
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		rr.Next()
		for {
			piece, err := rr.Chunk()
			if err != nil {
				b.Fatal(err)
			}
			if len(piece) == 0 {
				break
			}
		}
	}
}

// BenchmarkRecordWrite appends a record to memory that is there.
func BenchmarkRecordWrite(b *testing.B) {
	content, dst := make([]byte, 4096), make([]byte, 0, 8192)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendEndRequest(AppendRecord(dst[:0], TypeStdout, 1, content), 1, 0, StatusRequestComplete)
	}
}

// benchRequest is what a browser sends.
func benchRequest() (*http.Request, *CGI) {
	r := &http.Request{
		Method: "GET", Proto: "HTTP/1.1", URL: &url.URL{Path: "/hello", RawQuery: "a=b"},
		Header: http.Header{
			"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}, "Accept-Encoding": {"gzip, deflate, br"},
			"Accept-Language": {"en-US,en;q=0.5"}, "Cookie": {"session=0123456789abcdef", "theme=dark"},
			"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}, "Sec-Fetch-Mode": {"navigate"},
		},
	}
	return r, &CGI{
		Scheme: "http", ServerName: "localhost", ServerPort: "8080", ServerAddr: "127.0.0.1", RemoteAddr: "127.0.0.1",
		RemotePort: "40000", PathInfo: "/hello", RequestURI: "/hello?a=b", RequestID: "0123456789abcdef", Host: "localhost:8080",
	}
}

// BenchmarkParamsEncode makes the parameters of a request and their records.
func BenchmarkParamsEncode(b *testing.B) {
	r, c := benchRequest()
	var p Params
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		AppendCGI(&p, r, c, 0)
		dst = p.appendRecords(dst[:0], 1)
	}
	b.SetBytes(int64(len(dst)))
}

// BenchmarkParamsDecode takes them apart again, into the strings that the
// application keeps.
func BenchmarkParamsDecode(b *testing.B) {
	r, c := benchRequest()
	var p Params
	AppendCGI(&p, r, c, 0)
	b.SetBytes(int64(p.Len()))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		d := paramsDecoder{limit: DefaultMaxParams}
		if err := d.add(p.buf, func(name, value string) { n++ }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHello is a small GET and its answer through our client and our
// server over a unix socket, in one process.
func BenchmarkHello(b *testing.B) {
	for name, flow := range map[string]bool{"plain": false, "flow": true} {
		b.Run(name, func(b *testing.B) {
			tr := benchTransport(b, flow, srvSay("hello"))
			b.ReportAllocs()
			for b.Loop() {
				benchHello(b, tr)
			}
		})
		b.Run(name+", many at once", func(b *testing.B) {
			tr := benchTransport(b, flow, srvSay("hello"))
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					benchHello(b, tr)
				}
			})
		})
	}
}

// BenchmarkDownload is an answer of 16 MiB.
func BenchmarkDownload(b *testing.B) {
	const size = 16 << 20
	piece := make([]byte, 32<<10)
	for name, flow := range map[string]bool{"plain": false, "flow": true} {
		b.Run(name, func(b *testing.B) {
			tr := benchTransport(b, flow, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for range size / len(piece) {
					w.Write(piece)
				}
			}))
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if n := benchHello(b, tr); n != size {
					b.Fatalf("%d bytes", n)
				}
			}
		})
	}
}

func benchHello(b *testing.B, tr *Transport) (n int) {
	r, c := benchRequest()
	var p Params
	AppendCGI(&p, r, c, 0)
	resp, err := tr.RoundTrip(context.Background(), &Request{Role: RoleResponder, Params: &p})
	if err != nil {
		b.Error(err)
		return 0
	}
	for err == nil {
		var piece []byte
		piece, err = resp.Next()
		n += len(piece)
	}
	if err != io.EOF {
		b.Error(err)
	}
	resp.Close()
	return n
}

// benchTransport returns a Transport to a Server in this process.
func benchTransport(b testing.TB, flow bool, h http.Handler) *Transport {
	b.Helper()
	path := filepath.Join(b.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	srv := &Server{Handler: h}
	ended := make(chan struct{})
	go func() {
		// Its end is received by the cleanup.
		defer close(ended)
		srv.Serve(l)
	}()
	tr := &Transport{Keep: true, MaxIdle: 64, Flow: flow, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	b.Cleanup(func() {
		tr.Close()
		tr.Wait()
		srv.Close()
		srv.Shutdown(context.Background())
		<-ended
	})
	return tr
}

// A record costs no memory, neither read nor written.
func TestRecordsDoNotAllocate(t *testing.T) {
	in := srvJoin(AppendRecord(nil, TypeStdout, 1, make([]byte, 500)), AppendRecord(nil, TypeStdout, 1, make([]byte, MaxContent)))
	rr := NewRecordReader(&cycle{b: in})
	out := make([]byte, 0, 8192)
	n := testing.AllocsPerRun(100, func() {
		rr.Next()
		for {
			if b, _ := rr.Chunk(); len(b) == 0 {
				break
			}
		}
		out = AppendEndRequest(AppendRecord(out[:0], TypeStdin, 1, in[:4096]), 1, 0, StatusRequestComplete)
	})
	if n != 0 {
		t.Errorf("%v allocations a record, want none", n)
	}
}
