package fcgi

import "encoding/binary"

// Flow control for multiplexed connections: a FastCGI extension.
//
// FastCGI lets requests share a connection (§3.3) and says nothing about one
// of them whose reader stops: either it fills the receiver's memory or it stops
// all the others. So most applications refuse to multiplex. This extension gives
// each stream of each request a window, as HTTP/2 does (RFC 9113 §5.2). It
// changes nothing for a peer that does not ask for it.
//
// 1. Negotiation. Before its first request on a connection the web server sends
// FCGI_GET_VALUES (§4.1) with the pair FRONTD_FLOW=N, N in decimal, 1 to
// 2147483647: the bytes it grants at first to the FCGI_STDOUT stream of each
// request and, apart from it, to each FCGI_STDERR stream. An application that
// knows the extension answers FRONTD_FLOW=M in its FCGI_GET_VALUES_RESULT: the
// bytes it grants at first to each FCGI_STDIN stream and, apart from it, to each
// FCGI_DATA stream. From then on, for good, the connection is in flow mode, and
// FCGI_MPXS_CONNS in the same answer is 1. An application that does not know the
// extension, was asked during a request, or was given an impossible N leaves
// FRONTD_FLOW out, and the connection stays plain FastCGI. Asked once more in
// flow mode, the application gives the same answer and the first N stays. The
// web server sends no FCGI_BEGIN_REQUEST between its question and the answer.
//
// 2. Windows. A window counts content bytes of one stream of one request, not
// headers, not padding; the empty record that ends a stream needs none.
// FCGI_PARAMS is not flow-controlled: its receiver bounds it. Record type 64,
// FRONTD_WINDOW, with the id of the request, raises a window. Its content is
// eight bytes: the type of the stream (FCGI_STDIN, FCGI_DATA, FCGI_STDOUT or
// FCGI_STDERR), three reserved bytes, a 32-bit increment in network order. The
// web server grants STDOUT and STDERR, the application STDIN and DATA. A
// receiver grants what its consumer has taken, and may gather grants: this
// implementation grants when half a window was taken. A receiver may also grant
// more than was taken, to a stream whose consumer waits for its sender, and from
// the request's beginning: this implementation lets the windows of STDOUT and STDIN
// grow to 1 MiB each, and those of a connection by 1 MiB together (window.go).
//
// 3. Errors. These end the connection: content beyond a window, a window over
// 2147483647, an increment of zero, a stream type that the sender of the record
// does not receive, a FRONTD_WINDOW of another size. A FRONTD_WINDOW for an
// inactive id is ignored: it crossed the end of its request.
//
// 4. Ids. An id is free once FCGI_END_REQUEST was sent (by the application) or
// received (by the web server). After that neither side sends anything more for
// the old request. So nothing of an old request, a grant least of all, can be
// taken for the new one: the web server sends what it still has for the old one
// before the new FCGI_BEGIN_REQUEST or not at all; the application appends
// nothing to a request after its FCGI_END_REQUEST.
//
// 5. Broken responses. protocolStatus 64 in FCGI_END_REQUEST means: the response
// is incomplete; the web server must make the client see a failure. Plain
// FastCGI can say that only by closing the connection, which here would end
// requests that have nothing to do with it.
//
// 6. Reading and writing. A receiver must always read: it never waits, with a
// record in hand, for the consumer of a stream, since what the sender may send is
// bounded already. BEGIN, ABORT, END_REQUEST, FRONTD_WINDOW and management
// records need no window and are never held back behind a stream without one.
//
// 7. Input on demand. Apart from windows, an application may answer the pair
// FRONTD_HOLD=1 of FCGI_GET_VALUES with FRONTD_HOLD=1. A web server may then set the
// flag FRONTD_HOLD, 2, in FCGI_BEGIN_REQUEST: it sends no FCGI_STDIN for this request
// before it has read a FRONTD_WINDOW for it, and the application sends that one when
// it is first asked for input. In flow mode the window of the stream is zero until
// then; without it the record opens the stream once and for all, whatever its
// increment. So "100 Continue" goes to a client when the application asks for the
// body, and never if it does not. An application that ends the request without having
// asked gets no end of FCGI_STDIN; without flow mode the web server closes the connection.
//
// Why memory is bounded: a connection holds at most one window, as first granted, for
// each stream of each active request (two on the application's side), what the
// windows have grown by, the PARAMS of the requests not yet begun, and one bounded
// output buffer. Content of large records is kept in pieces of 64 KiB that are three
// quarters full at least. The number of requests is bounded
// by FCGI_MAX_REQS, above which a request is refused with FCGI_OVERLOADED. Control
// records are answers to the peer's own records; a peer that asks for more of them
// than it reads loses its connection.
//
// Why it cannot deadlock: both readers always come back to the socket, waiting
// only for a lock that nobody holds across I/O. So both sockets drain, and every
// blocked write ends. What a writer may still wait for is a window, and a window
// waits for one thing only, the consumer of that one stream; its grant travels as
// a control record, which is never behind data that waits for a window. So no two
// streams ever wait for each other, unless the two applications at their ends do.

// TypeWindow is FRONTD_WINDOW: a record that raises a window. Without the
// negotiation above it is an unknown type like any other.
const TypeWindow Type = 64

// StatusBroken is the protocolStatus of a request whose response is incomplete:
// the web server must make the client see a failure. Only in flow mode.
const StatusBroken ProtocolStatus = 64

// ValueFlow is the name that negotiates flow control with FCGI_GET_VALUES.
const ValueFlow = "FRONTD_FLOW"

// ValueHold is the name that negotiates input on demand, FlagHold the flag in
// FCGI_BEGIN_REQUEST that asks for it.
const (
	ValueHold = "FRONTD_HOLD"
	FlagHold  = 2
)

// DefaultWindow is the window, in bytes, that each side grants unless told otherwise.
// A grant comes for half of it: with a smaller one the two ends of a fast stream
// wake each other for every piece, with a larger one slow readers hold more memory,
// which is why it only grows for those that keep up.
const DefaultWindow = 256 << 10

// MaxWindow is what no window may exceed, in bytes.
const MaxWindow = 1<<31 - 1

// AppendWindow appends a record that raises the window of one stream of one
// request by increment bytes, 1 to MaxWindow.
func AppendWindow(dst []byte, id uint16, stream Type, increment uint32) []byte {
	dst = AppendHeader(dst, TypeWindow, id, 8)
	dst = append(dst, byte(stream), 0, 0, 0)
	return binary.BigEndian.AppendUint32(dst, increment)
}

// parseWindow reads the content of a FRONTD_WINDOW record.
func parseWindow(b []byte) (stream Type, increment uint32, err error) {
	if len(b) != 8 {
		return 0, 0, protocolErrorf("WINDOW of %d bytes, want 8", len(b))
	}
	increment = binary.BigEndian.Uint32(b[4:])
	if increment == 0 || increment > MaxWindow {
		return 0, 0, protocolErrorf("WINDOW increment of %d, want 1 to %d", increment, MaxWindow)
	}
	return Type(b[0]), increment, nil
}

// addWindow raises a window of n bytes by increment.
func addWindow(n int64, increment uint32) (int64, error) {
	if n += int64(increment); n > MaxWindow {
		return 0, protocolErrorf("window of %d bytes, at most %d allowed", n, MaxWindow)
	}
	return n, nil
}
