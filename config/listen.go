package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// DefaultSocketMode lets the socket's owner and group connect, and nobody else.
const DefaultSocketMode fs.FileMode = 0o660

// Listen listens at a, with DefaultSocketMode for a unix socket.
func Listen(a Address) (net.Listener, error) { return ListenMode(a, DefaultSocketMode) }

// ListenMode listens at a. The file of a unix socket gets the mode before
// anyone can connect. A file left over by a daemon that died is replaced; a
// socket that somebody serves, and anything that is not a socket, is not
// touched. Closing the listener removes the file if it is still its own.
//
// A socket that this process was started with comes first: one that systemd
// holds, or that the frontd before this one handed over. It keeps the
// connections that wait in it.
//
// The error of an address in use says by whom, where the system tells.
func ListenMode(a Address, mode fs.FileMode) (net.Listener, error) {
	l, err := listenAny(a, mode)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, owned(err, a))
	}
	return l, nil
}

func listenAny(a Address, mode fs.FileMode) (net.Listener, error) {
	if f := inheritedSockets().take(a.SocketName()); f != nil {
		l, err := listenInherited(a, f, mode)
		if l != nil || err != nil {
			return l, err
		}
	}
	if a.Net == "systemd" {
		return nil, missingSystemd(a.Addr)
	}
	return insist(func() (net.Listener, error) { return listenOnce(a, mode) }, time.Sleep)
}

// insist opens what may be in use for a moment longer.
func insist(open func() (net.Listener, error), pause func(time.Duration)) (net.Listener, error) {
	for waited := time.Duration(0); ; waited += leftoverLook {
		l, err := open()
		if !errors.Is(err, syscall.EADDRINUSE) || waited >= leftover {
			return l, err
		}
		pause(leftoverLook)
	}
}

// leftover is how long an address in use is asked for again, each leftoverLook:
// where a frontd was killed a moment ago, a process that it was about to start
// has its sockets until it becomes another program.
const (
	leftover     = 500 * time.Millisecond
	leftoverLook = 20 * time.Millisecond
)

func listenOnce(a Address, mode fs.FileMode) (net.Listener, error) {
	if a.Net == "unix" {
		return listenUnix(a.Addr, mode)
	}
	return listenTCP(a.Addr)
}
