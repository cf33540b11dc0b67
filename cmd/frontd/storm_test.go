package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// Twenty-five HUPs at 0 to 25 ms: it lives, ends in one generation, and has
// lost no request.
func TestReloadStorm(t *testing.T) {
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(2))...)
	before := r.awaitServing("demo", 2)
	l := startLoad(t, r.client, 2, http.MethodGet, r.url+"/hello", "", "hello\n")
	l.awaitMore(t, 10)
	const storm = 25
	for ms := range storm {
		r.Signal(syscall.SIGHUP)
		<-time.NewTimer(time.Duration(ms) * time.Millisecond).C // as the storm has it, not a wait for something
	}
	r.replaced("demo", before, 2)
	// Signals that come together are one: how many reloads there are is open,
	// but each that began has to end.
	counterpart.Await(t, "the end of the last reload", patience, func() error {
		if begun, done := r.Count(`"msg":"reloading"`), r.Count(`"msg":"reloaded"`); begun != done || begun == 0 {
			return fmt.Errorf("%d begun, %d done", begun, done)
		}
		return nil
	})
	counterpart.Await(t, "one generation", patience, func() error {
		if list := descendants(t, r.PID()); len(list) != 3 { // two workers and the guard
			return fmt.Errorf("descendants %v", list)
		}
		return nil
	})
	l.awaitMore(t, 10)
	l.clean(t, fmt.Sprintf("%d HUPs", storm))
}

// A stop, and a kill, at a random moment of starting, reloading and upgrading:
// nobody is left, no socket is in the way of the next start, and the stop keeps
// its time.
func TestEndAtAnyMoment(t *testing.T) {
	rounds := 12
	if long() {
		rounds = 200
	}
	dir := counterpart.Dir(t)
	socket := filepath.Join(dir, "web.sock")
	file := configure(t, dir, fmt.Sprintf("[server]\nlisten = [\"unix:%s\"]\nshutdown_timeout = \"5s\"\n", socket)+demoApp(2))
	for i := range rounds {
		doing := []string{"starting", "reloading", "upgrading"}[i%3]
		signal := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[i/3%2]
		after := rand.N(60 * time.Millisecond)
		what := fmt.Sprintf("%v while %s, after %v", signal, doing, after)

		r := launch(t, dir, file...)
		if doing != "starting" {
			r.awaitServing("demo", 2)
			r.Signal(map[string]syscall.Signal{"reloading": syscall.SIGHUP, "upgrading": syscall.SIGUSR2}[doing])
		}
		<-time.NewTimer(after).C // a random moment, not a wait for something
		r.SignalUnlessGone(signal)
		start := time.Now()
		state := r.AwaitExit(patience)
		if signal == syscall.SIGTERM {
			prompt(t, what+": the stop", time.Since(start), 6*time.Second)
		}
		if code := state.ExitCode(); signal == syscall.SIGTERM && code != 0 && !signaledEarly(state, doing) {
			t.Errorf("%s: %v\n%s", what, state, r.Log())
		}
		endHeir(t, r)
		// Its output is held by whoever is left of its children.
		if err := r.AwaitOutputEnd(patience); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, r.Log())
		}
		if t.Failed() {
			return
		}
	}
	// What a kill has left is no obstacle, and gone after a start and a stop.
	r := launch(t, dir, file...)
	r.awaitServing("demo", 2)
	r.Signal(syscall.SIGTERM)
	if state := r.AwaitExit(patience); state.ExitCode() != 0 {
		t.Errorf("the last: %v\n%s", state, r.Log())
	}
	for _, path := range []string{socket, r.control} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left behind", path)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "frontd", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// signaledEarly reports whether the signal came before Go had its handler.
func signaledEarly(state *os.ProcessState, doing string) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && doing == "starting" && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// endHeir stops the daemon that has taken over, if one has.
func endHeir(t *testing.T, r *running) {
	t.Helper()
	if _, err := r.tryStatus(); err != nil {
		return
	}
	if out, err := r.command("stop"); err != nil {
		if _, gone := r.tryStatus(); gone == nil {
			t.Errorf("stop of the heir: %v\n%s", err, out)
		}
	}
}

// A request in hand has its answer after TERM, a kept connection is told to
// close; a second TERM ends at once.
func TestTermTwice(t *testing.T) {
	t.Parallel()
	for _, twice := range []bool{false, true} {
		r := serve(t, counterpart.Dir(t), "-w", "1")
		r.awaitServing("demo", 1)
		conn := r.dial()
		fmt.Fprint(conn, "POST /checksum HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nslow") // it ends when we send the rest
		counterpart.Await(t, "a request in hand", patience, func() error {
			if s := r.status(); s.Apps[0].Busy != 1 {
				return fmt.Errorf("%d in hand", s.Apps[0].Busy)
			}
			return nil
		})
		start := time.Now()
		r.Signal(syscall.SIGTERM)
		r.AwaitLine(`msg=stopping`, patience)
		if twice {
			r.Signal(syscall.SIGTERM)
		} else {
			// Said before anything is done: connections know of it once the listener is closed.
			counterpart.Await(t, "the listener's end", patience, func() error {
				c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
				if err != nil {
					return nil
				}
				c.Close()
				return errors.New("it accepts")
			})
			fmt.Fprint(conn, "!")
		}
		answer, err := io.ReadAll(conn)
		state := r.AwaitExit(patience)
		took := time.Since(start)
		if twice {
			prompt(t, "the end after a second TERM", took, time.Second)
		}
		whole := bytes.Contains(answer, []byte("200 OK")) && bytes.Contains(answer, []byte("\r\nConnection: close\r\n")) && bytes.Contains(answer, []byte(`"size":5`))
		switch {
		case twice && whole:
			t.Errorf("at once: %v, after %v, %q", state, took, answer)
		case !twice && (!whole || err != nil || state.ExitCode() != 0):
			t.Errorf("%v after %v: %v, %q", state, took, err, answer)
		}
	}
}
