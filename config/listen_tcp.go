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
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, inUse(err, tcpOwner(hostPort))
	}
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

// inUse says who has the address, if that is known.
func inUse(err error, owner string) error {
	if owner == "" {
		return bare(err)
	}
	return fmt.Errorf("%w: %s has it", bare(err), owner)
}
