//go:build !linux

package fcgi

import "net"

// A socket is what there is on Linux: elsewhere package net does.
type socket struct {
	net.Conn
	waits func()
}

func newSocket(net.Conn, bool) *socket { return nil }

func (s *socket) exchange(flight, p []byte, fresh bool) (sent, n int, err error) {
	if sent, err = s.Write(flight); err == nil {
		n, err = s.Read(p)
	}
	return sent, n, err
}

func (s *socket) readBoth(a, _ []byte) (int, error) { return s.Read(a) }

func (s *socket) writev(v *net.Buffers) (int64, error) { return v.WriteTo(s.Conn) }

func (s *socket) widen() {}

func (s *socket) quieten() bool { return false }
