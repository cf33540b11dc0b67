//go:build !linux

package http1

import "os"

// useSocket does nothing: a connection is waited for by the read of one byte.
func (c *conn) useSocket() {}

// peek waits until the connection has something to read. nil: bytes; io.EOF:
// the client's end.
func (c *conn) peek() error { return c.peekOne() }

// send writes all of p, or what can be until the deadline that is set.
func (c *conn) send(p []byte) (int, error) { return c.nc.Write(p) }

func (c *conn) sendBoth(pieces *[2][]byte) error { return plainBoth(c.nc, pieces) }

// sendFile leaves it to its caller to copy.
func (c *conn) sendFile(*os.File, int64) (sent int64, able bool, err error) { return 0, false, nil }
