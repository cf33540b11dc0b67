package front

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// checkedListener hands out connections whose framing is checked.
type checkedListener struct {
	net.Listener
	config *ServerConfig
}

func (l checkedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	boundUnsent(c)
	return newConn(c, l.config.MaxHeaderBytes, l.config.Refusal), nil
}

// tlsListener shakes hands before it hands a connection out: only then is it known
// whether HTTP/2 follows, which net/http serves from the bare *tls.Conn,
// or HTTP/1, whose framing is checked within the TLS.
type tlsListener struct {
	net.Listener
	config *ServerConfig
	ready  chan net.Conn
	ctx    context.Context
	cancel context.CancelFunc
	closed sync.Once
	all    sync.WaitGroup // accept and the handshakes
	err    error          // of the listener; read after ctx is done
}

func newTLSListener(l net.Listener, config *ServerConfig) *tlsListener {
	t := &tlsListener{Listener: l, config: config, ready: make(chan net.Conn)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.all.Go(t.accept) // Close waits for it
	return t
}

func (t *tlsListener) accept() {
	defer t.cancel()
	for delay := time.Duration(0); ; {
		c, err := t.Listener.Accept()
		if err == nil {
			delay = 0
			boundUnsent(c)
			t.all.Go(func() { t.handshake(c) }) // Close waits for it
			continue
		}
		var ne net.Error
		if errors.Is(err, net.ErrClosed) || !errors.As(err, &ne) || t.ctx.Err() != nil {
			t.err = err
			return
		}
		// Out of descriptors, or a client gone again: as net/http does, wait
		// and go on.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		t.config.Log.Error("accept failed, trying again", "error", err, "delay", delay)
		select {
		case <-time.After(delay):
		case <-t.ctx.Done():
		}
	}
}

func (t *tlsListener) handshake(c net.Conn) {
	tc := tls.Server(c, t.config.TLS)
	ctx, cancel := context.WithTimeout(t.ctx, t.config.ReadHeaderTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		t.config.Log.Debug("TLS handshake failed", "remote", c.RemoteAddr().String(), "error", err)
		if speaksHTTP(err) {
			t.refusePlain(c)
		}
		c.Close()
		return
	}
	var out net.Conn = tc
	if tc.ConnectionState().NegotiatedProtocol != "h2" {
		out = tlsConn{newConn(tc, t.config.netHead(), t.config.Refusal), tc}
	}
	select {
	case t.ready <- out:
	case <-t.ctx.Done():
		tc.Close()
	}
}

// plainRefusal answers who speaks HTTP without TLS where TLS is spoken.
const plainRefusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Content-Length: 64\r\nConnection: close\r\n\r\n" + plainRefusalPage

const plainRefusalPage = "400 Bad Request\nRefused: TLS is spoken here. Ask with https://.\n"

// speaksHTTP says whether a handshake failed because its first bytes, which TLS
// has none of in ASCII, are those of a method.
func speaksHTTP(err error) bool {
	var first tls.RecordHeaderError
	if !errors.As(err, &first) || first.Conn == nil {
		return false
	}
	for _, c := range first.RecordHeader[:len("GET")] {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// refusePlain says so where a connection that just ends would look like a broken server.
func (t *tlsListener) refusePlain(nc net.Conn) {
	c := newConn(nc, 0, nil)
	c.refused.Store(true)
	stop := context.AfterFunc(t.ctx, func() { nc.Close() })
	defer stop()
	if c.SetWriteDeadline(time.Now().Add(refusalTimeout)) == nil {
		_, _ = io.WriteString(c, plainRefusal) // it is closed next, whether this arrives or not
	}
	if t.config.Refusal != nil {
		t.config.Refusal(Refusal{Remote: nc.RemoteAddr(), Cause: BadRequest, Detail: "HTTP without TLS", Bytes: int64(len(plainRefusalPage))})
	}
	c.Close() // which lingers
}

func (t *tlsListener) Accept() (net.Conn, error) {
	select {
	case c := <-t.ready:
		return c, nil
	case <-t.ctx.Done():
		t.all.Wait()
		return nil, t.err
	}
}

// Close ends the listener and the handshakes under way.
func (t *tlsListener) Close() error {
	var err error
	t.closed.Do(func() {
		err = t.Listener.Close()
		t.cancel()
		t.all.Wait()
	})
	return err
}
