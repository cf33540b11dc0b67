package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// ErrNoSocket means that file descriptor 0 is not a listening socket, as it is
// for a program that was started from a shell or as a CGI program.
var ErrNoSocket = errors.New("worker: fd 0 is not a listening socket: " +
	"start it by \"frontd serve go:PROGRAM\" or spawn-fcgi, or give it an address")

// listen opens an address, or takes file descriptor 0 for the empty one.
func listen(addr string) (net.Listener, error) {
	if addr == "" {
		return inherited(os.Stdin)
	}
	network, address := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, address = "unix", path
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("worker: listen on %s: %w", addr, err)
	}
	return l, nil
}

// inherited makes a listener of a socket that the parent process opened. f stays
// open: a later file at descriptor 0 would be the standard input of children.
func inherited(f *os.File) (net.Listener, error) {
	if !isListening(f) {
		return nil, ErrNoSocket
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("worker: take over fd 0: %w", err)
	}
	return l, nil
}

// allowedPeers reads FCGI_WEB_SERVER_ADDRS (FastCGI §3.2): addresses, separated
// by commas. The empty value means any peer.
func allowedPeers(list string) ([]netip.Addr, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var peers []netip.Addr
	for _, s := range strings.Split(list, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil {
			// A list that cannot be read must not become "any".
			return nil, fmt.Errorf("worker: FCGI_WEB_SERVER_ADDRS: %w", err)
		}
		peers = append(peers, a.Unmap())
	}
	return peers, nil
}
