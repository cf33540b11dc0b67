package fcgi

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/frontd/frontd/internal/memnet"
)

// peerApp is the application's end of a Transport's connections, played by
// the test record by record.
type peerApp struct {
	t     *testing.T
	conns chan *memnet.Conn
	nc    *memnet.Conn
	rr    *RecordReader
}

func newPeerApp(t *testing.T) (*peerApp, *Transport) {
	t.Helper()
	p := &peerApp{t: t, conns: make(chan *memnet.Conn, 16)}
	tr := &Transport{Keep: true, Dial: func(context.Context) (net.Conn, error) {
		a, b := memnet.Pipe()
		p.conns <- b
		return a, nil
	}}
	t.Cleanup(func() {
		tr.Abort(errClosed)
		tr.Wait()
	})
	return p, tr
}

// accept takes the next connection.
func (p *peerApp) accept() {
	p.nc = <-p.conns
	p.rr = NewRecordReader(p.nc)
}

// next returns the next record.
func (p *peerApp) next() (Header, string) {
	p.t.Helper()
	h, err := p.rr.Next()
	if err != nil {
		p.t.Fatalf("read record: %v", err)
	}
	var content []byte
	for {
		b, err := p.rr.Chunk()
		if err != nil {
			p.t.Fatalf("read content of %v: %v", h, err)
		}
		if len(b) == 0 {
			return h, string(content)
		}
		content = append(content, b...)
	}
}

func (p *peerApp) want(why string, t Type, id uint16) string {
	p.t.Helper()
	h, content := p.next()
	if h.Type != t || h.ID != id {
		p.t.Fatalf("%s: got %v %q, want %v id=%d", why, h, content, t, id)
	}
	return content
}

func (p *peerApp) wantEmpty(why string, t Type, id uint16) {
	p.t.Helper()
	if c := p.want(why, t, id); c != "" {
		p.t.Fatalf("%s: %v has content %q", why, t, c)
	}
}

// request reads the head of a request and returns its id.
func (p *peerApp) request() uint16 {
	p.t.Helper()
	h, _ := p.next()
	if h.Type != TypeBeginRequest {
		p.t.Fatalf("got %v, want a request's beginning", h)
	}
	p.want("the parameters", TypeParams, h.ID)
	p.wantEmpty("the parameters' end", TypeParams, h.ID)
	return h.ID
}

func (p *peerApp) send(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("application writes: %v", err)
	}
}

func (p *peerApp) stdout(id uint16, s string) {
	p.t.Helper()
	p.send(AppendStream(nil, TypeStdout, id, []byte(s)))
}

func (p *peerApp) end(id uint16) {
	p.t.Helper()
	b := AppendRecord(nil, TypeStdout, id, nil)
	p.send(AppendEndRequest(b, id, 0, StatusRequestComplete))
}

func (p *peerApp) wantClosed(why string) {
	p.t.Helper()
	if h, err := p.rr.Next(); err == nil {
		p.t.Fatalf("%s: got %v, want the connection closed", why, h)
	}
}

// flow answers the negotiation.
func (p *peerApp) flow(window int) {
	p.t.Helper()
	p.want("the question", TypeGetValues, ManagementID)
	var v Params
	v.Add(ValueMpxsConn, "1")
	v.Add(ValueMaxReqs, "100")
	v.Add(ValueFlow, fmt.Sprint(window))
	p.send(AppendRecord(nil, TypeGetValuesResult, ManagementID, v.buf))
}

func get(path string) *Request {
	p := new(Params)
	p.Add("REQUEST_URI", path)
	return &Request{Role: RoleResponder, Params: p}
}

func post(body io.Reader) *Request {
	r := get("/post")
	r.Stdin = body
	return r
}

// An answer is what RoundTrip and the body's reading gave.
type answer struct {
	resp *Response
	body string
	err  error
}

func ask(ctx context.Context, tr *Transport, req *Request) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		// Ends with the answer, which the caller receives.
		resp, err := tr.RoundTrip(ctx, req)
		if err != nil {
			c <- answer{err: err}
			return
		}
		body, err := readAll(resp)
		resp.Close()
		c <- answer{resp, body, err}
	}()
	return c
}

func readAll(r *Response) (string, error) {
	var s strings.Builder
	for {
		b, err := r.Next()
		s.Write(b)
		if err == io.EOF {
			return s.String(), nil
		}
		if err != nil {
			return s.String(), err
		}
	}
}

func inBubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

const okHead = "Content-Type: text/plain\r\n\r\n"
