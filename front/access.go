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
	keep     Keep
	proxies  *Proxies
	next     http.Handler
}

func (a *access) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := newFlight(w, r, a.settings)
	f.keep = a.keep
	f.conn = connectionOf(r.Context())
	f.Listener = f.conn.Listener
	if r.ProtoMajor == 1 {
		f.writer.last = f.conn.ending
	}
	f.Client = f.conn.peer(r.RemoteAddr).addr
	f.ID = a.requestID(f, r)
	f.Host, f.RequestURI = r.Host, r.RequestURI // until they are checked
	w.Header()["X-Request-Id"] = f.values.of(f.ID)
	if r.Body != nil && r.Body != http.NoBody {
		f.body = body{rc: r.Body, ctx: f, x: &f.Exchange, ctl: http.NewResponseController(w)}
		f.request.Body, f.writer.body = &f.body, &f.body
	}
	defer a.finish(f, r)
	a.next.ServeHTTP(&f.writer, f.request)
	f.returned = true
}

// requestID takes the X-Request-Id of a trusted proxy, if it is sane, so that
// one id names the request everywhere; else it makes one.
func (a *access) requestID(f *flight, r *http.Request) string {
	if ids := r.Header["X-Request-Id"]; len(ids) == 1 && a.proxies.trusts(f.Client.Addr(), f.Listener) && saneID(ids[0]) {
		return ids[0]
	}
	var b [idLen]byte
	return f.values.string(appendRequestID(b[:0], f.Start))
}

// finish completes the record: after a return without an answer net/http
// sends an empty 200; after a panic nothing, and the connection is cut.
func (a *access) finish(f *flight, r *http.Request) {
	x := &f.Exchange
	now := time.Now()
	x.Total = now.Sub(x.Start)
	if f.writer.body != nil {
		f.leaveBody(r)
	}
	switch {
	case f.returned:
		f.writer.head(http.StatusOK) // if there was none
		f.writer.renewAt(now)        // net/http flushes after us, maybe long after the last write
	case x.Cause == "" && r.Context().Err() != nil:
		x.Cause = x.gone()
	}
	if x.Cause == ClientGone {
		x.Status = StatusClientGone
	}
	a.tell(x, r)
	f.land()
}

// leaveBody sees to what is left of the request's body. Only net/http's
// HTTP/1 needs more than a limit of time: other servers know what they read.
func (f *flight) leaveBody(r *http.Request) {
	if f.conn.conn == nil || r.ProtoMajor != 1 {
		f.body.limitDrain()
	} else if !f.body.leave(f.returned && f.Status != 0) {
		f.conn.conn.cut()
	}
}

// tell hands a record to whom it is for.
func (a *access) tell(x *Exchange, r *http.Request) {
	if a.observe != nil {
		a.observe(x)
	}
	if a.log != nil {
		a.log.write(x, r)
	}
}
