// Package host is one worker process as a function: it hosts one application
// and has it speak FastCGI.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/worker"
)

// Exit statuses, which scripts and supervisors rely on.
const (
	exitStopped = 0 // stopped as asked
	exitFailed  = 1
	exitUsage   = 2
)

// ExitStatus returns the exit status for what Main returned.
func ExitStatus(err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return exitStopped
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailed
}

// Main is appworker: args are its arguments, without the program's name. It
// listens on descriptor 0, or on the address given with -l.
//
// The demo and CGI programs are served by this process, until SIGTERM or
// SIGINT; requests in hand are finished first. If ctx ends it stops at once.
// For the other kinds the process is replaced by the one that hosts the
// application: then Main returns only if that fails.
//
// A wrong command line, an APP that is not there, or a missing socket is a
// *UsageError.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	parsed, err := parseArguments(args)
	if err != nil {
		return err
	}
	if parsed.help {
		return usage(stdout)
	}
	a, err := app.Parse(parsed.app, parsed.dir)
	if err != nil {
		return &UsageError{err}
	}
	if a.Kind == app.FCGI {
		return usagef("%s: %w; point the web server at it", a, app.ErrNotHosted)
	}
	if a.Kind == app.Folder {
		return usagef("%s: %w", a, app.ErrFolder)
	}
	if parsed.listen == "" && !stdinListens() {
		return usagef("standard input is not a listening socket: give an address, as in appworker %s -l 127.0.0.1:9000, "+
			"or have a supervisor start this (frontd, spawn-fcgi, systemd)", a)
	}
	if a.Why != "" {
		fmt.Fprintf(stderr, "appworker: %s\n", a.Why)
	}
	switch a.Kind {
	case app.Demo, app.CGI:
		// Command knows how many requests at once are the kind's default.
		cmd, err := a.Command(app.Options{Threads: parsed.threads, Self: os.Args[0]})
		if err != nil {
			return err
		}
		stopping := make(chan struct{})
		return serve(ctx, handler(a, cmd.Concurrency, parsed.found, stopping), stopping, parsed, stderr)
	default:
		return become(ctx, a, parsed)
	}
}

// serve answers requests in this process. It closes stopping when it takes no more.
func serve(ctx context.Context, h http.Handler, stopping chan<- struct{}, args arguments, stderr io.Writer) error {
	var l net.Listener
	var err error
	if args.listen != "" {
		l, err = listen(ctx, args.listen)
	} else {
		// Descriptor 0 itself stays open: a file in its place would become the
		// standard input of CGI programs.
		l, err = net.FileListener(os.Stdin)
	}
	if err != nil {
		return err
	}
	if args.listen != "" {
		where := address(l)
		l = &announced{Listener: l, say: func() {
			fmt.Fprintf(stderr, "appworker: process %d listens on %s\n", os.Getpid(), where)
		}}
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	err = (&worker.Server{Handler: h}).Serve(&closing{Listener: l, closed: stopping})
	if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// An announced listener says so when it is first asked for a connection: from
// then on the worker takes signals, and SIGTERM stops it gracefully.
type announced struct {
	net.Listener
	once sync.Once
	say  func()
}

func (l *announced) Accept() (net.Conn, error) {
	l.once.Do(l.say)
	return l.Listener.Accept()
}

// A closing listener tells that it was closed: the worker does that first when it
// is told to stop, before it waits for what it has in hand.
type closing struct {
	net.Listener
	once   sync.Once
	closed chan<- struct{}
}

func (l *closing) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// address is what a client dials, in the form of -l. It has the port that
// the system chose for port 0.
func address(l net.Listener) string {
	a := l.Addr()
	if a.Network() == "unix" {
		return "unix:" + strings.Replace(a.String(), "\x00", "@", 1)
	}
	return a.String()
}
