//go:build !linux

package fcgi

import "net"

// A socket is what there is on Linux: elsewhere package net does.
type socket struct{ net.Conn }

func newSocket(net.Conn, bool) *socket { return nil }

func (s *socket) exchange(flight, p []byte, fresh bool) (sent, n int, err error) {
	if sent, err = s.Write(flight); err == nil {
		n, err = s.Read(p)
	}
	return sent, n, err
}
