package front

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
)

// A ListenerKind says what came in at a listener.
type ListenerKind uint8

const (
	// HTTP is a listener that clients or reverse proxies speak HTTP to.
	HTTP ListenerKind = iota
	// FastCGI is a listener that a web server before us speaks FastCGI to: it
	// read the head and decided on address, scheme and host, which the
	// request carries.
	FastCGI
)

func (k ListenerKind) String() string {
	if k == FastCGI {
		return "fastcgi"
	}
	return "http"
}

// A Listener tells the chain which door a request came in at.
type Listener struct {
	Kind ListenerKind
	Name string // for the log, "127.0.0.1:8080"
	// TrustPeer takes the peer for a trusted proxy whatever its address: for a
	// unix socket, whose peers have none.
	TrustPeer bool
	// Leaving, if not nil, is set before requests are cut off because the
	// server goes: what looks like the client's leaving then is not.
	Leaving *atomic.Bool
}

func (l *Listener) leaving() bool { return l.Leaving != nil && l.Leaving.Load() }

type listenerKey struct{}

// WithListener returns a context that tells the chain about a listener; use
// it in http.Server.ConnContext, or around each request of another server.
// What the chain makes out of a connection's addresses is kept in it, so it
// is cheapest where each connection has its own.
func WithListener(ctx context.Context, l Listener) context.Context {
	return context.WithValue(ctx, listenerKey{}, &connection{Listener: l})
}

// A connection is what the requests that come by it have in common, as the
// stages need it. Several may ask at once (HTTP/2).
type connection struct {
	Listener
	conn      *conn        // net/http's HTTP/1; nil: another server's
	ending    *atomic.Bool // of the server's graceful end; nil: the server sees to that
	lastPeer  atomic.Pointer[endpoint]
	lastLocal atomic.Pointer[localEnd]
}

func connectionOf(ctx context.Context) *connection {
	if c, ok := ctx.Value(listenerKey{}).(*connection); ok {
		return c
	}
	return new(connection)
}

// An endpoint is an address in the forms that it is asked for.
type endpoint struct {
	text       string // as net/http has it
	addr       netip.AddrPort
	host, port string // "" for a unix socket's
}

// peer returns the connection's other end; remote is Request.RemoteAddr.
func (c *connection) peer(remote string) *endpoint {
	if e := c.lastPeer.Load(); e != nil && e.text == remote {
		return e
	}
	e := &endpoint{text: remote, addr: parseAddrPort(remote)}
	e.host, e.port = addrText(e.addr)
	c.lastPeer.Store(e)
	return e
}

// parseAddrPort returns an invalid address for what is none: a unix socket's.
func parseAddrPort(s string) netip.AddrPort {
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// addrText returns the variables REMOTE_ADDR and REMOTE_PORT of an address.
func addrText(a netip.AddrPort) (host, port string) {
	if !a.IsValid() {
		return "", ""
	}
	if p := a.Port(); p != 0 {
		port = strconv.Itoa(int(p))
	}
	return a.Addr().String(), port
}

type localEnd struct {
	addr       net.Addr
	host, port string // "" for a unix socket
}

// local returns our end of the connection.
func (c *connection) local(ctx context.Context) *localEnd {
	addr, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	if e := c.lastLocal.Load(); e != nil && e.addr == addr {
		return e
	}
	e := &localEnd{addr: addr}
	if addr != nil && addr.Network() != "unix" {
		if h, p, err := net.SplitHostPort(addr.String()); err == nil {
			e.host, e.port = h, p
		}
	}
	c.lastLocal.Store(e)
	return e
}
