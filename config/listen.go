package config

import (
	"fmt"
	"io/fs"
	"net"
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
// The error of an address in use says by whom, where the system tells.
func ListenMode(a Address, mode fs.FileMode) (net.Listener, error) {
	var l net.Listener
	var err error
	switch {
	case a.Net == "systemd":
		l, err = listenSystemd(a.Addr)
	case a.Net == "unix":
		l, err = listenUnix(a.Addr, mode)
	default:
		l, err = listenTCP(a.Addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	return l, nil
}
