package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/frontd/frontd/app"
)

// socketUmask leaves a socket open to its owner and its group (0660): whoever
// can write to it can have the application run.
const socketUmask = 0o117

// dialTimeout bounds asking whether somebody serves a socket.
const dialTimeout = 2 * time.Second

// A listener is a net.Listener that removes its own socket file, and no other's.
type listener struct {
	net.Listener
	path string      // "": nothing to remove
	file os.FileInfo // as it was made
}

// listen binds to ADDRESS. A file left over by a process that is gone is
// replaced; a socket in use, or a file of another kind, is an error.
func listen(ctx context.Context, address string) (*listener, error) {
	network, name, err := app.ParseAddress(address)
	if err != nil {
		return nil, &UsageError{err}
	}
	if network != "unix" || strings.HasPrefix(name, "@") {
		l, err := new(net.ListenConfig).Listen(ctx, network, name)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		return &listener{Listener: l}, nil
	}
	l, err := listenFile(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// listenFile binds to a path. Its folder is locked meanwhile: of two that
// find the same stale file, the second would otherwise remove the first one's
// new socket.
func listenFile(ctx context.Context, path string) (*listener, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close() // which also unlocks it
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	// The umask is the process's: this is done before anything else runs.
	before := syscall.Umask(socketUmask)
	defer syscall.Umask(before)
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it would remove whatever is there by then
	file, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, err
	}
	return &listener{Listener: l, path: path, file: file}, nil
}

func removeStale(ctx context.Context, path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode().Type() != fs.ModeSocket:
		return errors.New("a file that is not a socket is there; it is left alone")
	}
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		nc.Close()
		return errors.New("another process listens there")
	case errors.Is(err, syscall.EAGAIN): // a full queue is somebody's
		return errors.New("another process listens there, and is busy")
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("find out whether another process listens there: %w", err)
	}
	return os.Remove(path)
}

// Close closes the listener and removes its file, unless another has been put
// there since.
func (l *listener) Close() error {
	err := l.Listener.Close()
	if l.path == "" {
		return err
	}
	now, statErr := os.Lstat(l.path)
	if statErr != nil || !os.SameFile(now, l.file) {
		return err
	}
	return errors.Join(err, os.Remove(l.path))
}

// toStandardInput makes the socket the process's descriptor 0 (FastCGI §2.2),
// for the program that replaces this process.
func (l *listener) toStandardInput() error {
	c, ok := l.Listener.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T has no descriptor", l.Listener)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var dupErr error
	if err := raw.Control(func(fd uintptr) { dupErr = dup2(int(fd), 0) }); err != nil {
		return err
	}
	if dupErr != nil {
		return fmt.Errorf("move the socket to standard input: %w", dupErr)
	}
	return nil
}

// stdinListens reports whether descriptor 0 is a listening socket. FastCGI
// §2.2 asks for getpeername's ENOTCONN, which is also that of a socket which
// was only made.
func stdinListens() bool {
	n, err := syscall.GetsockoptInt(0, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	return err == nil && n != 0
}
