// Package fcgi speaks FastCGI 1.0 from both ends: as the web server that
// sends requests to an application, and as the application that answers them.
//
// References of the form §3.3 are to the FastCGI Specification 1.0
// (Mark R. Brown, Open Market, 29 April 1996).
package fcgi

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes of the wire format.
const (
	Version    = 1     // FCGI_VERSION_1 (§8)
	HeaderLen  = 8     // FCGI_HEADER_LEN (§8): bytes in a record's header
	MaxContent = 65535 // FCGI_MAX_LENGTH (§8): bytes of content in one record
	maxPadding = 255   // §3.3: paddingLength is one byte

	// ManagementID is FCGI_NULL_REQUEST_ID (§8): the id of management records.
	ManagementID = 0

	maxRequestID = 1<<16 - 1 // §3.3: requestId is two bytes
)

// maxFilled is how much content a record of ours has at most: more would be
// padded to over 65535 bytes, which php-cgi and php-fpm refuse.
const maxFilled = MaxContent &^ 7

// A Type is a record type (§8).
type Type uint8

// Record types (§8).
const (
	TypeBeginRequest    Type = 1  // FCGI_BEGIN_REQUEST, §5.1
	TypeAbortRequest    Type = 2  // FCGI_ABORT_REQUEST, §5.4
	TypeEndRequest      Type = 3  // FCGI_END_REQUEST, §5.5
	TypeParams          Type = 4  // FCGI_PARAMS, §5.2
	TypeStdin           Type = 5  // FCGI_STDIN, §5.3
	TypeStdout          Type = 6  // FCGI_STDOUT, §5.3
	TypeStderr          Type = 7  // FCGI_STDERR, §5.3
	TypeData            Type = 8  // FCGI_DATA, §5.3, the Filter role only
	TypeGetValues       Type = 9  // FCGI_GET_VALUES, §4.1
	TypeGetValuesResult Type = 10 // FCGI_GET_VALUES_RESULT, §4.1
	TypeUnknownType     Type = 11 // FCGI_UNKNOWN_TYPE, §4.2
)

var typeNames = [...]string{
	TypeBeginRequest: "BEGIN_REQUEST", TypeAbortRequest: "ABORT_REQUEST", TypeEndRequest: "END_REQUEST",
	TypeParams: "PARAMS", TypeStdin: "STDIN", TypeStdout: "STDOUT", TypeStderr: "STDERR", TypeData: "DATA",
	TypeGetValues: "GET_VALUES", TypeGetValuesResult: "GET_VALUES_RESULT", TypeUnknownType: "UNKNOWN_TYPE",
}

func (t Type) String() string {
	if t == TypeWindow { // of the extension in flowspec.go
		return "FRONTD_WINDOW"
	}
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("UNKNOWN(%d)", uint8(t))
}

// A Role is what the application is asked to be (§6).
type Role uint16

// Roles (§6, §8).
const (
	RoleResponder  Role = 1 // FCGI_RESPONDER, §6.2
	RoleAuthorizer Role = 2 // FCGI_AUTHORIZER, §6.3
	RoleFilter     Role = 3 // FCGI_FILTER, §6.4
)

func (r Role) String() string {
	switch r {
	case RoleResponder:
		return "RESPONDER"
	case RoleAuthorizer:
		return "AUTHORIZER"
	case RoleFilter:
		return "FILTER"
	}
	return fmt.Sprintf("UNKNOWN(%d)", uint16(r))
}

// FlagKeepConn is FCGI_KEEP_CONN (§5.1): the application leaves the
// connection open after the request; the web server closes it.
const FlagKeepConn = 1

// A ProtocolStatus says how the application's end of the protocol fared (§5.5).
type ProtocolStatus uint8

// Protocol statuses (§5.5, §8).
const (
	StatusRequestComplete ProtocolStatus = 0 // FCGI_REQUEST_COMPLETE
	StatusCantMultiplex   ProtocolStatus = 1 // FCGI_CANT_MPX_CONN: one request a connection, please
	StatusOverloaded      ProtocolStatus = 2 // FCGI_OVERLOADED: out of some resource
	StatusUnknownRole     ProtocolStatus = 3 // FCGI_UNKNOWN_ROLE
)

func (s ProtocolStatus) String() string {
	switch s {
	case StatusRequestComplete:
		return "REQUEST_COMPLETE"
	case StatusCantMultiplex:
		return "CANT_MPX_CONN"
	case StatusOverloaded:
		return "OVERLOADED"
	case StatusUnknownRole:
		return "UNKNOWN_ROLE"
	case StatusBroken: // of the extension in flowspec.go
		return "FRONTD_BROKEN"
	}
	return fmt.Sprintf("UNKNOWN(%d)", uint8(s))
}

// Names asked for with FCGI_GET_VALUES (§4.1).
const (
	ValueMaxConns = "FCGI_MAX_CONNS"
	ValueMaxReqs  = "FCGI_MAX_REQS"
	ValueMpxsConn = "FCGI_MPXS_CONNS"
)

// A Header is a record's header (§3.3).
type Header struct {
	Type          Type
	ID            uint16
	ContentLength uint16
	PaddingLength uint8
	// The reserved byte is ignored when read and zero when written.
}

func (h Header) String() string {
	return fmt.Sprintf("%v id=%d len=%d pad=%d", h.Type, h.ID, h.ContentLength, h.PaddingLength)
}

// padding returns what makes a record's length a multiple of eight, as §3.3 recommends.
func padding(contentLength int) int { return -contentLength & 7 }

// AppendHeader appends a record's header. The caller appends the content and
// then padding(contentLength) bytes. contentLength is at most MaxContent.
func AppendHeader(dst []byte, t Type, id uint16, contentLength int) []byte {
	return append(dst, Version, byte(t), byte(id>>8), byte(id),
		byte(contentLength>>8), byte(contentLength), byte(padding(contentLength)), 0)
}

var zeros [8]byte

// AppendRecord appends one whole record. len(content) is at most MaxContent.
func AppendRecord(dst []byte, t Type, id uint16, content []byte) []byte {
	dst = AppendHeader(dst, t, id, len(content))
	dst = append(dst, content...)
	return append(dst, zeros[:padding(len(content))]...)
}

// AppendStream appends content as as many records as it takes, none of them
// empty: an empty record ends a stream (§3.3) and is asked for with AppendRecord.
func AppendStream(dst []byte, t Type, id uint16, content []byte) []byte {
	for len(content) > 0 {
		n := min(len(content), maxFilled)
		dst = AppendRecord(dst, t, id, content[:n])
		content = content[n:]
	}
	return dst
}

// AppendBeginRequest appends an FCGI_BEGIN_REQUEST record (§5.1).
func AppendBeginRequest(dst []byte, id uint16, role Role, flags uint8) []byte {
	dst = AppendHeader(dst, TypeBeginRequest, id, 8)
	return append(dst, byte(role>>8), byte(role), flags, 0, 0, 0, 0, 0)
}

// AppendEndRequest appends an FCGI_END_REQUEST record (§5.5).
func AppendEndRequest(dst []byte, id uint16, appStatus uint32, status ProtocolStatus) []byte {
	dst = AppendHeader(dst, TypeEndRequest, id, 8)
	dst = binary.BigEndian.AppendUint32(dst, appStatus)
	return append(dst, byte(status), 0, 0, 0)
}

// AppendUnknownType appends an FCGI_UNKNOWN_TYPE record (§4.2).
func AppendUnknownType(dst []byte, t Type) []byte {
	dst = AppendHeader(dst, TypeUnknownType, ManagementID, 8)
	return append(dst, byte(t), 0, 0, 0, 0, 0, 0, 0)
}

// parseBeginRequest reads the body of FCGI_BEGIN_REQUEST (§5.1).
func parseBeginRequest(b []byte) (role Role, flags uint8, err error) {
	if len(b) != 8 {
		return 0, 0, protocolErrorf("BEGIN_REQUEST of %d bytes, want 8 (§5.1)", len(b))
	}
	return Role(binary.BigEndian.Uint16(b)), b[2], nil
}

// parseEndRequest reads the body of FCGI_END_REQUEST (§5.5).
func parseEndRequest(b []byte) (appStatus uint32, status ProtocolStatus, err error) {
	if len(b) != 8 {
		return 0, 0, protocolErrorf("END_REQUEST of %d bytes, want 8 (§5.5)", len(b))
	}
	return binary.BigEndian.Uint32(b), ProtocolStatus(b[4]), nil
}

// truncated makes an end in the middle of something unmistakable.
func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrTruncated
	}
	return err
}
