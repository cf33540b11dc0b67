package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// backlog is how many connections wait to be accepted. It is what a worker's
// crash and restart may pile up; the kernel caps it (net.core.somaxconn).
const backlog = 511

// maxSocketPath is the longest path of a unix socket, without its final NUL:
// 107 bytes on Linux.
var maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// A Socket is a listening unix socket that is given to workers. Its file is in
// blocking mode and Go's poller never sees it: programs that take it as their
// fd 0 expect accept to wait, and the mode is shared with them.
type Socket struct {
	file     *os.File
	path     string
	dev, ino uint64
}

// File is what goes into Spec.Listener. It belongs to the Socket.
func (s *Socket) File() *os.File { return s.file }

// Path is where it listens.
func (s *Socket) Path() string { return s.path }

// Close closes our copy of the socket and removes its path, if what is there
// is still our own. Copies in running workers stay open.
func (s *Socket) Close() error {
	if dev, ino, err := inode(s.path); err == nil && dev == s.dev && ino == s.ino {
		os.Remove(s.path)
	}
	return s.file.Close()
}

// ListenUnix makes a listening unix socket with the given permissions, at most
// which it ever has. A dead socket at path is replaced; one that a process
// listens on, and anything that is no socket, is an error and is left alone.
// Sockets made at the same time in one directory take turns, so that none is
// taken for dead between its making and its first listen; a turn that does not
// come within lockWait is an error, for whoever may read a directory may lock it.
func ListenUnix(path string, mode os.FileMode) (*Socket, error) {
	if err := checkSocketPath(path); err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	defer dir.Close() // and with it the lock
	if err := flock(dir, lockWait); err != nil {
		return nil, fmt.Errorf("socket %s: lock its directory: %w", path, err)
	}
	if err := removeDead(path); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	fd, err := unixSocket()
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	s := &Socket{file: os.NewFile(uintptr(fd), path), path: path}
	if err := s.listen(fd, mode.Perm()); err != nil {
		s.file.Close()
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return s, nil
}

func checkSocketPath(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("socket %s: path of %d bytes, at most %d allowed", path, len(path), maxSocketPath)
	}
	return nil
}

func (s *Socket) listen(fd int, mode os.FileMode) error {
	// On Linux the file that bind makes has the socket's own mode, less the
	// umask; so it is never open to more than mode. Elsewhere this fails, and
	// the directory has to see to it. The umask is the process's: changing it
	// would change it for others too.
	syscall.Fchmod(fd, uint32(mode))
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: s.path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	var err error
	if s.dev, s.ino, err = inode(s.path); err != nil {
		return err
	}
	if err = os.Chmod(s.path, mode); err == nil { // what the umask took
		err = os.NewSyscallError("listen", syscall.Listen(fd, backlog))
	}
	if err != nil {
		os.Remove(s.path)
	}
	return err
}

// listenPrivate makes a socket that only our own user can connect to, in a
// directory that only our own user can enter.
func listenPrivate(path string) (*Socket, error) {
	if err := checkSocketPath(path); err != nil {
		return nil, err // before a directory is made for it
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("socket directory: %w", err)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("socket directory: %w", err)
	}
	st := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() || fi.Mode().Perm()&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("socket directory %s: %v of user %d, want a directory of user %d with mode 0700",
			dir, fi.Mode(), st.Uid, os.Geteuid())
	}
	return ListenUnix(path, 0o600)
}

// removeDead removes a socket that nobody listens on. Nothing there is fine.
func removeDead(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("there is something that is no socket (%v); it is left alone", fi.Mode())
	}
	fd, err := unixSocket()
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	syscall.SetNonblock(fd, true) // a full backlog must not hold us up: EAGAIN, and it lives
	switch err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err {
	case syscall.ECONNREFUSED, syscall.ENOENT:
		return os.Remove(path)
	case nil, syscall.EAGAIN, syscall.EINPROGRESS:
		return errors.New("another process listens on it")
	default: // EPROTOTYPE is a datagram socket, EACCES somebody else's
		return fmt.Errorf("there is a socket that cannot be asked whether it lives: %w", err)
	}
}

func unixSocket() (int, error) {
	syscall.ForkLock.RLock() // no fork between the two
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	syscall.CloseOnExec(fd)
	return fd, nil
}

// lockWait is far longer than it takes to make a socket, lockLook how often a lock
// that another has is asked for: to wait for one in the kernel has no bound.
const (
	lockWait = 10 * time.Second
	lockLook = 5 * time.Millisecond
)

func flock(f *os.File, within time.Duration) error {
	limit := time.Now().Add(within)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err != syscall.EWOULDBLOCK && err != syscall.EINTR:
			return err
		case time.Now().After(limit):
			return fmt.Errorf("another process has it for %v by now", within)
		}
		time.Sleep(lockLook)
	}
}

func inode(path string) (dev, ino uint64, err error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return 0, 0, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return uint64(st.Dev), uint64(st.Ino), nil
}

// setBlocking puts a listening socket into blocking mode; nil is fine.
func setBlocking(f *os.File) error {
	if f == nil {
		return nil
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("shared listener: %w", err)
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = syscall.SetNonblock(int(fd), false) }); err != nil {
		inner = err
	}
	if inner != nil {
		return fmt.Errorf("shared listener: %w", inner)
	}
	return nil
}
