package front

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies says whom to believe about the client behind a connection.
type Proxies struct {
	Trusted []netip.Prefix
	// Forwarded takes address and scheme from Forwarded (RFC 7239) instead of
	// X-Forwarded-For and X-Forwarded-Proto. One or the other: a proxy writes
	// the one it knows, and passes the other on as the client made it up.
	Forwarded bool
	// Host believes X-Forwarded-Host (or Forwarded's host) too. Off by default: many
	// proxies pass on the client's.
	Host bool
}

// proxies decides on the client's address and scheme. From a peer that is not
// trusted the fields change nothing; the application sees them all the same.
type proxies struct {
	config Proxies
	next   http.Handler
}

func (p *proxies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := ExchangeOf(r)
	if x.conn == nil {
		x.conn = new(connection) // of this request alone
	}
	x.Client, x.Scheme = x.conn.peer(r.RemoteAddr).addr, "http"
	if r.TLS != nil {
		x.Scheme = "https"
	}
	if x.Listener.Kind == FastCGI {
		x.proxied = true
		if r.URL.Scheme == "https" {
			x.Scheme = "https"
		}
	} else if p.config.trusts(x.Client.Addr(), x.Listener) {
		x.proxied = true
		if err := p.believe(r, x); err != nil {
			Fail(w, r, err.Cause, err.Detail)
			return
		}
	}
	p.next.ServeHTTP(w, r)
}

func (p *Proxies) trusts(peer netip.Addr, l Listener) bool {
	return l.TrustPeer || p.trustsAddr(peer)
}

func (p *Proxies) trustsAddr(addr netip.Addr) bool {
	for _, prefix := range p.Trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// believe takes what a trusted proxy says about its client.
func (p *proxies) believe(r *http.Request, x *Exchange) *Error {
	host := ""
	if p.config.Forwarded {
		elements, err := parseForwarded(strings.Join(r.Header["Forwarded"], ","))
		if err != nil {
			return refuse("Forwarded: %v", err)
		}
		nodes := make([]string, len(elements))
		for i, e := range elements {
			nodes[i] = e.node
		}
		if i := p.config.client(nodes, x); i >= 0 {
			setScheme(x, elements[i].proto)
			host = elements[i].host
		}
	} else {
		p.config.client(listItems(r.Header["X-Forwarded-For"]), x)
		setScheme(x, last(listItems(r.Header["X-Forwarded-Proto"])))
		host = last(listItems(r.Header["X-Forwarded-Host"]))
	}
	if !p.config.Host || host == "" {
		return nil
	}
	name, err := splitHost(host)
	if err != nil {
		return refuse("forwarded %v %q", err, host)
	}
	x.Host, x.hostName = host, name
	return nil
}

// client walks from the nearest proxy outwards to the first address that is
// not a trusted proxy's: whatever stands left of it is the client's own
// claim. It returns the index of the node taken, or -1. A node without an address
// ("unknown", "_hidden") ends the walk: the last address known is the best
// there is.
func (p *Proxies) client(nodes []string, x *Exchange) int {
	taken := -1
	for i := len(nodes) - 1; i >= 0; i-- {
		addr, ok := parseNode(nodes[i])
		if !ok {
			return taken
		}
		x.Client, taken = addr, i
		if !p.trustsAddr(addr.Addr()) {
			return taken
		}
	}
	return taken
}

// parseNode reads an address with or without a port (RFC 7239 §6); an IPv6
// address may stand without brackets, as X-Forwarded-For has it.
func parseNode(s string) (netip.AddrPort, bool) {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil && addr.Zone() == "" {
		return netip.AddrPortFrom(addr.Unmap(), 0), true
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil || addr.Addr().Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), true
}

func setScheme(x *Exchange, proto string) {
	switch {
	case strings.EqualFold(proto, "https"):
		x.Scheme = "https"
	case strings.EqualFold(proto, "http"):
		x.Scheme = "http"
	}
}

// listItems splits a field's lists (RFC 9110 §5.6.1), without empty items.
func listItems(values []string) []string {
	var items []string
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	return items
}

func last(items []string) string {
	if len(items) == 0 {
		return ""
	}
	return items[len(items)-1]
}
