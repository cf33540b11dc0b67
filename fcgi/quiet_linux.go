package fcgi

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A quietConn is a unix socket whose reader is woken by what arrives, and by
// nothing else. Go's poller asks of every socket also to be told when it can be
// written to, and a unix socket tells that each time its peer has read: for every
// request the worker takes, a thread would wake up, find nothing to do, and sleep
// again. So the poller is not given the socket but an epoll instance in which the
// socket is registered for reading alone (epoll(7): an epoll descriptor can be
// waited for as any other), and one for writing only when a write has to wait.
type quietConn struct {
	// Immutable.
	local, remote net.Addr
	in            *os.File // the epoll instance that tells of arrivals
	inRaw         syscall.RawConn
	tryIn         func(uintptr) bool

	reading func(fd uintptr) bool // owned by the one that reads

	// Held shared while fd is used, which is never for long: no call on it waits.
	open sync.RWMutex
	fd   int // -1: closed

	mu      sync.Mutex // guards the fields below
	room    *os.File   // the epoll instance that tells of room; nil: no write had to wait yet
	writeBy time.Time  // the write deadline, for room when it is made
}

// newQuietConn makes a quietConn of nc, which is not to be used any more, or returns
// nil and leaves nc as it is where the system has not what it takes. It costs three
// descriptors for a moment and two for good, so it is for connections that stay.
func newQuietConn(nc *net.UnixConn) *quietConn {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	if err := raw.Control(func(s uintptr) { fd = duplicate(s) }); err != nil || fd < 0 {
		return nil
	}
	in := watch(fd, syscall.EPOLLIN|syscall.EPOLLRDHUP)
	if in == nil {
		syscall.Close(fd)
		return nil
	}
	q := &quietConn{local: nc.LocalAddr(), remote: nc.RemoteAddr(), in: in, fd: fd}
	if q.inRaw, err = in.SyscallConn(); err != nil {
		in.Close()
		syscall.Close(fd)
		return nil
	}
	q.tryIn = func(uintptr) bool { return q.with(q.reading) }
	nc.Close() // of its own descriptor, and its place in the poller: the socket stays
	return q
}

func duplicate(fd uintptr) int {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1
	}
	return int(n)
}

// watch returns a new epoll instance in which fd is registered, or nil.
func watch(fd int, events uint32) *os.File {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	err = syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
	if err == nil {
		err = syscall.SetNonblock(ep, true) // what tells package os that it can be waited for
	}
	if err != nil {
		syscall.Close(ep)
		return nil
	}
	f := os.NewFile(uintptr(ep), "epoll")
	if f.SetDeadline(time.Time{}) != nil { // the poller has not taken it
		f.Close()
		return nil
	}
	return f
}

// with calls f with the descriptor, as it cannot be closed meanwhile. It reports
// whether f is done, and true without it where the connection is closed.
func (q *quietConn) with(f func(uintptr) bool) bool {
	q.open.RLock()
	defer q.open.RUnlock()
	return q.fd < 0 || f(uintptr(q.fd))
}

// SyscallConn implements syscall.Conn. Read and Write of what it returns are
// each for one goroutine at a time.
func (q *quietConn) SyscallConn() (syscall.RawConn, error) { return quietRaw{q}, nil }

type quietRaw struct{ q *quietConn }

func (r quietRaw) Control(f func(fd uintptr)) error {
	if !r.q.isOpen() {
		return r.q.failed("raw-control", net.ErrClosed)
	}
	r.q.with(func(fd uintptr) bool { f(fd); return true })
	return nil
}

func (r quietRaw) Read(f func(fd uintptr) bool) error {
	q := r.q
	q.reading = f
	err := q.inRaw.Read(q.tryIn)
	q.reading = nil
	return q.ended("raw-read", err)
}

func (r quietRaw) Write(f func(fd uintptr) bool) error {
	q := r.q
	if q.with(f) {
		return q.ended("raw-write", nil)
	}
	room, err := q.waitsForRoom()
	if err != nil {
		return q.failed("raw-write", err)
	}
	var unarmed error
	err = room.Read(func(ep uintptr) bool {
		return q.with(func(fd uintptr) bool {
			if f(fd) {
				return true
			}
			unarmed = arm(int(ep), int(fd))
			return unarmed != nil
		})
	})
	if err == nil {
		err = unarmed
	}
	return q.ended("raw-write", err)
}

// waitsForRoom returns what a write waits with.
func (q *quietConn) waitsForRoom() (syscall.RawConn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open.RLock()
	defer q.open.RUnlock()
	if q.fd < 0 {
		return nil, net.ErrClosed
	}
	if q.room == nil {
		if q.room = watch(q.fd, syscall.EPOLLONESHOT); q.room == nil { // nothing, until it is armed
			return nil, syscall.EMFILE
		}
		if err := q.room.SetReadDeadline(q.writeBy); err != nil {
			return nil, err
		}
	}
	return q.room.SyscallConn()
}

// arm has ep tell of room once: at once if there is some.
func arm(ep, fd int) error {
	e := syscall.EpollEvent{Events: syscall.EPOLLOUT | syscall.EPOLLONESHOT, Fd: int32(fd)}
	return syscall.EpollCtl(ep, syscall.EPOLL_CTL_MOD, fd, &e)
}

func (q *quietConn) isOpen() bool {
	q.open.RLock()
	defer q.open.RUnlock()
	return q.fd >= 0
}

// ended returns what package net says of a call that ended with err.
func (q *quietConn) ended(op string, err error) error {
	switch {
	case !q.isOpen():
		return q.failed(op, net.ErrClosed)
	case err != nil:
		return q.failed(op, err)
	}
	return nil
}

func (q *quietConn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: q.local.Network(), Source: q.local, Addr: q.remote, Err: err}
}

// Read implements net.Conn.
func (q *quietConn) Read(p []byte) (n int, err error) {
	return q.move("read", quietRaw{q}.Read, syscall.Read, p)
}

// Write implements net.Conn.
func (q *quietConn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = q.move("write", quietRaw{q}.Write, syscall.Write, p[n:])
		n += m
	}
	return n, err
}

func (q *quietConn) move(op string, wait func(func(uintptr) bool) error, call func(int, []byte) (int, error), p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var failure error
	err := wait(func(fd uintptr) bool {
		for {
			n, failure = call(int(fd), p)
			if failure != syscall.EINTR {
				return failure != syscall.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case failure != nil:
		return 0, q.failed(op, os.NewSyscallError(op, failure))
	case n == 0 && op == "read":
		return 0, io.EOF
	}
	return n, nil
}

// Close implements net.Conn. Whoever waits for the connection is woken.
func (q *quietConn) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open.Lock()
	fd := q.fd
	q.fd = -1
	q.open.Unlock()
	if fd < 0 {
		return q.failed("close", net.ErrClosed)
	}
	err := syscall.Close(fd)
	q.in.Close()
	if q.room != nil {
		q.room.Close()
	}
	if err != nil {
		return q.failed("close", os.NewSyscallError("close", err))
	}
	return nil
}

// CloseWrite ends what is sent to the peer.
func (q *quietConn) CloseWrite() error {
	err := net.ErrClosed
	q.with(func(fd uintptr) bool {
		err = os.NewSyscallError("shutdown", syscall.Shutdown(int(fd), syscall.SHUT_WR))
		return true
	})
	if err != nil {
		return q.failed("close", err)
	}
	return nil
}

// LocalAddr implements net.Conn.
func (q *quietConn) LocalAddr() net.Addr { return q.local }

// RemoteAddr implements net.Conn.
func (q *quietConn) RemoteAddr() net.Addr { return q.remote }

// SetDeadline implements net.Conn.
func (q *quietConn) SetDeadline(t time.Time) error {
	if err := q.SetReadDeadline(t); err != nil {
		return err
	}
	return q.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (q *quietConn) SetReadDeadline(t time.Time) error {
	return q.ended("set", q.in.SetReadDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (q *quietConn) SetWriteDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writeBy = t
	if q.room == nil {
		return q.ended("set", nil)
	}
	return q.ended("set", q.room.SetReadDeadline(t))
}
