package front

import (
	"net/http"
	"time"
)

// access starts the record of a request and writes it down at the end. It
// stands outside of every other stage, so that it has the final status.
type access struct {
	log      *AccessLog      // nil: none
	observe  func(*Exchange) // may be nil
	settings *Settings       // until a route is taken
	proxies  *Proxies
	next     http.Handler
}

func (a *access) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := newFlight(w, r, a.settings)
	f.Listener = listenerOf(r.Context())
	f.Client = peerOf(r)
	f.ID = requestID(r.Header, a.proxies.trusts(f.Client.Addr(), f.Listener), f.Start)
	f.Host, f.RequestURI = r.Host, r.RequestURI // until they are checked
	w.Header().Set("X-Request-Id", f.ID)
	inner := r.WithContext(f)
	if r.Body != nil && r.Body != http.NoBody {
		f.body = body{rc: r.Body, ctx: f, x: &f.Exchange, ctl: http.NewResponseController(w)}
		inner.Body, f.writer.body = &f.body, &f.body
	}
	returned := false
	defer func() { a.finish(f, r, returned) }()
	a.next.ServeHTTP(&f.writer, inner)
	returned = true
}

// finish completes the record: after a return without an answer net/http
// sends an empty 200; after a panic nothing, and the connection is cut.
func (a *access) finish(f *flight, r *http.Request, returned bool) {
	x := &f.Exchange
	if f.writer.body != nil {
		f.body.limitDrain()
	}
	switch {
	case returned:
		if x.Status == 0 {
			x.Status = http.StatusOK
		}
		f.writer.renew() // net/http flushes after us, maybe long after the last write
	case x.Cause == "" && r.Context().Err() != nil:
		x.Cause = ClientGone
	}
	if x.Cause == ClientGone {
		x.Status = StatusClientGone
	}
	if a.observe != nil {
		a.observe(x)
	}
	if a.log != nil {
		a.log.write(x, r, time.Now())
	}
}
