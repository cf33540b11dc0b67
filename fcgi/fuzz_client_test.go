package fcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/memnet"
)

// fuzzHang is when a request counts as hung; everything is in memory.
const fuzzHang = time.Minute

// FuzzClientConn: whatever an application sends, and then closes, the requests
// end, nothing panics, and no answer takes more memory than its bounds.
func FuzzClientConn(f *testing.F) {
	hello := AppendEndRequest(AppendStream(nil, TypeStdout, 1, []byte(okHead+"hello")), 1, 0, StatusRequestComplete)
	f.Add(hello, false)
	f.Add(hello, true)
	f.Add(wireAnswer(1), false)
	f.Add(srvJoin(AppendWindow(nil, 2, TypeStdin, 100_000), AppendStream(nil, TypeStderr, 2, make([]byte, 70_000)), hello, wireAnswer(2)), true)
	f.Add(AppendStream(nil, TypeStdout, 1, make([]byte, 200_000)), true)
	f.Add(AppendStream(nil, TypeStdout, 1, []byte(strings.Repeat("Status: 103\n\n", 500))), false)
	f.Add(AppendEndRequest(AppendWindow(nil, 1, TypeStdin, MaxWindow), 1, 0, StatusOverloaded), true)
	f.Add(AppendRecord(hello, TypeStdout, 1, []byte("late")), false)
	f.Fuzz(func(t *testing.T, in []byte, flow bool) {
		ctx, stop := context.WithTimeout(context.Background(), fuzzHang)
		defer stop()
		tr := fuzzTransport(t, in, flow)
		answers := []<-chan error{
			fuzzAsk(ctx, tr, get("/")), fuzzAsk(ctx, tr, post(strings.NewReader(strings.Repeat("body", 50_000)))),
		}
		for i, a := range answers {
			if err := <-a; errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("request %d hangs", i)
			} else if err != nil && errors.Is(err, errFuzzMemory) {
				t.Error(err)
			}
		}
		tr.Abort(errClosed)
		tr.Wait()
	})
}

// fuzzTransport returns a Transport whose application takes everything and
// answers each connection with in, and closes it.
func fuzzTransport(t *testing.T, in []byte, flow bool) *Transport {
	t.Helper()
	prefix := []byte(nil)
	if flow {
		var v Params
		v.Add(ValueMpxsConn, "1")
		v.Add(ValueMaxReqs, "2")
		v.Add(ValueFlow, "1000")
		prefix = AppendRecord(nil, TypeGetValuesResult, ManagementID, v.buf)
	}
	return &Transport{Keep: true, Flow: flow, Dial: func(context.Context) (net.Conn, error) {
		a, b := memnet.Pipe()
		go io.Copy(io.Discard, b)
		// Ends with the connection.
		go func() {
			// Ends when it has written, or with the connection.
			b.Write(prefix)
			b.Write(in)
			b.CloseWrite()
		}()
		return a, nil
	}}
}

var errFuzzMemory = errors.New("an answer is held beyond its bounds")

// fuzzAsk makes a request and reads the answer to its end, whatever it is.
func fuzzAsk(ctx context.Context, tr *Transport, req *Request) <-chan error {
	c := make(chan error, 1)
	go func() {
		// Its end is received from c.
		req.Stderr = func([]byte) {}
		resp, err := tr.RoundTrip(ctx, req)
		if err != nil {
			c <- err
			return
		}
		defer resp.Close()
		for err == nil {
			var b []byte
			if b, err = resp.Next(); len(b) > maxHead+2*DefaultWindow {
				err = errFuzzMemory
			}
		}
		c <- err
	}()
	return c
}

// FuzzParamsDecoder: any bytes, divided anywhere, give the same pairs or the
// same refusal, and pairs that were had encode and decode to themselves.
func FuzzParamsDecoder(f *testing.F) {
	f.Add([]byte(wirePairs), uint(5))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xffx"), uint(3))
	f.Add([]byte("\x80\x00\x00\x00\x80\x00\x00\x00"), uint(1))
	f.Fuzz(func(t *testing.T, in []byte, at uint) {
		decode := func(pieces ...[]byte) (p *Params, whole bool) {
			p = new(Params)
			d := paramsDecoder{limit: 4096}
			for _, piece := range pieces {
				if d.add(piece, p.Add) != nil {
					return p, false
				}
			}
			return p, d.end() == nil
		}
		cut := int(at % uint(len(in)+1))
		p, whole := decode(in)
		q, same := decode(in[:cut], in[cut:])
		if whole != same || whole && !bytes.Equal(p.buf, q.buf) {
			t.Fatalf("%q: %v; divided at %d: %v", in, whole, cut, same)
		}
		if !whole {
			return
		}
		if len(p.buf) > len(in) {
			t.Errorf("%q encodes to %q, which is longer", in, p.buf)
		}
		if r, ok := decode(p.buf); !ok || !bytes.Equal(r.buf, p.buf) {
			t.Errorf("%q decoded again is %q, %v", p.buf, r.buf, ok)
		}
	})
}

// FuzzCapabilities: an answer to GET_VALUES gives numbers within their bounds.
func FuzzCapabilities(f *testing.F) {
	var p Params
	p.Add(ValueMaxConns, "10")
	p.Add(ValueMaxReqs, "99999999999999999999")
	p.Add(ValueMpxsConn, "1")
	p.Add(ValueFlow, "-5")
	f.Add(p.buf)
	f.Add([]byte("\x0bFRONTD_FLOW\x80"))
	f.Fuzz(func(t *testing.T, in []byte) {
		caps, err := parseCapabilities(in)
		var breach *ProtocolError
		if err != nil && !errors.As(err, &breach) {
			t.Errorf("error %v, want a protocol error", err)
		}
		if caps.MaxConns < 0 || caps.MaxRequests < 0 || caps.Window < 0 || caps.Window > MaxWindow {
			t.Errorf("%+v", caps)
		}
	})
}
