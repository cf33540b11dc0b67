package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/frontd/frontd/config"
)

// The hand-over to a new binary, as both sides see it. The elder is the frontd
// that serves, the heir the process that it starts; between them is a pair of
// sockets, on which each message is a JSON object in a line.
//
//	elder                                    heir
//	starts the program, with its sockets
//	                                         reads the configuration, starts its workers
//	                                         {"state":"ready", ...}
//	{"state":"serve"}
//	                                         accepts
//	                                         {"state":"serving"}
//	tells systemd MAINPID
//	{"state":"yours"}
//	stops accepting, drains, exits           owns the sockets' files, speaks to systemd
//
// Until "serving" every failure, of either side, leaves the elder as it was.
// The end of the connection before "serve" ends the heir.
type handoverMessage struct {
	State   string            `json:"state"`
	PID     int               `json:"pid,omitempty"`
	Version string            `json:"version,omitempty"`
	Failing map[string]string `json:"failing,omitempty"` // apps without a worker that serves: why
	Took    []string          `json:"took,omitempty"`    // names of the sockets in use
}

const (
	stateReady   = "ready"
	stateServe   = "serve"
	stateServing = "serving"
	stateYours   = "yours"

	// elderVariable tells the heir its descriptors: "CONNECTION STDERR".
	elderVariable = "FRONTD_ELDER"

	heirConn    = 3 // first of exec.Cmd.ExtraFiles
	heirStderr  = 4
	heirSockets = 5

	heirSlack   = 30 * time.Second // beyond timeout.start of the slowest application
	heirAnswer  = 10 * time.Second // for what takes no time
	heirEnd     = 10 * time.Second // for its workers to stop, when it is not wanted
	heirSaidMax = 8 << 10          // bytes of its standard error that an answer has
)

// What becomes of a daemon. It is decided once.
const (
	fateOpen int32 = iota
	fateStopping
	fateHandedOver
)

// An upgradeReport is what frontd upgrade tells.
type upgradeReport struct {
	PID     int    `json:"pid"` // of the frontd that serves now
	Version string `json:"version"`
	Before  int    `json:"pid_before"` // of the one that goes when its last request has ended
}

// upgrade hands over to a new process of the program that frontd was started
// as: the path is looked up anew. If it fails, this frontd serves as before.
func (d *daemon) upgrade(ctx context.Context) (upgradeReport, error) {
	report := upgradeReport{Before: os.Getpid()}
	if os.Getpid() == 1 {
		return report, errors.New("process 1 cannot hand over: its end is the container's; start a new container beside this one")
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	d.upgrading.Lock()
	defer d.upgrading.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	if d.life.Err() != nil {
		return report, errStops
	}
	h, err := d.startHeir()
	if err != nil {
		return report, err
	}
	ready, err := h.inherit(ctx, d)
	if err != nil {
		return report, h.abandon(err)
	}
	d.log.Info("handed over to a new frontd", "pid", h.cmd.Process.Pid, "version", ready.Version)
	report.PID, report.Version = h.cmd.Process.Pid, ready.Version
	d.heir = h.cmd.Process
	close(d.handed)
	return report, nil
}

// upgradeLogged is upgrade for those outside.
func (d *daemon) upgradeLogged(ctx context.Context) (upgradeReport, error) {
	d.log.Info("upgrading", "program", d.program)
	r, err := d.upgrade(ctx)
	if err != nil {
		d.log.Error("upgrade failed, what served before still serves", "error", err)
	}
	return r, err
}

// A socket is one that is handed over, in the order of descriptors.
type socket struct {
	address  config.Address
	listener net.Listener
}

// sockets are all that frontd listens at.
func (d *daemon) sockets() []socket {
	var list []socket
	for _, door := range d.doors {
		list = append(list, socket{door.address, door.listener})
	}
	if d.numbers != nil {
		list = append(list, socket{d.numbers.address, d.numbers.listener})
	}
	return append(list, socket{config.Address{Net: "unix", Addr: d.control.path}, d.control.listener})
}

// An heir is a process that is to take our place.
type heir struct {
	cmd    *exec.Cmd
	conn   net.Conn
	in     *json.Decoder
	out    *json.Encoder
	said   said
	ended  chan struct{} // closed when its standard error has ended
	exited chan error    // capacity 1
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

// inherit leads the heir to where it serves, and us to where we need not.
func (h *heir) inherit(ctx context.Context, d *daemon) (ready handoverMessage, err error) {
	within := d.patience()
	ready, err = h.await(ctx, stateReady, within)
	if err != nil {
		return ready, err
	}
	for _, a := range d.apps.all() {
		if why, fails := ready.Failing[a.name]; fails && a.notUp() == nil {
			return ready, fmt.Errorf("app %s serves here and does not start in the new frontd: %s", a.name, why)
		}
	}
	if err := h.out.Encode(handoverMessage{State: stateServe}); err != nil {
		return ready, err
	}
	if _, err := h.await(ctx, stateServing, heirAnswer); err != nil {
		return ready, err
	}
	if !d.fate.CompareAndSwap(fateOpen, fateHandedOver) {
		h.cmd.Process.Signal(syscall.SIGTERM) // it serves, and is to stop as we are
		return ready, errStops
	}
	for _, s := range d.sockets() {
		if l, ok := s.listener.(*config.UnixListener); ok && slices.Contains(ready.Took, s.address.SocketName()) {
			l.SetUnlinkOnClose(false)
		}
	}
	d.tell(fmt.Sprintf("MAINPID=%d", h.cmd.Process.Pid))
	d.speaks.Store(false)
	h.out.Encode(handoverMessage{State: stateYours}) // if it has died since, nobody is left to tell
	return ready, nil
}

// patience is how long an heir may take to be ready.
func (d *daemon) patience() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var slowest time.Duration
	for _, a := range d.config.Apps {
		slowest = max(slowest, d.config.AppLimits(a).Timeout.Start)
	}
	return slowest + heirSlack
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
)

// abandon ends an heir that does not take over, and says why it does not.
func (h *heir) abandon(why error) error {
	h.conn.Close() // which ends it
	limit := time.NewTimer(heirEnd)
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

func upgradeCommand() *cobra.Command {
	var f controlFlag
	return f.add(&cobra.Command{
		Use: "upgrade", Short: "Hand over to a new process of the program, without losing a request",
		Long: "Start the program that the daemon was started as, which may have been replaced, and hand\n" +
			"the listening sockets over to it when its workers serve. The old process answers what it\n" +
			"has in hand and goes. If the new one fails, the old one serves on, and this command says why.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r upgradeReport
			if err := f.call(cmd.Context(), http.MethodPost, "/upgrade", &r); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "frontd %s, pid %d, serves; pid %d answers its last requests and goes\n", r.Version, r.PID, r.Before)
			return err
		},
	})
}
