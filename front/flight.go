package front

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// A flight is all that the chain keeps of one request: the record, the
// context that finds it, the request that the stages see, and the writer and
// body that count. It serves one request after another, so the chain
// allocates none of this; what a request leaves behind is wiped in land.
type flight struct {
	context.Context
	Exchange
	writer writer
	body   body

	returned bool // the handler did, instead of panicking

	// Made once.
	request *http.Request // its context is the flight
	values  fieldValues
	stderr  []byte // memory of Exchange.Stderr and BodyHead
	head    []byte
}

var flights = sync.Pool{New: func() any {
	f := new(flight)
	f.Context = context.Background() // WithContext takes no nil context
	f.request = new(http.Request).WithContext(f)
	return f
}}

// newFlight starts a record; the caller serves f.request with &f.writer.
func newFlight(w http.ResponseWriter, r *http.Request, settings *Settings) *flight {
	f := flights.Get().(*flight)
	f.Context = r.Context()
	f.Start = time.Now()
	f.Settings = settings
	f.Exchange.values = &f.values
	f.Stderr, f.BodyHead = f.stderr[:0], f.head[:0]
	f.writer.w, f.writer.x = w, &f.Exchange
	carry(f.request, r)
	return f
}

// land ends the flight: whoever kept a part of it would see another request's.
func (f *flight) land() {
	f.stderr, f.head = f.Stderr, f.BodyHead
	f.Context = context.Background()
	f.Exchange, f.returned = Exchange{}, false
	f.writer = writer{}
	if f.body.rc != nil {
		f.body = body{}
	}
	carry(f.request, &http.Request{})
	flights.Put(f)
}

// AfterFunc is what package context looks for in a foreign context. Without
// it a goroutine would watch over each context that is derived from this one,
// and look into the record, which may be another request's by then.
func (f *flight) AfterFunc(fn func()) (stop func() bool) {
	if c, ok := f.Context.(interface{ AfterFunc(func()) func() bool }); ok {
		return c.AfterFunc(fn)
	}
	return context.AfterFunc(f.Context, fn)
}

func (f *flight) Value(key any) any {
	if _, ok := key.(exchangeKey); ok {
		return &f.Exchange
	}
	return f.Context.Value(key)
}

// carry makes to what from is, but for its context: Request.WithContext
// without an allocation. Fields that are not exported hold what a ServeMux
// found, which stands inside of the chain, if anywhere.
func carry(to, from *http.Request) {
	to.Method, to.URL = from.Method, from.URL
	to.Proto, to.ProtoMajor, to.ProtoMinor = from.Proto, from.ProtoMajor, from.ProtoMinor
	to.Header, to.Trailer = from.Header, from.Trailer
	to.Body, to.GetBody, to.ContentLength = from.Body, from.GetBody, from.ContentLength
	to.TransferEncoding, to.Close = from.TransferEncoding, from.Close
	to.Host, to.RemoteAddr, to.RequestURI = from.Host, from.RemoteAddr, from.RequestURI
	to.Form, to.PostForm, to.MultipartForm = from.Form, from.PostForm, from.MultipartForm
	to.TLS, to.Cancel, to.Response, to.Pattern = from.TLS, from.Cancel, from.Response, from.Pattern //nolint:staticcheck // all of it
}
