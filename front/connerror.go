package front

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// isConnError says whether err is the client's connection ending: closed,
// reset, or the stream of an HTTP/2 client cancelled (net/http reports that
// as an unexported type, but its request's context is cancelled too).
func isConnError(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.As(err, &op)
}
