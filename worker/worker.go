// Package worker makes a Go program a FastCGI worker: a process that answers the
// HTTP requests of a web server, be it frontd, nginx, Apache, Caddy or lighttpd.
//
//	func main() {
//		if err := worker.Serve(http.DefaultServeMux); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// Such a program takes its listening socket on file descriptor 0 (FastCGI §2.2),
// so whoever starts it decides where it listens and may start several that share
// one socket. A [Server] with an address listens by itself.
//
// The handler is an ordinary http.Handler. What differs from net/http's server:
// the request's context ends with cause [ErrAborted] when the client has gone;
// [Params] has the CGI variables; [Stderr] writes to the web server's log, next to
// the request; and a panic is answered with a 500, or breaks the response visibly,
// and never ends the process: its stack goes to Stderr, and for frontd, which
// makes an incident of it, once more in a form for programs.
//
// The http.ResponseWriter is a Flusher, and with an http.ResponseController its
// deadlines work: SetReadDeadline for the request's body, SetWriteDeadline for the
// response. Hijack returns an error that wraps errors.ErrUnsupported: the connection
// to the client belongs to the web server. A response begun with a Location that is
// a path, and nothing else, is a local redirect (RFC 3875 §6.2.2), which the web
// server answers itself.
//
// Nothing in this package writes to standard output.
package worker

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/internal/gcpace"
)

// DefaultDrainTimeout is how long the requests in hand may take to finish once
// the worker is told to stop.
const DefaultDrainTimeout = 30 * time.Second

// ErrAborted is the cause of a request context's end when the web server aborted
// the request, mostly because its client has gone, or its connection was lost.
var ErrAborted = fcgi.ErrAborted

// A Param is one CGI variable of a request.
type Param = fcgi.Param

// A Server is a worker. Its zero value with a Handler is ready to use. The
// fields must not change while it serves.
type Server struct {
	// Handler answers requests. Nil means http.DefaultServeMux.
	Handler http.Handler

	// Authorizer and Filter answer in the other two roles of FastCGI (§6.3, §6.4).
	// Nil means that the role is refused.
	//
	// An Authorizer's status 200 lets the request on; each header Variable-NAME of it
	// becomes the variable NAME of the application that answers. With any other
	// status its response is the answer. It gets no body.
	//
	// A Filter has the file to filter as Data, and what it is as the variables
	// FCGI_DATA_LAST_MOD and FCGI_DATA_LENGTH. frontd itself sends no such request.
	Authorizer, Filter http.Handler

	// Concurrency is how many requests are served at once; the web server is told,
	// and more are refused as FCGI_OVERLOADED. Zero means 1024.
	Concurrency int

	// DrainTimeout is how long the requests in hand may take to finish once the
	// worker is told to stop. Zero means 30 seconds.
	DrainTimeout time.Duration

	// ErrorLog is for what does not belong to one request. Nil means standard error.
	ErrorLog *log.Logger
}

// Serve answers requests with h, or http.DefaultServeMux if h is nil, on the
// listening socket at file descriptor 0 until the process gets SIGTERM or SIGINT.
// Then it finishes the requests in hand and returns nil. See [Server.Serve].
func Serve(h http.Handler) error { return (&Server{Handler: h}).ListenAndServe("") }

// ListenAndServe serves on an address: "HOST:PORT", "unix:/path" or "unix:@abstract".
// The empty address is the listening socket at file descriptor 0 (FastCGI §2.2); the
// error says how to start the program where there is none. See [Server.Serve].
func (s *Server) ListenAndServe(addr string) error {
	l, err := listen(addr)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Serve answers the requests that come in at l until the process gets SIGTERM or
// SIGINT. Then it closes l, finishes the requests in hand and returns nil, or, where
// they take longer than DrainTimeout or a second such signal comes, cancels them and
// returns an error. It returns also when accepting fails for good.
//
// On SIGQUIT it writes the stacks of all goroutines to standard error and goes on:
// that tells what a request that takes too long is waiting for.
//
// It spaces garbage collections while little is alive, to a heap of 12 MiB at most,
// unless GOGC is set in the environment or with debug.SetGCPercent.
//
// TCP connections are taken from the addresses in the environment variable
// FCGI_WEB_SERVER_ADDRS only, if it is set (FastCGI §3.2).
func (s *Server) Serve(l net.Listener) error {
	gcpace.Start()
	signals := watchSignals()
	defer signals.stop()
	return s.serve(l, signals)
}

func (s *Server) serve(l net.Listener, signals *signals) error {
	peers, err := allowedPeers(os.Getenv("FCGI_WEB_SERVER_ADDRS"))
	if err != nil {
		l.Close()
		return err
	}
	srv := &fcgi.Server{
		Handler: s.Handler, Authorizer: s.Authorizer, Filter: s.Filter,
		MaxRequests: s.Concurrency, AllowedPeers: peers, ErrorLog: s.logger().Printf, Panicked: tellPanic,
	}
	if srv.Handler == nil {
		srv.Handler = http.DefaultServeMux
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	// Its end goes to served.
	for {
		select {
		case err := <-served:
			return err
		case <-signals.dump:
			dumpStacks(os.Stderr)
		case <-signals.term:
			err := s.drain(srv, signals)
			<-served
			return err
		}
	}
}

// drain finishes what is in hand, within DrainTimeout and until told once more.
func (s *Server) drain(srv *fcgi.Server, signals *signals) error {
	timeout := s.DrainTimeout
	if timeout <= 0 {
		timeout = DefaultDrainTimeout
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout,
		errors.New("worker: requests were still in hand at the end of the drain timeout"))
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- srv.Shutdown(ctx) }()
	// Its end goes to drained.
	for {
		select {
		case err := <-drained:
			if err == nil {
				return nil
			}
			srv.Close()
			return context.Cause(ctx)
		case <-signals.dump:
			dumpStacks(os.Stderr)
		case <-signals.term:
			cancel()
			<-drained
			srv.Close()
			return errors.New("worker: told to stop a second time, with requests in hand")
		}
	}
}

func (s *Server) logger() *log.Logger {
	if s.ErrorLog != nil {
		return s.ErrorLog
	}
	return log.New(os.Stderr, "", log.LstdFlags)
}

// Params returns the CGI variables (RFC 3875 §4.1) of a request, in the order the
// web server sent them. The slice must not be changed.
func Params(r *http.Request) []Param { return fcgi.Env(r) }

// RequestID returns the variable REQUEST_ID of the request that ctx belongs to, by
// which frontd names it in its logs, or "".
func RequestID(ctx context.Context) string { return variable(ctx, "REQUEST_ID") }

func variable(ctx context.Context, name string) string {
	for _, p := range fcgi.ParamsFrom(ctx) {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Stderr returns the error stream of the request that ctx belongs to: the web
// server logs what is written there with the request, until it has no more to do
// with it: what comes after the client has gone is lost, and belongs on the
// process's own standard error. For any other ctx it is that.
func Stderr(ctx context.Context) io.Writer { return fcgi.Stderr(ctx) }

// Data returns the file that a request in the Filter role is to filter (FastCGI §6.4).
func Data(ctx context.Context) io.Reader { return fcgi.Data(ctx) }
