//go:build unix

package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// backlog is how many connections may wait to be accepted. The kernel cuts it
// to its own limit (net.core.somaxconn, 4096 since Linux 5.4). For a unix
// socket a full backlog is EAGAIN to the client at once, so it is not small.
const backlog = 4096

func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if path[0] == '@' {
		return listenAbstract(path)
	}
	unlock := lockFolder(filepath.Dir(path))
	defer unlock()
	l, err := bindUnix(path, mode)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return bindUnix(path, mode)
}

func listenAbstract(name string) (net.Listener, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New(`abstract sockets are Linux's; want "unix:/path"`)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "unix", name)
	return l, bare(err)
}

// bindUnix binds, sets the mode, and only then listens: until then a connect
// is refused, so there is no moment at which the umask decides who gets in.
// It does not change the umask, which all threads share.
func bindUnix(path string, mode fs.FileMode) (net.Listener, error) {
	syscall.ForkLock.RLock() // no child gets the socket before it is close-on-exec
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// Linux makes the file with the rights of the socket, less the umask; others
	// refuse this, and have the moment until Chmod in which it has more.
	syscall.Fchmod(fd, uint32(mode.Perm()))
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // the listener has its own descriptor
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	l, err := serveUnix(f, fd, path, mode)
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	return l, nil
}

func serveUnix(f *os.File, fd int, path string, mode fs.FileMode) (net.Listener, error) {
	if err := os.Chmod(path, mode); err != nil {
		return nil, err
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return &UnixListener{UnixListener: l.(*net.UnixListener), path: path, info: info, unlink: true}, nil
}

// removeStale removes the file of a socket that nobody serves. It refuses
// whatever else is at path, a link to a socket among it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and not a socket: it is %s; remove it or choose another path", path, fileKind(info))
	}
	c, err := net.DialTimeout("unix", path, dialTimeout)
	if err == nil {
		c.Close()
		return syscall.EADDRINUSE
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, os.ErrDeadlineExceeded) {
		return syscall.EADDRINUSE // a full backlog is somebody's
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a socket is there, and whether it is served cannot be told: %w", bare(err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket of a dead process: %w", err)
	}
	return nil
}

// dialTimeout bounds the look whether a socket is served: a connect to a unix
// socket either succeeds or fails at once.
const dialTimeout = time.Second

func fileKind(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a folder"
	case fs.ModeSymlink:
		return "a symbolic link"
	}
	return "of mode " + strings.ToLower(info.Mode().String())
}

// lockFolder keeps two daemons that start together from each taking the
// other's socket, bound but not yet listening, for a stale one. Whoever may read a
// folder could hold the lock for ever: after lockWait, where anyone may write, and
// where locking does not work, it does without.
func lockFolder(dir string) (unlock func()) {
	none := func() {}
	f, err := os.Open(dir)
	if err != nil {
		return none // bind will say what is wrong with it
	}
	info, err := f.Stat()
	if err != nil || info.Mode().Perm()&0o002 != 0 || !lockWithin(f, lockWait) {
		f.Close()
		return none
	}
	return func() { f.Close() } // which unlocks
}

// lockWait is far longer than it takes to make a socket, lockLook how often a lock
// that another has is asked for: to wait for one in the kernel has no bound.
const (
	lockWait = 2 * time.Second
	lockLook = 5 * time.Millisecond
)

func lockWithin(f *os.File, within time.Duration) bool {
	for limit := time.Now().Add(within); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return true
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR || time.Now().After(limit) {
			return false
		}
		time.Sleep(lockLook)
	}
}

// A UnixListener is a listener at a path, which it removes when it is closed
// unless another socket stands there by then.
type UnixListener struct {
	*net.UnixListener
	path   string
	info   fs.FileInfo
	unlink bool
}

// SetUnlinkOnClose with false leaves the file for a process that inherits the
// socket. It must not be called at the same time as Close.
func (l *UnixListener) SetUnlinkOnClose(unlink bool) { l.unlink = unlink }

// HandUnlink has to remove the file of a unix socket, if from has, instead of
// from: both listen at it. It must not be called at the same time as a Close.
func HandUnlink(from, to net.Listener) {
	f, ok1 := from.(*UnixListener)
	t, ok2 := to.(*UnixListener)
	if ok1 && ok2 {
		f.unlink, t.unlink = false, f.unlink
	}
}

// Close stops listening and removes the socket's file.
func (l *UnixListener) Close() error {
	if l.unlink {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.info) {
			os.Remove(l.path)
		}
		l.unlink = false
	}
	return l.UnixListener.Close()
}
