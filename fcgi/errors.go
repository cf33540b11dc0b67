package fcgi

import (
	"errors"
	"fmt"
	"os"
)

// ErrTruncated means that the peer's connection ended before the thing being
// read did: a record, a stream, or a request without its FCGI_END_REQUEST.
// It is never io.EOF, so that a cut answer cannot be taken for a whole one.
var ErrTruncated = errors.New("fcgi: connection ended before the request did")

// A ProtocolError is a breach of the FastCGI specification by the peer. It
// ends the connection: nothing that follows on it can be trusted.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "fcgi: protocol error: " + e.Reason }

func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}

// A StatusError is a request refused by the application with a protocolStatus
// other than FCGI_REQUEST_COMPLETE (§5.5). It ends one request.
type StatusError struct{ Status ProtocolStatus }

func (e *StatusError) Error() string { return "fcgi: application refused: " + e.Status.String() }

// A ResponseError is an answer of the application that is not a CGI response
// (RFC 3875 §6). It ends one request.
type ResponseError struct{ Reason string }

func (e *ResponseError) Error() string { return "fcgi: bad response: " + e.Reason }

// ErrParamTooLarge is a name-value pair that does not fit one record. Some
// runtimes close the connection on a pair split over two, so none is sent.
var ErrParamTooLarge = errors.New("fcgi: name-value pair larger than one record (65528 bytes)")

// ErrAborted is what the reader of an aborted request gets: the web server
// sent FCGI_ABORT_REQUEST (§5.4) or its connection went away.
var ErrAborted = errors.New("fcgi: request aborted by the web server")

// ErrTimeout means that the application sent nothing for the time allowed.
var ErrTimeout = errors.New("fcgi: application sent nothing in the time allowed")

// A BodyError is a request body that could not be read from the client to its
// end. The application was told with FCGI_ABORT_REQUEST, never with an end of
// FCGI_STDIN.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "fcgi: read request body: " + e.Err.Error() }
func (e *BodyError) Unwrap() error { return e.Err }

// A DialError is an application that could not be reached: nothing of the
// request was sent.
type DialError struct{ Err error }

func (e *DialError) Error() string { return "fcgi: connect to application: " + e.Err.Error() }
func (e *DialError) Unwrap() error { return e.Err }

// isTimeout reports whether err is a deadline's.
func isTimeout(err error) bool { return os.IsTimeout(err) }
