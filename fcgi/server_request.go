package fcgi

import (
	"context"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Param is one parameter of a request (§5.2): a CGI meta-variable.
type Param struct{ Name, Value string }

// A serverRequest is one request in hand, from BEGIN_REQUEST to END_REQUEST.
type serverRequest struct {
	// Immutable.
	conn *serverConn
	id   uint16
	role Role
	keep bool // FCGI_KEEP_CONN

	stdin serverStream
	data  *serverStream // nil but for a Filter

	// Owned by the read loop until the handler starts, immutable then.
	raw         *serverBuffer // the PARAMS stream so far
	next        int           // where in raw the next pair starts
	paramsEnded bool
	undecided   bool // waits for the first STDIN record to tell whether it has a body
	started     bool // the handler owns it; changed with conn.mu held
	env         []Param
	length      int64 // of the body; -1: unknown
	refused     int   // the HTTP status that it is refused with, or 0
	reason      string

	// Guarded by conn.mu.
	sendErr      error     // why nothing more can be sent for it
	ended        bool      // no longer in conn.reqs
	wake         sync.Cond // its windows grew, or sendErr was set
	stdoutWindow int64
	stderrWindow int64
	stderrUsed   bool
	writeTimer   *time.Timer
	cancel       context.CancelCauseFunc // nil until started

	ctx serverContext
	rw  serverResponse
}

// A serverContext is the context of a request, through which Env and Stderr find it.
type serverContext struct {
	context.Context
	req *serverRequest
}

type serverContextKey struct{}

func (c *serverContext) Value(key any) any {
	if key == (serverContextKey{}) {
		return c.req
	}
	return c.Context.Value(key)
}

func serverRequestFrom(ctx context.Context) *serverRequest {
	r, _ := ctx.Value(serverContextKey{}).(*serverRequest)
	return r
}

// ParamsFrom returns the parameters of the request that ctx belongs to, in the
// order they came, or nil if ctx is not of a request of a Server. HTTP_PROXY is
// never among them. The slice must not be changed.
func ParamsFrom(ctx context.Context) []Param {
	if r := serverRequestFrom(ctx); r != nil {
		return r.env
	}
	return nil
}

// Env returns the parameters of a request of a Server, as ParamsFrom does.
func Env(r *http.Request) []Param { return ParamsFrom(r.Context()) }

// Data returns the FCGI_DATA stream of a request in the Filter role (§6.4): the
// file to filter. Reading it returns io.ErrUnexpectedEOF where it is shorter than
// FCGI_DATA_LENGTH. For other requests it is empty.
func Data(ctx context.Context) io.Reader {
	if r := serverRequestFrom(ctx); r != nil && r.role == RoleFilter {
		return r.data
	}
	return strings.NewReader("")
}

// Stderr returns what writes to the FCGI_STDERR stream of the request that ctx
// belongs to, which the web server logs with the request. Writes are not buffered
// and may come from several goroutines; after the end of the request they fail. If
// ctx is not of a request of a Server, it is the process's standard error.
func Stderr(ctx context.Context) io.Writer {
	if r := serverRequestFrom(ctx); r != nil {
		return serverStderr{r}
	}
	return os.Stderr
}

type serverStderr struct{ r *serverRequest }

func (w serverStderr) Write(p []byte) (int, error) {
	c := w.r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	w.r.stderrUsed = w.r.stderrUsed || len(p) > 0
	if err := c.stream(w.r, TypeStderr, p, nil); err != nil {
		return 0, err
	}
	c.flush()
	return len(p), nil
}

// newServerRequest makes a request. It needs conn.mu.
func newServerRequest(c *serverConn, id uint16, role Role, keep bool) *serverRequest {
	r := &serverRequest{conn: c, id: id, role: role, keep: keep, length: -1}
	r.stdin.init(r, TypeStdin, c.srv.window(), c.flow)
	if role == RoleFilter {
		r.data = new(serverStream)
		r.data.init(r, TypeData, c.srv.window(), c.flow)
	}
	r.stdoutWindow, r.stderrWindow = c.window, c.window
	r.wake.L = &c.mu
	r.raw = getServerBuffer()
	return r
}

// sendWindow returns the window of an output stream, or nil.
func (r *serverRequest) sendWindow(t Type) *int64 {
	switch t {
	case TypeStdout:
		return &r.stdoutWindow
	case TypeStderr:
		return &r.stderrWindow
	}
	return nil
}

// addParams takes a piece of the PARAMS stream, however it was divided. It
// reports whether the request may go on: one with too many parameters is refused,
// before memory is spent on lengths that it merely declares.
func (r *serverRequest) addParams(piece []byte) bool {
	limit := orDefault(r.conn.srv.MaxParams, DefaultMaxParams)
	r.raw.b = append(r.raw.b, piece...)
	for r.next < len(r.raw.b) {
		size, ok := serverPairSize(r.raw.b[r.next:])
		if !ok {
			break
		}
		if r.next+size > limit {
			return r.refuseParams(limit)
		}
		r.next += size
	}
	if len(r.raw.b) > limit {
		return r.refuseParams(limit)
	}
	return true
}

func (r *serverRequest) refuseParams(limit int) bool {
	r.refuse(http.StatusRequestHeaderFieldsTooLarge, "parameters over "+strconv.Itoa(limit)+" bytes")
	r.start()
	return false
}

// maxDeclared stands for every size that no limit allows.
const maxDeclared = 1 << 30

// serverPairSize returns the size of the pair at the start of b, which may not
// be all there yet. ok is false if even its lengths are not.
func serverPairSize(b []byte) (size int, ok bool) {
	name, rest, ok := cutLength(b)
	if !ok {
		return 0, false
	}
	value, rest, ok := cutLength(rest)
	// Each length has up to 31 bits: their sum may be more than an int holds.
	return len(b) - len(rest) + int(min(int64(name)+int64(value), maxDeclared)), ok
}

// endParams takes the end of the PARAMS stream and starts the handler, or, where
// only the input can tell whether there is a body, leaves that to its first record.
func (r *serverRequest) endParams() error {
	if r.next != len(r.raw.b) {
		return protocolErrorf("PARAMS ended within a pair (§3.4)")
	}
	r.parseParams()
	if r.role == RoleAuthorizer {
		r.length = 0 // §6.3: an Authorizer has no STDIN
	}
	if r.refused == 0 && r.length < 0 && !r.stdin.held && r.role == RoleResponder && bodyIsRare(r.method()) {
		r.paramsEnded, r.undecided = true, true
		return nil
	}
	r.start()
	return nil
}

// bodyIsRare reports whether a request without CONTENT_LENGTH is to be taken
// for one without a body only after a look at its input. Requests with another
// method start at once: their body may be sent in answer to the response.
func bodyIsRare(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "DELETE"
}

// parseParams makes env: one string for all names and values.
func (r *serverRequest) parseParams() {
	block, pairs := string(r.raw.b), 0
	for b := r.raw.b; len(b) > 0; pairs++ {
		size, _ := serverPairSize(b)
		b = b[size:]
	}
	r.env = slices.Grow(r.env, pairs)
	for b := r.raw.b; len(b) > 0; {
		name, rest, _ := cutLength(b)
		value, rest, _ := cutLength(rest)
		at := len(block) - len(rest)
		b = rest[name+value:]
		p := Param{block[at : at+name], block[at+name : at+name+value]}
		if p.Name == "HTTP_PROXY" {
			continue // "httpoxy": CGI programs take it for the proxy to use
		}
		if p.Name == "CONTENT_LENGTH" && p.Value == "-1" {
			continue // Caddy's word for a length that is not known
		}
		r.env = append(r.env, p)
		if p.Name == "CONTENT_LENGTH" && p.Value != "" {
			r.setLength(p.Value)
		}
	}
}

func (r *serverRequest) setLength(v string) {
	n, err := strconv.ParseUint(v, 10, 63) // takes no sign and no underscore
	if err != nil {
		r.refuse(http.StatusBadRequest, "CONTENT_LENGTH is "+strconv.Quote(v))
		return
	}
	r.length = int64(n)
}

func (r *serverRequest) refuse(status int, reason string) { r.refused, r.reason = status, reason }

// param returns the value of a parameter; the last one wins.
func (r *serverRequest) param(name string) string {
	for i := len(r.env) - 1; i >= 0; i-- {
		if r.env[i].Name == name {
			return r.env[i].Value
		}
	}
	return ""
}

func (r *serverRequest) method() string { return r.param("REQUEST_METHOD") }

// start hands the request to its handler, in a goroutine of its own while it
// lasts. Only the read loop calls it.
func (r *serverRequest) start() {
	putServerBuffer(r.raw)
	r.raw, r.paramsEnded, r.undecided = nil, true, false
	if r.length >= 0 {
		r.stdin.declare(r.length)
	}
	if r.role == RoleFilter {
		if n, err := strconv.ParseUint(r.param("FCGI_DATA_LENGTH"), 10, 63); err == nil {
			r.data.declare(int64(n))
		}
	}
	c := r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return // lost meanwhile: failLocked has ended the request
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	r.ctx, r.cancel, r.started = serverContext{ctx, r}, cancel, true
	select {
	case c.handlers <- r: // taken by one that is idle: its stack has grown already
	default:
		c.loops.Add(1)
		go c.handle(r)
		// Its end goes to c.loops, which serve waits for.
	}
}

// maxIdleHandlers bounds the goroutines of a connection that wait for requests.
const maxIdleHandlers = 64

// handle answers requests until the read loop ends, or enough others are idle.
func (c *serverConn) handle(r *serverRequest) {
	defer c.loops.Done() // also where a handler ends its goroutine
	for r != nil {
		r.run()
		if c.idle.Add(1) > maxIdleHandlers {
			c.idle.Add(-1)
			return
		}
		r = <-c.handlers
		c.idle.Add(-1)
	}
}

// run answers the request.
func (r *serverRequest) run() {
	h := r.conn.srv.handlerFor(r.role)
	req, err := r.httpRequest()
	if err != nil && r.refused == 0 {
		r.refuse(http.StatusBadRequest, err.Error())
	}
	if r.refused != 0 {
		h = http.HandlerFunc(r.serveRefusal)
	}
	r.rw.init(r, req)
	r.serve(h, req)
}

func (r *serverRequest) serveRefusal(w http.ResponseWriter, _ *http.Request) {
	io.WriteString(Stderr(&r.ctx), "fcgi: request refused: "+r.reason+"\n")
	http.Error(w, strconv.Itoa(r.refused)+" "+http.StatusText(r.refused), r.refused)
}

// serve runs the handler and ends the response however the handler ends:
// by returning, by a panic, by runtime.Goexit.
func (r *serverRequest) serve(h http.Handler, req *http.Request) {
	returned := false
	defer func() {
		if !returned {
			r.handlerDied(recover())
		}
		// First, so that the read loop is free: a peer may take nothing of the
		// response before it is rid of its body.
		r.stdin.Close()
		if r.data != nil {
			r.data.Close()
		}
		r.rw.finish(!returned)
		r.cancel(context.Canceled)
	}()
	h.ServeHTTP(&r.rw, req)
	returned = true
}

// handlerDied logs the stack of a panic on the request's STDERR, where the web
// server can tell which request it was.
func (r *serverRequest) handlerDied(v any) {
	if v == http.ErrAbortHandler {
		return
	}
	stack := make([]byte, 64<<10)
	stack = stack[:runtime.Stack(stack, false)]
	io.WriteString(Stderr(&r.ctx), panicText(v)+"\n"+string(stack))
	if tell := r.conn.srv.Panicked; tell != nil && v != nil {
		tell(&r.ctx, v)
	}
	r.conn.srv.logf("fcgi: %s %s: %s", r.method(), r.param("REQUEST_URI"), panicText(v))
}

// abortLocked stops the request's input and output and tells its handler.
// It needs conn.mu.
func (r *serverRequest) abortLocked() {
	if r.sendErr == nil || r.sendErr == os.ErrDeadlineExceeded {
		r.sendErr = ErrAborted
	}
	r.wake.Broadcast()
	r.conn.room.Broadcast()
	r.stdin.fail(ErrAborted)
	if r.data != nil {
		r.data.fail(ErrAborted)
	}
	if r.cancel != nil {
		r.cancel(ErrAborted)
	}
}
