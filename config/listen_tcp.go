package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

func listenTCP(hostPort string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", hostPort)
	return l, bare(err)
}

// bare returns what the system said, without the address that stands before it anyway.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// owned says who has an address that is in use, if that is known. It looks at
// every process, so it comes when nothing is tried any more.
func owned(err error, a Address) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	owner := tcpOwner
	if a.Net == "unix" {
		owner = unixOwner
	}
	if by := owner(a.Addr); by != "" {
		return fmt.Errorf("%w: %s has it", err, by)
	}
	return err
}
