//go:build unix

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// SocketsVariable is the environment variable by which one frontd hands its
// listening sockets to the next: "FD=NAME", joined with colons, NAME as
// Address.SocketName has it. Between systemd and us sd_listen_fds(3) holds.
const SocketsVariable = "FRONTD_SOCKETS"

// ownPrefix is what the names of our own sockets begin with, in the
// descriptor store too. What systemd passes for a .socket unit has the unit's
// own name.
const ownPrefix = "listen="

// maxDescriptorName is FDNAME_MAX of systemd.
const maxDescriptorName = 255

// SocketName is the name under which a's listening socket is handed from
// process to process, in the form that FDNAME= of sd_notify(3) takes: no
// colon, no control character. The scheme is no part of it, for it is not the
// socket's. A socket of systemd's has the name that systemd gave it.
func (a Address) SocketName() string {
	if a.Net == "systemd" {
		return a.Addr
	}
	var b strings.Builder
	b.WriteString(ownPrefix + a.Net + "=")
	for i := range len(a.Addr) {
		if c := a.Addr[i]; c <= ' ' || c >= 0x7f || c == ':' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Storable reports whether systemd's descriptor store is the place for a's
// socket: not if systemd has it anyway, nor under a name over 255 bytes.
func (a Address) Storable() bool {
	return a.Net != "systemd" && len(a.SocketName()) <= maxDescriptorName
}

// A descriptor is one that this process was started with.
type descriptor struct {
	fd   int
	name string
	used bool
}

// An inheritance is the sockets that this process was started with: those of
// systemd's .socket units, those that a frontd before us left in systemd's
// descriptor store, and those that it handed over itself.
type inheritance struct {
	mu   sync.Mutex // guards the field below
	list []descriptor
}

// inheritedSockets reads the inheritance, once.
var inheritedSockets = sync.OnceValue(func() *inheritance {
	h := &inheritance{list: descriptors(os.Getpid(), os.Getenv)}
	os.Unsetenv(SocketsVariable) // for one process: a child has other descriptors
	for _, d := range h.list {
		// Before any child is started: whoever holds a listening socket keeps
		// clients waiting for an answer that never comes.
		syscall.CloseOnExec(d.fd)
	}
	return h
})

// descriptors lists what the environment tells. What makes no sense in it is
// left out: whoever asks for it by name learns that it is not there.
func descriptors(pid int, env func(string) string) []descriptor {
	var list []descriptor
	for entry := range strings.SplitSeq(env(SocketsVariable), ":") {
		number, name, ok := strings.Cut(entry, "=")
		if fd, err := strconv.Atoi(number); ok && err == nil && fd >= firstPassed {
			list = append(list, descriptor{fd: fd, name: name})
		}
	}
	if env("LISTEN_PID") != strconv.Itoa(pid) {
		return list
	}
	n, _ := strconv.Atoi(env("LISTEN_FDS")) // malformed is none
	names := strings.Split(env("LISTEN_FDNAMES"), ":")
	for i := range min(n, maxPassed) {
		d := descriptor{fd: firstPassed + i, name: fmt.Sprintf("descriptor %d", firstPassed+i)}
		if i < len(names) {
			d.name = names[i]
		}
		list = append(list, d)
	}
	return list
}

// maxPassed bounds what LISTEN_FDS may say.
const maxPassed = 4096

// take returns the first socket of that name that nobody has taken, nil if
// there is none.
func (h *inheritance) take(name string) *os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.list {
		if d := &h.list[i]; d.name == name && !d.used {
			d.used = true
			return os.NewFile(uintptr(d.fd), name)
		}
	}
	return nil
}

// CloseUnused closes the sockets that this process was started with and
// nobody listens at: their clients would wait for ever. It returns the names
// of systemd's, which a unit has and no listen names, and of those that a
// frontd before us had and the configuration has no more. Call it once, when
// all listeners are open.
func CloseUnused() (systemd, own []string) {
	h := inheritedSockets()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.list {
		d := &h.list[i]
		if d.used {
			continue
		}
		d.used = true
		os.NewFile(uintptr(d.fd), d.name).Close()
		if strings.HasPrefix(d.name, ownPrefix) {
			own = append(own, d.name)
		} else {
			systemd = append(systemd, d.name)
		}
	}
	return systemd, own
}

// listenInherited listens at a socket that was handed to this process. Its
// file stays when the listener is closed, for whoever has handed it over may
// still serve it: see SetUnlinkOnClose. It returns nil where the socket is of
// no use any more and a has to be bound anew.
func listenInherited(a Address, f *os.File, mode fs.FileMode) (net.Listener, error) {
	defer f.Close() // the listener has its own descriptor
	if err := checkListening(f); err != nil {
		return nil, fmt.Errorf("the socket that was handed over: %w", err)
	}
	path := a.Net == "unix" && a.Addr[0] != '@'
	var info fs.FileInfo
	if path {
		var err error
		info, err = os.Lstat(a.Addr)
		if err != nil || info.Mode().Type() != fs.ModeSocket {
			return nil, nil // its file has gone, and with it the way to it
		}
		if err := os.Chmod(a.Addr, mode); err != nil {
			return nil, err
		}
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the socket that was handed over: %w", bare(err))
	}
	if path {
		return &UnixListener{UnixListener: l.(*net.UnixListener), path: a.Addr, info: info}, nil
	}
	return l, nil
}

// checkListening refuses what is not a listening stream socket: its Accept
// would fail for ever.
func checkListening(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if ctl := raw.Control(func(fd uintptr) {
		kind, kerr := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TYPE)
		listening, lerr := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		switch {
		case kerr != nil:
			err = fmt.Errorf("descriptor %d: %w", fd, kerr)
		case kind != syscall.SOCK_STREAM || lerr == nil && listening == 0:
			err = fmt.Errorf("descriptor %d is not a listening stream socket", fd)
		}
	}); ctl != nil {
		return ctl
	}
	return err
}

// SocketFile returns a descriptor of l's socket for another process: a
// duplicate, close-on-exec, in the mode it is in. Not l.File(): package os
// would put the socket, which l shares, into blocking mode when it is passed on.
func SocketFile(l net.Listener) (*os.File, error) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("listener %v has no descriptor", l.Addr())
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	syscall.ForkLock.RLock() // no child gets it before it is close-on-exec
	defer syscall.ForkLock.RUnlock()
	if ctl := raw.Control(func(s uintptr) {
		if fd, err = syscall.Dup(int(s)); err == nil {
			syscall.CloseOnExec(fd)
		}
	}); ctl != nil || err != nil {
		return nil, fmt.Errorf("share listener %v: %w", l.Addr(), errors.Join(ctl, err))
	}
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}

// Share returns another listener at l's socket: what waits there is accepted
// by either, and it is open until both are closed. The file of a unix socket
// stays l's to remove, until HandUnlink.
func Share(l net.Listener) (net.Listener, error) {
	f, err := SocketFile(l)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the listener has its own descriptor
	shared, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("share listener %v: %w", l.Addr(), bare(err))
	}
	if u, ok := l.(*UnixListener); ok {
		return &UnixListener{UnixListener: shared.(*net.UnixListener), path: u.path, info: u.info}, nil
	}
	return shared, nil
}

// HandOver is the value of SocketsVariable for a process that gets the
// sockets of these addresses, in their order, as descriptors from first on.
func HandOver(first int, addresses []Address) string {
	entries := make([]string, len(addresses))
	for i, a := range addresses {
		entries[i] = strconv.Itoa(first+i) + "=" + a.SocketName()
	}
	return strings.Join(entries, ":")
}
