//go:build !linux

package front

import "net"

// boundUnsent does nothing: what is not sent has the system's own bound.
func boundUnsent(net.Conn) {}
