// Package front is the HTTP side: a chain of http.Handler stages from a
// listener's connection to the handler of the route that a request takes.
//
// References of the form RFC 9110 §x are to the HTTP documents; "contract 4"
// is the table of answers that clients and scripts rely on.
package front

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/frontd/frontd/incident"
)

// A Worker is the process that answered a request.
type Worker struct {
	PID  int    // 0: none took the request, or it is not ours to know
	Name string // as the supervisor calls it, "blog/3"
}

// An Exchange is the record of one request on its way through the stages.
// Each stage fills in what it decides; access logs the whole at the end. It
// belongs to the request's goroutine: a goroutine that the handler starts
// must hand its findings back before ServeHTTP returns.
//
// Nobody keeps it, or a slice in it, beyond that: it is the next request's
// then, as the *http.Request and its maps may be. Strings may be kept.
type Exchange struct {
	// Set by the access stage.
	ID       string // request id: sortable, or a trusted proxy's X-Request-Id
	Start    time.Time
	Listener Listener

	// Set by the strict and proxies stages.
	Path         string         // decoded and normalised: no dot segments, no "//", no control bytes
	EncodedSlash bool           // the path had %2F or %5C, which Path shows decoded; never a file's path
	RequestURI   string         // origin-form, otherwise as it was sent (an absolute-form loses its authority)
	Host         string         // validated host[:port] that the client asked for, may be ""
	Client       netip.AddrPort // the client's address, invalid if unknown (a unix peer); port 0 if a proxy did not say it
	Scheme       string         // "http" or "https", as the client sees it
	proxied      bool           // a web server before us that is trusted asks

	// Set by the route stage.
	Route    *Route    // nil: none taken
	Settings *Settings // effective: server, then app, then route; never nil

	// Set by the route's handler.
	App        string
	Worker     Worker
	Queue      time.Duration // waiting for a free worker
	WorkerTime time.Duration // from the worker's getting the request to its end, of the last one that had it
	Attempts   int           // workers tried
	Resource   *Resource     // the script found by the PHP stage
	AppStatus  uint32        // what the worker ended it with (FastCGI §5.5), of a CGI program its exit status
	Variables  []Variable    // set by an authorizer for the application
	News       string        // development: the path of an event stream that tells when a page of this error is out of date

	// Set by Fail, or by a handler that knows more. Detail is the operator's
	// reason: it is logged, and shown to the client only in development.
	Cause  Cause
	Detail string

	// Counted by the response writer and the body reader.
	Status   int   // 0: no head was sent
	BytesIn  int64 // of the request's body
	BytesOut int64 // of the response's body

	// Set at the end, by the access stage.
	Total time.Duration // from Start to the handler's return

	// Kept only as far as Config.Keep asks for it.
	Stderr   []byte // the last of what the request wrote to FCGI_STDERR, whole lines
	BodyHead []byte // the first bytes of the request's body, as they were read

	// Set where the failure is told to Config.Incident. Nobody changes it.
	Incident *incident.Incident // nil: none

	conn *connection // nil outside of the chain

	routePath string // Path with an encoded slash kept encoded
	hostName  string // Host's name in lower case, without port

	router      *router // for redirects within; nil outside of the chain
	redirects   int     // of those, followed so far
	accelerated bool    // an application sent the request on: internal routes take it

	heads      []headStage // of the route that the client's request took
	innerHeads []headStage // of the internal one that an application led to
	origin     string      // the page's that asks, for CORS

	visit visit // the client's session, on a route that has sessions

	authorization string // what the auth stage took off the request
	credentials   bool   // it came with some, or the application was told of a session: for the cache stage

	values *fieldValues // for the answer; nil outside of the chain
	keep   Keep

	hook     failureHook // nil: nobody wants to know
	reported bool
}

// Keep says how much of a request's own words the Exchange carries for an
// incident: bytes, 0 for none.
type Keep struct {
	Stderr int // of FCGI_STDERR, the last
	Body   int // of the request's body, the first
}

// ExchangeOf returns the record of r, or of the request whose context r has.
// Outside of the chain it returns a new record that nobody logs, so that a
// stage can be used and tested alone.
func ExchangeOf(r *http.Request) *Exchange {
	if x, ok := r.Context().Value(exchangeKey{}).(*Exchange); ok {
		return x
	}
	return &Exchange{Start: time.Now(), Settings: &defaultSettings, Path: r.URL.Path,
		routePath: r.URL.Path, RequestURI: r.RequestURI, Host: r.Host, Scheme: "http"}
}

// HeadSent says whether the response's head is on its way, after which the
// answer can only be completed or broken.
func (x *Exchange) HeadSent() bool { return x.Status != 0 }

// Duration is the time since the request's head was read, to the handler's
// return.
func (x *Exchange) Duration() time.Duration {
	if x.Total > 0 {
		return x.Total
	}
	return time.Since(x.Start)
}

// gone is the cause of an answer that could not be given any more.
func (x *Exchange) gone() Cause {
	if x.Listener.leaving() {
		return ShuttingDown
	}
	return ClientGone
}

type exchangeKey struct{}
