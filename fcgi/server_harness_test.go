package fcgi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// A srvListener hands out the server's ends of pipes.
type srvListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newSrvListener() *srvListener {
	return &srvListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *srvListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *srvListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *srvListener) Addr() net.Addr { return &net.UnixAddr{Name: "test", Net: "unix"} }

// A srvSite is a server under test and the way to its door.
type srvSite struct {
	t      *testing.T
	srv    *Server
	l      *srvListener
	served chan error
}

func newSrvSite(t *testing.T, srv *Server) *srvSite {
	s := &srvSite{t: t, srv: srv, l: newSrvListener(), served: make(chan error, 1)}
	if srv.ErrorLog == nil {
		srv.ErrorLog = t.Logf
	}
	go func() { s.served <- srv.Serve(s.l) }()
	// Its end goes to s.served, or nowhere, and then synctest complains.
	t.Cleanup(func() {
		srv.Close()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown after Close: %v", err)
		}
		if err := <-s.served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v, want ErrServerClosed", err)
		}
	})
	return s
}

// A srvPeer is the web server's end of a connection.
type srvPeer struct {
	t  *testing.T
	nc net.Conn
	rr *RecordReader
}

func (s *srvSite) dial() *srvPeer {
	ours, theirs := net.Pipe()
	s.l.conns <- theirs
	s.t.Cleanup(func() { ours.Close() })
	return &srvPeer{s.t, ours, NewRecordReader(ours)}
}

func (p *srvPeer) send(records ...[]byte) {
	p.t.Helper()
	var b []byte
	for _, r := range records {
		b = append(b, r...)
	}
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// want checks that the next records are those, as srvRecord prints them.
func (p *srvPeer) want(why string, records ...string) {
	p.t.Helper()
	for _, want := range records {
		got, err := srvRecord(p.rr)
		if err != nil {
			p.t.Fatalf("%s: got %v, want %s", why, err, want)
		}
		if got != want {
			p.t.Fatalf("%s:\n got %s\nwant %s", why, got, want)
		}
	}
}

// wantNothing checks that the server, with nothing left to do, sends nothing.
func (p *srvPeer) wantNothing(why string) {
	p.t.Helper()
	got := make(chan string, 1)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		b := make([]byte, 1)
		if n, err := p.nc.Read(b); n > 0 || err == io.EOF {
			got <- fmt.Sprintf("%q, %v", b[:n], err)
		}
	}()
	// Its end goes to stop.
	synctest.Wait()
	p.nc.SetReadDeadline(srvPast)
	<-stop
	p.nc.SetReadDeadline(srvNever)
	select {
	case b := <-got:
		p.t.Fatalf("%s: got %s, want nothing", why, b)
	default:
	}
}

func (p *srvPeer) wantClosed(why string) {
	p.t.Helper()
	if got, err := srvRecord(p.rr); err == nil {
		p.t.Fatalf("%s: got %s, want the connection closed", why, got)
	}
}

// srvRecord reads a record and prints it: its type, its id, its content.
func srvRecord(rr *RecordReader) (string, error) {
	h, err := rr.Next()
	if err != nil {
		return "", err
	}
	var content []byte
	for {
		b, err := rr.Chunk()
		if err != nil {
			return "", err
		}
		if len(b) == 0 {
			break
		}
		content = append(content, b...)
	}
	head := fmt.Sprintf("%v %d", h.Type, h.ID)
	switch h.Type {
	case TypeEndRequest:
		app, status, err := parseEndRequest(content)
		return fmt.Sprintf("%s app=%d %v", head, app, status), err
	case TypeWindow:
		return fmt.Sprintf("WINDOW %d %v +%d", h.ID, Type(content[0]), binary.BigEndian.Uint32(content[4:])), nil
	case TypeGetValuesResult:
		var pairs []string
		d := paramsDecoder{limit: MaxContent}
		err := d.add(content, func(n, v string) { pairs = append(pairs, n+"="+v) })
		return head + " " + strings.Join(pairs, " "), err
	}
	return fmt.Sprintf("%s %q", head, content), nil
}

// The records that the tests send.

func srvBegin(id uint16, keep bool) []byte {
	return AppendBeginRequest(nil, id, RoleResponder, map[bool]uint8{true: FlagKeepConn}[keep])
}

func srvParams(id uint16, pairs ...string) []byte {
	var p Params
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		p.Add(name, value)
	}
	return p.appendRecords(nil, id)
}

// srvIn is one record, or as many as a longer s needs.
func srvIn(id uint16, s string) []byte {
	if len(s) > MaxContent {
		return AppendStream(nil, TypeStdin, id, []byte(s))
	}
	return AppendRecord(nil, TypeStdin, id, []byte(s))
}

func srvAbort(id uint16) []byte { return AppendRecord(nil, TypeAbortRequest, id, nil) }

// srvGet is a whole GET request on a connection that is kept.
func srvGet(id uint16, uri string) []byte {
	return srvJoin(srvBegin(id, true), srvParams(id, "REQUEST_METHOD=GET", "REQUEST_URI="+uri), srvIn(id, ""))
}

// srvPost is a POST request on a connection that is kept, without its body.
func srvPost(id uint16, uri, length string) []byte {
	return srvJoin(srvBegin(id, true), srvParams(id, "REQUEST_METHOD=POST", "REQUEST_URI="+uri, "CONTENT_LENGTH="+length))
}

func srvJoin(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func srvAsk(pairs ...string) []byte {
	var p Params
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		p.Add(name, value)
	}
	return AppendRecord(nil, TypeGetValues, ManagementID, p.buf)
}

// What the server sends for a response "hello" of text/plain, and at its end.
func srvText(id int, body string) string {
	return fmt.Sprintf("STDOUT %d %q", id, fmt.Sprintf(
		"Status: 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s", len(body), body))
}

func srvDone(id int) []string {
	return []string{fmt.Sprintf("STDOUT %d \"\"", id), fmt.Sprintf("END_REQUEST %d app=0 REQUEST_COMPLETE", id)}
}

func srvHello(id int) []string { return append([]string{srvText(id, "hello")}, srvDone(id)...) }

func srvSay(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s) })
}

// flow puts the connection in flow mode and grants output windows of that size.
func (p *srvPeer) flow(window int) {
	p.t.Helper()
	p.send(srvAsk(ValueMpxsConn+"=", fmt.Sprintf("%s=%d", ValueFlow, window)))
	p.want("flow mode is negotiated", fmt.Sprintf("GET_VALUES_RESULT 0 FCGI_MPXS_CONNS=1 FRONTD_FLOW=%d", DefaultWindow))
}

func (p *srvPeer) grant(id uint16, stream Type, n uint32) {
	p.t.Helper()
	p.send(AppendWindow(nil, id, stream, n))
}
