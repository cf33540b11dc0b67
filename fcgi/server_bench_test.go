package fcgi

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

// BenchmarkServerHello is a small GET with the variables that nginx sends, on a
// kept unix connection; its time is mostly that of four system calls.
func BenchmarkServerHello(b *testing.B) {
	nc := srvBenchConn(b, srvSay("hello"))
	request := srvJoin(srvBegin(1, true), srvParams(1, "QUERY_STRING=", "REQUEST_METHOD=GET", "CONTENT_TYPE=", "CONTENT_LENGTH=",
		"SCRIPT_NAME=/hello", "REQUEST_URI=/hello", "DOCUMENT_URI=/hello", "DOCUMENT_ROOT=/srv/www", "SERVER_PROTOCOL=HTTP/1.1",
		"REQUEST_SCHEME=http", "GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=bench", "REMOTE_ADDR=127.0.0.1", "REMOTE_PORT=40000",
		"SERVER_ADDR=127.0.0.1", "SERVER_PORT=8080", "SERVER_NAME=localhost", "HTTP_HOST=localhost:8080",
		"HTTP_USER_AGENT=bench", "HTTP_ACCEPT=*/*", "HTTP_ACCEPT_ENCODING=gzip"), srvIn(1, ""))
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nc.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := nc.Read(answer); err != nil { // it is one write
			b.Fatal(err)
		}
	}
}

// BenchmarkServerStream is a large response: no allocation for a record.
func BenchmarkServerStream(b *testing.B) {
	const size = 16 << 20
	piece := make([]byte, 32<<10)
	nc := srvBenchConn(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range size / len(piece) {
			w.Write(piece)
		}
	}))
	rr := NewRecordReader(nc)
	b.ReportAllocs()
	b.SetBytes(size)
	for b.Loop() {
		nc.Write(srvGet(1, "/"))
		for {
			h, err := rr.Next()
			if err != nil {
				b.Fatal(err)
			}
			if h.Type == TypeEndRequest {
				break
			}
		}
	}
}

func srvBenchConn(b *testing.B, h http.Handler) net.Conn {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	srv := &Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	// Its end goes to served.
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		nc.Close()
		srv.Shutdown(context.Background())
		<-served
	})
	return nc
}
