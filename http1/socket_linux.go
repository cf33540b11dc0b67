package http1

import (
	"io"
	"os"
	"syscall"
)

// useSocket lets the connection be waited for without a buffer.
func (c *conn) useSocket() {
	sc, ok := c.nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	c.raw, c.try, c.tryOut, c.tryBoth = raw, c.tryRead, c.tryWrite, c.tryWriteBoth
}

// tryRead reads a head's first bytes if there are any, into an exchange that is
// taken for them only.
func (c *conn) tryRead(fd uintptr) bool {
	c.take()
	for {
		n, err := readSocket(fd, c.x.in)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.server.put(c.x)
			c.x = nil
			return false
		case n == 0 && err == nil:
			err = io.EOF
		}
		c.x.to, c.waitErr = max(n, 0), err
		return true
	}
}

// send writes all of p, or what can be until the deadline that is set.
func (c *conn) send(p []byte) (int, error) {
	if c.raw == nil {
		return c.nc.Write(p)
	}
	c.outgoing, c.sent, c.sendErr = p, 0, nil
	err := c.raw.Write(c.tryOut)
	if c.outgoing = nil; err == nil {
		err = c.sendErr
	}
	return c.sent, err
}

func (c *conn) tryWrite(fd uintptr) bool {
	for c.sent < len(c.outgoing) {
		n, err := writeSocket(fd, c.outgoing[c.sent:])
		switch err {
		case nil:
			c.sent += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			c.sendErr = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// sendBoth writes two pieces, and cuts what it has written off them.
func (c *conn) sendBoth(pieces *[2][]byte) error {
	if c.raw == nil {
		return plainBoth(c.nc, pieces)
	}
	c.both, c.sendErr = pieces, nil
	err := c.raw.Write(c.tryBoth)
	if c.both = nil; err == nil {
		err = c.sendErr
	}
	return err
}

func (c *conn) tryWriteBoth(fd uintptr) bool {
	p := c.both
	for len(p[0])+len(p[1]) > 0 {
		n, err := writeSocketBoth(fd, p)
		switch err {
		case nil:
			first := min(n, len(p[0]))
			p[0], p[1] = p[0][first:], p[1][n-first:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			c.sendErr = os.NewSyscallError("writev", err)
			return true
		}
	}
	return true
}

// maxSendfile bounds one call of sendfile, in bytes: the write deadline is for what
// the client takes meanwhile, and a shutdown comes through between two.
const maxSendfile = 1 << 20

// sendFile has the kernel send n bytes of f, a regular file, or what there is until
// its end or the deadline that is set. able is false where the system cannot.
func (c *conn) sendFile(f *os.File, n int64) (sent int64, able bool, err error) {
	src, err := f.SyscallConn()
	if err != nil {
		return 0, true, err
	}
	able, c.sendErr = true, nil
	var failed error
	err = c.raw.Write(func(fd uintptr) bool {
		done := true
		failed = src.Control(func(file uintptr) {
			done = c.sendSome(fd, file, n, &sent, &able)
		})
		return done
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = c.sendErr
	}
	return sent, able, err
}

// sendSome reports false where the client takes no more for now.
func (c *conn) sendSome(fd, file uintptr, n int64, sent *int64, able *bool) bool {
	for *sent < n {
		m, err := syscall.Sendfile(int(fd), int(file), nil, int(min(n-*sent, maxSendfile)))
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case *sent == 0 && (err == syscall.EINVAL || err == syscall.ENOSYS || err == syscall.EOPNOTSUPP):
			*able = false // this file system, or this kind of socket
			return true
		case err != nil:
			c.sendErr = os.NewSyscallError("sendfile", err)
			return true
		case m == 0:
			return true // the file's end
		default:
			*sent += int64(m)
		}
	}
	return true
}

// peek waits until the connection has something to read, and leaves it there.
// nil: bytes; io.EOF: the client's end.
func (c *conn) peek() error {
	if c.raw == nil {
		return c.peekOne()
	}
	var result error
	err := c.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		for {
			n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				return false
			case n == 0 && err == nil:
				err = io.EOF
			}
			result = err
			return true
		}
	})
	if err != nil {
		return err
	}
	return result
}
