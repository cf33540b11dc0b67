package cgi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// An exchange is one request and the process that answers it.
type exchange struct {
	// Immutable.
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	prog   program
	log    *complaints
	p      *process
	ctx    context.Context // its end is the program's
	cancel context.CancelCauseFunc

	// Owned by run.
	begun    bool // the header has been written
	complete bool // all of the answer has been written, whatever happens now
	stopped  bool // the program's end is our doing
}

// run brings the request to the program and its answer to the client. All
// that it starts has ended when it returns.
func (x *exchange) run() {
	fed, told, obeyed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { defer close(fed); x.feed() }()
	// fed is received by release.
	go func() { defer close(told); _, _ = io.Copy(x.log, &output{f: x.p.stderr}) }()
	// told is received below.
	go func() { defer close(obeyed); x.p.obey(x.ctx, x.h.killDelay(), x.h.Stopping) }()
	// obeyed is received below.
	err := x.respond()
	x.await(err)
	cause := context.Cause(x.ctx) // before release, which may look like the client's leaving
	x.release(fed)
	<-told
	<-obeyed
	closeAll([]*os.File{x.p.stdout, x.p.stderr})
	x.conclude(err, cause)
}

// feed sends the request's body to the program as it comes, while the answer
// is read: either may be long. A body that breaks ends the program before it
// could take what it got for all of it.
func (x *exchange) feed() {
	defer x.p.stdin.Close()
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := x.r.Body.Read(buf)
		if n > 0 {
			if _, err := x.p.stdin.Write(buf[:n]); err != nil {
				return // §4.2: a program need not read its input
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			x.cancel(fmt.Errorf("%w: %w", errBody, err))
			<-x.p.exited
			return
		}
	}
}

// respond writes the program's answer, up to the end of its output. An error
// means that the answer is not all there.
func (x *exchange) respond() error {
	out := &limited{r: &output{f: x.p.stdout}, left: 2 * maxHeader}
	br := bufio.NewReader(out)
	hd, body, err := x.readHead(br)
	if err != nil {
		return err
	}
	out.left = -1
	header := x.w.Header()
	for name, values := range hd.header {
		header[name] = values
	}
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // none was sent, none is to be guessed
	}
	x.begun = true
	if !hd.local { // §6.2.2: a local redirect has no status
		x.w.WriteHeader(hd.status)
	}
	if hd.local || x.r.Method == http.MethodHead || hd.status == http.StatusNoContent || hd.status == http.StatusNotModified {
		_, err := io.Copy(io.Discard, body)
		x.complete = err == nil
		return err
	}
	return x.copyBody(body, hd.length)
}

func (x *exchange) readHead(br *bufio.Reader) (head, io.Reader, error) {
	if x.prog.nph() {
		return readResponse(br, x.r)
	}
	hd, err := readHead(br)
	return hd, br, err
}

// copyBody passes chunks on as they come. length is what was promised, or -1.
func (x *exchange) copyBody(body io.Reader, length int64) error {
	control := http.NewResponseController(x.w)
	buf := make([]byte, 32<<10)
	for sent := int64(0); ; {
		n, err := body.Read(buf)
		chunk := buf[:n]
		if length >= 0 && sent+int64(n) > length {
			chunk = buf[:length-sent]
			err = io.EOF
			x.log.printf("cgi: %s: output after the %d bytes of its Content-Length: cut off", x.prog.file, length)
			x.stopped = true
			_ = x.p.stdout.Close() // SIGPIPE tells the program
		}
		if len(chunk) > 0 {
			if _, err := x.w.Write(chunk); err != nil {
				x.cancel(errGone)
				return fmt.Errorf("write to the client: %w", err)
			}
			_ = control.Flush() // not every writer can; then it does not hold back either
		}
		sent += int64(len(chunk))
		x.complete = sent == length
		switch {
		case errors.Is(err, io.EOF) && sent < length:
			return fmt.Errorf("output ended after %d bytes of a Content-Length of %d", sent, length)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the output: %w", err)
		}
	}
}

// await waits for the program's end, which is near where its output is
// complete, and is brought about where its output is of no use.
func (x *exchange) await(err error) {
	var bad *formatError
	if errors.As(err, &bad) && !bad.ended {
		x.stopped = true
		x.p.signal(syscall.SIGTERM)
	}
	linger := time.NewTimer(x.h.killDelay())
	defer linger.Stop()
	select {
	case <-x.p.exited:
		return
	case <-linger.C:
	}
	x.stopped = true
	x.p.signal(syscall.SIGKILL)
	<-x.p.exited
	if err == nil && x.ctx.Err() == nil {
		x.complete = true
		x.log.printf("cgi: %s: closed its output, but had not ended %v later: killed", x.prog.file, x.h.killDelay())
	}
}

// release ends the feeding, which may be waiting for a body that nobody needs
// any more. A connection of net/http cannot be used again after that.
func (x *exchange) release(fed <-chan struct{}) {
	if x.r.Body == nil || x.r.Body == http.NoBody {
		<-fed
		return
	}
	select {
	case <-fed:
		return
	default:
	}
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Unix(1, 0)) // where it cannot, Close wakes the reader
	_ = x.r.Body.Close()
	<-fed
}

// conclude decides what becomes of the request. err is what respond returned,
// cause is why the program was told to end, if it was.
func (x *exchange) conclude(err, cause error) {
	state := x.p.cmd.ProcessState
	if state != nil && !state.Success() && !x.stopped && cause == nil {
		x.log.printf("cgi: %s: %v", x.prog.file, state)
		if w, ok := x.w.(interface{ SetAppStatus(uint32) }); ok && state.ExitCode() > 0 {
			w.SetAppStatus(uint32(state.ExitCode())) // FastCGI 1.0 §5.5
		}
	}
	switch {
	case x.complete:
		return
	case cause != nil && !errors.Is(cause, errTimeout):
		panic(http.ErrAbortHandler) // the front or the client gave up: they know
	case cause != nil:
		err = fmt.Errorf("%w (%v)", cause, x.h.Timeout)
	case err == nil && signaled(state):
		err = errors.New("killed before its output was complete")
	case err == nil:
		return
	}
	x.log.printf("cgi: %s: %v", x.prog.file, err)
	switch {
	case x.begun:
		panic(http.ErrAbortHandler)
	case errors.Is(err, errTimeout):
		http.Error(x.w, "The CGI program took too long.", http.StatusGatewayTimeout)
	default:
		// For the web server (RFC 3875 §6.3.5): ours makes it a broken answer
		// as it would have found one itself.
		x.w.Header().Set("X-CGI-Error", strings.Map(printable, err.Error()))
		http.Error(x.w, "The CGI program did not answer properly.", http.StatusBadGateway)
	}
}

// printable keeps a reason within one header field.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return ' '
	}
	return r
}

// signaled reports death by a signal, as from a crash or the kernel being out
// of memory: without a Content-Length nothing else tells a cut answer.
func signaled(state *os.ProcessState) bool {
	if state == nil {
		return false
	}
	ws, ok := state.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled()
}
