package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/frontd/frontd/config"
)

// An elder is the frontd that started this process to take its place; see
// handoverMessage. A nil elder is nobody: its methods do nothing.
type elder struct {
	conn   net.Conn
	in     *json.Decoder
	out    *json.Encoder
	stderr *os.File      // its own; ours is a pipe to it until we serve
	gone   chan struct{} // closed when it has ended; nil before takeOver
}

// findElder returns nil where nobody started this process to hand over to it.
func findElder() (*elder, error) {
	said := os.Getenv(elderVariable)
	if said == "" {
		return nil, nil
	}
	os.Unsetenv(elderVariable) // for this process only
	var conn, stderr int
	if _, err := fmt.Sscanf(said, "%d %d", &conn, &stderr); err != nil || conn < heirConn || stderr < heirConn {
		return nil, fmt.Errorf("%s=%q: want two descriptors; it is not for people to set", elderVariable, said)
	}
	syscall.CloseOnExec(conn) // no worker and no guard is to hold them
	syscall.CloseOnExec(stderr)
	f := os.NewFile(uintptr(conn), "elder")
	defer f.Close() // the connection has its own descriptor
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("the frontd before this one: %w", err)
	}
	return &elder{conn: c, in: json.NewDecoder(c), out: json.NewEncoder(c), stderr: os.NewFile(uintptr(stderr), "stderr")}, nil
}

// askToServe returns when the elder lets us serve: when each application has
// a worker, or is known to have none.
func (e *elder) askToServe(ctx context.Context, d *daemon, signals <-chan os.Signal) error {
	if e == nil {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	serve := make(chan error, 1)
	go func() {
		serve <- e.await(stateServe) // received below; close ends it
	}()
	tried := make(chan struct{})
	go func() {
		defer close(tried) // received below, or ends with ctx
		d.awaitApps(ctx)
	}()
	for {
		select {
		case <-tried:
			tried = nil
			if err := e.out.Encode(d.readyMessage()); err != nil {
				return err
			}
		case err := <-serve:
			return err
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGINT {
				return fmt.Errorf("%v while taking over", s)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *daemon) readyMessage() handoverMessage {
	m := handoverMessage{State: stateReady, PID: os.Getpid(), Version: version, Failing: map[string]string{}}
	for _, a := range d.apps.all() {
		if err := a.notUp(); err != nil {
			m.Failing[a.name] = err.Error()
		}
	}
	for _, s := range d.sockets() {
		m.Took = append(m.Took, s.address.SocketName())
	}
	return m
}

func (e *elder) await(state string) error {
	var m handoverMessage
	if err := e.in.Decode(&m); err != nil {
		return errElderEnded
	}
	if m.State != state {
		return fmt.Errorf("the frontd before this one says %q, want %q", m.State, state)
	}
	return nil
}

var errElderEnded = errors.New("the frontd before this one has given up, or ended")

// takeOver says that we serve, and makes us the owner of what there is one of.
// From here on nothing that the elder does or fails to do ends this process.
func (e *elder) takeOver(d *daemon) {
	if e == nil {
		return
	}
	// What is written to descriptor 2, a crash's trace, goes where the log goes.
	if err := redirect(int(e.stderr.Fd()), 2); err != nil {
		d.log.Warn("standard error stays with the frontd before this one", "error", err)
	}
	err := e.out.Encode(handoverMessage{State: stateServing})
	if err == nil {
		e.conn.SetReadDeadline(time.Now().Add(heirAnswer))
		err = e.await(stateYours)
	}
	if err != nil {
		d.log.Warn("the frontd before this one has not said that it goes", "error", err)
	}
	for _, s := range d.sockets() {
		if l, ok := s.listener.(*config.UnixListener); ok && err == nil { // else it may serve there still
			l.SetUnlinkOnClose(true)
		}
	}
	d.incidents.takeOver()
	e.gone = make(chan struct{})
	go e.watch(d.incidents)
	// Its end is e.gone, which close receives.
}

// watch returns when the elder has ended, and so has its last word on incidents.
func (e *elder) watch(in *incidents) {
	defer close(e.gone)
	e.conn.SetReadDeadline(time.Time{})
	if _, err := io.Copy(io.Discard, e.conn); !errors.Is(err, net.ErrClosed) { // else it is we who end
		in.own()
	}
}

// awaitEnd returns when the elder has answered its last request, or ctx ends:
// a unit of which the main process ends is killed whole.
func (e *elder) awaitEnd(ctx context.Context) {
	if e == nil {
		return
	}
	select {
	case <-e.gone:
	case <-ctx.Done():
	}
}

func (e *elder) close() {
	if e == nil {
		return
	}
	e.conn.Close()
	if e.gone != nil {
		<-e.gone
	}
}
