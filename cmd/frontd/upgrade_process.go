package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/frontd/frontd/config"
)

// An heir is a process that is to take our place.
type heir struct {
	cmd    *exec.Cmd
	conn   net.Conn
	in     *json.Decoder
	out    *json.Encoder
	said   said
	ended  chan struct{} // closed when its standard error has ended
	exited chan error    // capacity 1
	serves bool          // it was told to: it may have requests in hand
}

func (d *daemon) startHeir() (*heir, error) {
	conn, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	r, w, err := os.Pipe()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer w.Close()
	files := []*os.File{theirs, d.stderr}
	var addresses []config.Address
	for _, s := range d.sockets() {
		f, err := config.SocketFile(s.listener)
		if err != nil {
			conn.Close()
			r.Close()
			return nil, err
		}
		defer f.Close()
		files, addresses = append(files, f), append(addresses, s.address)
	}
	h := &heir{
		conn: conn, in: json.NewDecoder(conn), out: json.NewEncoder(conn),
		ended: make(chan struct{}), exited: make(chan error, 1),
	}
	h.cmd = &exec.Cmd{
		Path: d.program, Args: os.Args, Env: heirEnviron(os.Environ(), addresses),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: w, ExtraFiles: files,
	}
	if err := h.cmd.Start(); err != nil {
		conn.Close()
		r.Close()
		return nil, fmt.Errorf("start the new frontd: %w", err)
	}
	go h.listen(r, d.log.sink)
	// Its end is h.ended: the heir closes the pipe when it serves, or ends.
	go func() {
		h.exited <- h.cmd.Wait() // abandon receives it; an heir that serves outlives us
	}()
	return h, nil
}

// heirEnviron is our own environment, but for what was said to this process alone.
func heirEnviron(environ []string, sockets []config.Address) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "LISTEN_") || name == "WATCHDOG_PID" || name == elderVariable || name == config.SocketsVariable
	})
	return append(env,
		fmt.Sprintf("%s=%d %d", elderVariable, heirConn, heirStderr),
		config.SocketsVariable+"="+config.HandOver(heirSockets, sockets))
}

// await waits for the heir to say what state it is in.
func (h *heir) await(ctx context.Context, state string, within time.Duration) (m handoverMessage, err error) {
	limit := time.Now().Add(within)
	h.conn.SetReadDeadline(limit)
	defer context.AfterFunc(ctx, func() { h.conn.SetReadDeadline(time.Unix(1, 0)) })()
	err = h.in.Decode(&m)
	switch {
	case ctx.Err() != nil:
		return m, errGivenUp
	case errors.Is(err, os.ErrDeadlineExceeded):
		return m, fmt.Errorf("the new frontd was not %s within %v", state, within)
	case err != nil:
		return m, errHeirEnded
	case m.State != state:
		return m, fmt.Errorf("the new frontd says %q, want %q", m.State, state)
	}
	return m, nil
}

var (
	errHeirEnded = errors.New("the new frontd ended before it was ready")
	errGivenUp   = errors.New("the upgrade was given up: who asked for it has gone, or frontd stops")
	errStops     = errors.New("frontd stops")

	// errHandedOver is for what waited behind an upgrade: another process serves, and
	// a change here would be one of what goes.
	errHandedOver = errors.New("another frontd serves by now")
)

// abandon ends an heir that does not take over, and says why it does not. One
// that serves already has the given time to answer what it has in hand.
func (h *heir) abandon(why error, drain time.Duration) error {
	within := heirEnd
	if h.serves {
		h.cmd.Process.Signal(syscall.SIGTERM)
		within = drain
	}
	h.conn.Close() // which ends one that does not serve
	limit := time.NewTimer(within)
	defer limit.Stop()
	var exit error
	select {
	case exit = <-h.exited:
	case <-limit.C:
		h.cmd.Process.Kill() // its guard ends its workers
		exit = <-h.exited
	}
	limit.Reset(heirAnswer)
	select {
	case <-h.ended:
	case <-limit.C: // somebody that it started holds the pipe
	}
	if errors.Is(why, errHeirEnded) {
		end := "exit status 0"
		if exit != nil {
			end = exit.Error()
		}
		why = fmt.Errorf("%w: %s", why, end)
	}
	if text := h.said.String(); text != "" {
		why = fmt.Errorf("%w\n%s", why, text)
	}
	return why
}

// listen keeps what the heir says on standard error, and logs it.
func (h *heir) listen(r *os.File, log io.Writer) {
	defer close(h.ended)
	defer r.Close()
	for lines := bufio.NewReader(r); ; {
		line, _, err := lines.ReadLine() // a long one comes in pieces
		if err != nil {
			return
		}
		line = append(slices.Clone(line), '\n')
		h.said.Write(line)
		log.Write(line)
	}
}

// A said is the end of a text.
type said struct {
	mu sync.Mutex // guards the field below
	b  []byte
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = append(s.b, p...)
	s.b = s.b[max(0, len(s.b)-heirSaidMax):]
	return len(p), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(string(s.b))
}

// socketPair returns our end, and that of a process to be started.
func socketPair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock() // no other child gets them before they are close-on-exec
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "heir"), os.NewFile(uintptr(fds[1]), "elder")
	defer ours.Close() // the connection has its own descriptor
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// startedAs is the path that this process was started by: not what it leads
// to, so that a link or a file that is replaced leads to the new program.
func startedAs() (string, error) {
	running, err := os.Executable()
	if err != nil {
		return "", err
	}
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil || !sameFile(path, running) {
		return running, nil // argv[0] is a fancy
	}
	return path, nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
