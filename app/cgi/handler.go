// Package cgi runs CGI/1.1 programs (RFC 3875) behind an http.Handler.
//
// Section numbers are those of RFC 3875.
package cgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// DefaultKillDelay is the KillDelay of a Handler that sets none; Apache's
// mod_cgi gives as long.
const DefaultKillDelay = 3 * time.Second

// HastyKillDelay is the most there is from SIGTERM to SIGKILL in a process that was
// told to end: half of what frontd gives a worker whose request took too long.
const HastyKillDelay = 500 * time.Millisecond

// Causes of a program's end that the handler brought about.
var (
	errTimeout = errors.New("time limit of the CGI program reached")
	errBody    = errors.New("request body ended early")
	errGone    = errors.New("request aborted")
)

// A Handler runs one process of a CGI program for each request, so there are
// never more of them than requests in hand.
//
// A program's end ends its request. Its output up to then is delivered; then
// its whole process group is killed, so that a child left in the background
// neither holds the request by holding stdout, nor outlives it. A child that
// is to live on must leave the group (setsid). A program that closes stdout
// and goes on has KillDelay to end by itself.
//
// The answer is 404 or 403 where there is no such program, 502 where its
// output is not a CGI response, 504 at the time limit; the reason stands on
// Stderr. When an answer has begun and cannot be completed (the program was
// killed, or wrote less than its Content-Length) ServeHTTP panics with
// http.ErrAbortHandler, so that the client sees a broken answer, not a short
// one. An exit status other than 0 is told on Stderr, and to a ResponseWriter that
// has SetAppStatus(uint32), and changes nothing else.
//
// A local redirect (§6.2.2, Location: /path and nothing more) is left to the
// web server in front: it is answered with the header Location, status 200
// by default and no body. A program whose name begins with nph- writes the HTTP
// response itself (§5).
type Handler struct {
	// Path is a program, or a directory of them: then the URL's path below
	// Mount names the program, and what follows it is PATH_INFO. Names that
	// begin with a dot are not found, nor are links that lead out of Path.
	Path string

	// Found says that the web server has found the program: a request's
	// SCRIPT_FILENAME names it, in Path or below, and SCRIPT_NAME and PATH_INFO are
	// as the server sent them. Path is a directory then, and Env must be set.
	Found bool

	// Mount returns the part of r.URL.Path that lies above Path, without a
	// slash at its end. Nil: "".
	Mount func(r *http.Request) string

	// Env returns the meta-variables of a request as NAME=VALUE, as the web
	// server sent them. Nil: they are made from the request (§4.1).
	// SCRIPT_FILENAME is set by the handler, and so are SCRIPT_NAME and PATH_INFO
	// where Path is a directory.
	Env func(r *http.Request) []string

	// Inherit names variables of this process that programs get, besides PATH.
	// No meta-variable can replace one of these, nor set what tells the
	// dynamic loader what to load (LD_*, DYLD_*).
	Inherit []string

	// Stderr returns where the program's stderr and the handler's complaints
	// go for one request. Nil: os.Stderr.
	Stderr func(context.Context) io.Writer

	// Timeout bounds the whole run of a program. 0: the request's context does.
	Timeout time.Duration

	// KillDelay is the time from SIGTERM to SIGKILL. 0: DefaultKillDelay.
	KillDelay time.Duration

	// Stopping, if not nil, is closed when this process was told to end: programs of
	// requests that are aborted have HastyKillDelay from then on. Who is killed with a
	// program still there leaves behind what that has started.
	Stopping <-chan struct{}
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := &complaints{w: h.stderr(r.Context())}
	prog, err := h.find(r)
	if err != nil {
		log.printf("cgi: %v", err)
		refuse(w, err)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	if h.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, h.Timeout, errTimeout)
		defer stop()
	}
	p, err := start(h.command(r, prog))
	if err != nil {
		log.printf("cgi: start %s: %v%s", prog.file, err, startHint(err))
		http.Error(w, "The CGI program could not be started.", http.StatusInternalServerError)
		return
	}
	x := &exchange{h: h, w: w, r: r, prog: prog, log: log, p: p, ctx: ctx, cancel: cancel}
	x.run()
}

func (h *Handler) stderr(ctx context.Context) io.Writer {
	if h.Stderr == nil {
		return os.Stderr
	}
	return h.Stderr(ctx)
}

func (h *Handler) killDelay() time.Duration {
	if h.KillDelay > 0 {
		return h.KillDelay
	}
	return DefaultKillDelay
}

// command makes the program's command. It gets no arguments: an
// argument from the query string (§4.4) is optional, and has let requests
// pass options to interpreters (CVE-2012-1823).
func (h *Handler) command(r *http.Request, prog program) *exec.Cmd {
	cmd := exec.Command(prog.file)
	cmd.Dir = filepath.Dir(prog.file) // §7.2
	cmd.Env = h.environment(r, prog)
	return cmd
}

// startHint tells what the errors of exec(2) mean for a script, of which
// "no such file" is about its interpreter.
func startHint(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return " (the interpreter in its first line #! does not exist)"
	case errors.Is(err, errNotBinary):
		return " (no program, and no first line #! to name its interpreter)"
	}
	return ""
}

// A refusal is a request that finds no program to run.
type refusal struct {
	status int
	public string // what the client may know
	detail string
}

func (e *refusal) Error() string { return e.detail }

func refuse(w http.ResponseWriter, err error) {
	var e *refusal
	if !errors.As(err, &e) {
		e = &refusal{status: http.StatusInternalServerError, public: "The CGI program could not be found."}
	}
	http.Error(w, e.public, e.status)
}

// complaints writes what the program and the handler have to say, one at a time.
type complaints struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (c *complaints) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.w.Write(p)
}

func (c *complaints) printf(format string, args ...any) {
	line := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	_, _ = io.WriteString(c, line+"\n") // nobody is left to be told that stderr is broken
}
