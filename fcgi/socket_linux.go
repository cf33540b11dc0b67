package fcgi

import (
	"io"
	"net"
	"os"
	"syscall"
)

// A socket is a connection whose bytes are moved without the scheduler's being
// told of a system call on its way: a socket of Go's never blocks. Read and Write
// are each for one goroutine at a time.
type socket struct {
	halfConn
	raw syscall.RawConn

	// Of the one that reads.
	tryIn  func(fd uintptr) bool
	into   []byte
	behind []byte // goes on where into ends; nil: nothing does
	waits  func() // if not nil, is called before a read waits
	got    int
	inErr  error
	flight []byte // to be written first
	sent   int
	fresh  bool // nothing can be there to be read before that

	// Of the one that writes.
	tryOut     func(fd uintptr) bool
	tryOutList func(fd uintptr) bool
	from       []byte
	list       net.Buffers
	put        int
	outErr     error
}

// A halfConn is what net.UnixConn and net.TCPConn both are.
type halfConn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// maxDirect is how much is moved at once with the scheduler unaware of it, in
// bytes: the copy holds its place up.
const maxDirect = 64 << 10

// newSocket returns nil where nc is something else, or may only look like one. A
// connection that stays is worth more to set up; nc is not to be used any more.
func newSocket(nc net.Conn, stays bool) *socket {
	var half halfConn
	switch nc := nc.(type) {
	case *net.UnixConn:
		half = nc
		if stays {
			if q := newQuietConn(nc); q != nil {
				half = q
			}
		}
	case *net.TCPConn:
		half = nc
	default:
		return nil
	}
	raw, err := half.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{halfConn: half, raw: raw}
	s.tryIn, s.tryOut, s.tryOutList = s.in, s.out, s.outList
	return s
}

// quieten has the poller wake whoever reads for what arrives and for nothing else,
// where it can. Nobody else reads or writes meanwhile, and deadlines are to be set anew.
func (s *socket) quieten() bool {
	u, ok := s.halfConn.(*net.UnixConn)
	if !ok {
		return false
	}
	q := newQuietConn(u)
	if q == nil {
		return false
	}
	s.halfConn, s.raw = q, quietRaw{q}
	return true
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.into, s.got, s.inErr = p, 0, nil
	err := s.raw.Read(s.tryIn)
	if s.into = nil; err == nil {
		err = s.inErr
	}
	return s.got, err
}

// readBoth fills a and goes on with b, in one read.
func (s *socket) readBoth(a, b []byte) (int, error) {
	s.behind = b
	n, err := s.Read(a)
	s.behind = nil
	return n, err
}

// exchange writes flight and then reads. Nothing is read before it waits: what
// is sent for wakes it. Where sent is 0, nothing left; where it is less than all of
// flight, nothing was read, and err is why, or nil: the peer takes no more for now.
func (s *socket) exchange(flight, p []byte, fresh bool) (sent, n int, err error) {
	s.flight, s.sent, s.fresh = flight, 0, fresh
	n, err = s.Read(p)
	s.flight = nil
	return s.sent, n, err
}

func (s *socket) in(fd uintptr) bool {
	if s.flight != nil {
		return s.launch(fd)
	}
	for {
		n, err := readSocketBoth(fd, s.into, s.behind)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			if s.waits != nil {
				s.waits()
			}
			return false
		case n == 0 && err == nil:
			s.inErr = io.EOF
		case err != nil:
			s.inErr = s.failed("read", err)
		}
		s.got = max(n, 0)
		return true
	}
}

// launch writes the flight: in the reader's turn, so that the poller, which
// tells of a change only, was made ready before.
func (s *socket) launch(fd uintptr) bool {
	if !s.fresh {
		if _, err := readSocket(fd, s.into); err != syscall.EAGAIN {
			s.inErr = errStale
			return true
		}
	}
	for s.sent < len(s.flight) {
		n, err := writeSocket(fd, s.flight[s.sent:])
		switch err {
		case nil:
			s.sent += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			s.inErr = s.failed("write", err)
			return true
		}
	}
	s.flight = nil
	return false
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	if len(p) > maxDirect {
		return s.halfConn.Write(p)
	}
	s.from, s.put, s.outErr = p, 0, nil
	err := s.raw.Write(s.tryOut)
	if s.from = nil; err == nil {
		err = s.outErr
	}
	return s.put, err
}

func (s *socket) out(fd uintptr) bool {
	for s.put < len(s.from) {
		n, err := writeSocket(fd, s.from[s.put:])
		switch err {
		case nil:
			s.put += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			s.outErr = s.failed("write", err)
			return true
		}
	}
	return true
}

// writev writes all of v, and cuts what it has written off it.
func (s *socket) writev(v *net.Buffers) (int64, error) {
	s.list, s.put, s.outErr = *v, 0, nil
	err := s.raw.Write(s.tryOutList)
	if *v = s.list; err == nil {
		err = s.outErr
	}
	s.list = nil
	return int64(s.put), err
}

func (s *socket) outList(fd uintptr) bool {
	for len(s.list) > 0 {
		n, err := writeSocketList(fd, s.list)
		switch err {
		case nil:
			s.put += n
			s.cut(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			s.outErr = s.failed("writev", err)
			return true
		}
	}
	return true
}

// cut takes n bytes off the front of list.
func (s *socket) cut(n int) {
	for len(s.list) > 0 && n >= len(s.list[0]) {
		n -= len(s.list[0])
		s.list = s.list[1:]
	}
	if n > 0 {
		s.list[0] = s.list[0][n:]
	}
}

// roomyBuffer is the send buffer, in bytes, of a connection whose windows bound what
// is under way. With the system's own the sender of a large stream is woken
// several times a window.
const roomyBuffer = 1 << 20

// widen asks for a send buffer of that size; the system gives what it allows.
func (s *socket) widen() {
	if s.LocalAddr().Network() != "unix" {
		return // TCP tunes itself
	}
	_ = s.raw.Control(func(fd uintptr) { // without it all works, with more wake-ups
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, roomyBuffer)
	})
}

// failed makes an error of the system look as package net has it.
func (s *socket) failed(op string, err error) error {
	local := s.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}
