package main

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// A manager is systemd's end of a notification socket.
type manager struct {
	t    *testing.T
	path string
	told chan notification
}

// A notification is a message, and how many descriptors came with it.
type notification struct {
	text        string
	descriptors int
}

func newManager(t *testing.T, dir string) *manager {
	t.Helper()
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t, path, make(chan notification, 1000)}
	// Read at once: the kernel has room for some ten messages, and whoever sends
	// one more has to wait.
	go m.read(conn) // its end closes told, which is received below
	t.Cleanup(func() {
		conn.Close()
		for range m.told {
		}
	})
	return m
}

func (m *manager) read(conn *net.UnixConn) {
	defer close(m.told)
	text, rights := make([]byte, 4096), make([]byte, 256)
	for {
		n, k, _, _, err := conn.ReadMsgUnix(text, rights)
		if err != nil {
			return
		}
		told := notification{text: string(text[:n])}
		if cs, err := syscall.ParseSocketControlMessage(rights[:k]); err == nil && len(cs) == 1 {
			fds, err := syscall.ParseUnixRights(&cs[0])
			if err != nil {
				m.t.Error(err)
				return
			}
			for _, fd := range fds {
				syscall.Close(fd)
			}
			told.descriptors = len(fds)
		}
		m.told <- told
	}
}

// await reads until a message has the line, and returns the message and how
// many descriptors came with it. What else is told meanwhile is passed over.
func (m *manager) await(why, line string) (message string, descriptors int) {
	m.t.Helper()
	var seen []string
	limit := time.After(patience)
	for {
		select {
		case told, ok := <-m.told:
			if ok && strings.Contains("\n"+told.text+"\n", "\n"+line) {
				return told.text, told.descriptors
			}
			if seen = append(seen, told.text); ok {
				continue
			}
		case <-limit:
		}
		m.t.Fatalf("%s: no %q; told was %q", why, line, seen)
	}
}

func (m *manager) start(dir string, args ...string) *running {
	m.t.Helper()
	r := &running{t: m.t, dir: dir, control: filepath.Join(dir, "control.sock")}
	cmd := command(m.t, dir, append([]string{"serve", "--control", r.control}, args...)...)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "FDSTORE=8", "WATCHDOG_USEC=600000")
	r.Process = counterpart.Start(m.t, cmd)
	return r
}

// What systemd is told over a whole life: start, reload, a reload that fails,
// an upgrade, the stop.
func TestToldToSystemd(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	m := newManager(t, dir)
	file := configure(t, dir, jsonLog+demoApp(1))
	r := m.start(dir, file...)
	if message, n := m.await("the listener is kept", "FDSTORE=1\n"); n != 1 || !strings.Contains(message, "FDPOLL=0") || !strings.Contains(message, "FDNAME=listen=tcp=127.0.0.1%3A0") {
		t.Errorf("%q with %d descriptors", message, n)
	}
	m.await("it is up", "READY=1\n")
	m.await("what it is", "STATUS=1 worker, 1 app, ")
	m.await("it feeds the watchdog", "WATCHDOG=1\n")

	r.Signal(syscall.SIGHUP)
	if message, _ := m.await("a reload begins", "RELOADING=1\n"); !strings.Contains(message, "MONOTONIC_USEC=") {
		t.Errorf("%q", message)
	}
	m.await("and ends", "READY=1\n")

	now := r.upgrade()
	m.await("the old one says who comes", "MAINPID="+strconv.Itoa(now)+"\n")
	m.await("the new one stores the listener", "FDSTORE=1\n")
	m.await("the new one is up", "READY=1\n")
	m.await("the new one feeds the watchdog", "WATCHDOG=1\n")
	if out, err := r.command("stop"); err != nil {
		t.Fatalf("stop: %v\n%s", err, out)
	}
	if message, _ := m.await("the stop", "STOPPING=1\n"); !strings.Contains(message, "EXTEND_TIMEOUT_USEC=20000000") {
		t.Errorf("%q: want shutdown_timeout and 10 s", message)
	}
}

// Why a start failed, and the number of it.
func TestFailureToldToSystemd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := counterpart.Dir(t)
	m := newManager(t, dir)
	m.start(dir, "-l", l.Addr().String())
	message, _ := m.await("the failure", "STATUS=failed: ")
	if !strings.Contains(message, "address already in use") || !strings.Contains(message, "\nERRNO="+strconv.Itoa(int(syscall.EADDRINUSE))) {
		t.Errorf("%q", message)
	}
}
