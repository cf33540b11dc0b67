package front

import "context"

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
}

type listenerKey struct{}

// WithListener returns a context that tells the chain about a listener; use
// it in http.Server.ConnContext, or around each request of another server.
func WithListener(ctx context.Context, l Listener) context.Context {
	return context.WithValue(ctx, listenerKey{}, l)
}

func listenerOf(ctx context.Context) Listener {
	l, _ := ctx.Value(listenerKey{}).(Listener)
	return l
}
