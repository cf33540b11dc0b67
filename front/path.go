package front

import (
	"errors"
	"strings"
)

// A cleanPath is a path that routing, files and PATH_INFO may be derived from.
type cleanPath struct {
	decoded      string // what the application gets
	route        string // the same, an encoded slash in it still "%2F"
	encodedSlash bool   // a segment has %2F or %5C
}

// Reasons for refusing a path.
var (
	errPathForm    = errors.New("path does not start with a slash")
	errPathEscape  = errors.New("path leads above the root")
	errPathControl = errors.New("control byte in path")
	errPathPercent = errors.New("malformed percent-encoding in path")
	errPathSlash   = errors.New("backslash in path")
	errPathHidden  = errors.New("dot segment behind an encoded slash")
)

// normalizePath decodes a path as it stands in the request target and
// resolves it (RFC 3986 §5.2.4) once, before anything is decided by it:
//
//   - dot segments, plain or encoded, are resolved; above the root is an error,
//     not the root, for no honest client sends that;
//   - empty segments are merged: "//evil" is "/evil";
//   - an encoded slash or backslash (%2F, %5C) is data within its segment and
//     never separates segments in routing; a dot segment beside it is an error,
//     because an application that decodes once more would resolve it;
//   - a plain backslash and control bytes, encoded or not, are errors.
//
// REQUEST_URI stays as it was sent.
func normalizePath(raw string) (cleanPath, error) {
	if raw == "" || raw[0] != '/' {
		return cleanPath{}, errPathForm
	}
	if pathIsClean(raw) {
		return cleanPath{decoded: raw, route: raw}, nil
	}
	var segments []segment
	var encodedSlash, trailing bool
	for part := range strings.SplitSeq(raw[1:], "/") {
		s, err := decodeSegment(part)
		if err != nil {
			return cleanPath{}, err
		}
		trailing = false
		switch s.decoded {
		case "", ".":
			trailing = true
		case "..":
			if len(segments) == 0 {
				return cleanPath{}, errPathEscape
			}
			segments = segments[:len(segments)-1]
			trailing = true
		default:
			segments = append(segments, s)
		}
	}
	var decoded, route strings.Builder
	for _, s := range segments {
		decoded.WriteString("/" + s.decoded)
		route.WriteString("/" + s.route)
		encodedSlash = encodedSlash || s.encodedSlash
	}
	if trailing || len(segments) == 0 {
		decoded.WriteByte('/')
		route.WriteByte('/')
	}
	return cleanPath{decoded.String(), route.String(), encodedSlash}, nil
}

// pathIsClean spares most requests the work: nothing to decode or resolve.
func pathIsClean(raw string) bool {
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '%', c == '\\', c < ' ', c == 0x7f:
			return false
		case c == '/' && i+1 < len(raw) && (raw[i+1] == '/' || raw[i+1] == '.'):
			return false
		}
	}
	return true
}

type segment struct {
	decoded, route string
	encodedSlash   bool
}

func decodeSegment(part string) (segment, error) {
	if strings.IndexByte(part, '\\') >= 0 {
		return segment{}, errPathSlash
	}
	decoded, err := unescape(part)
	if err != nil {
		return segment{}, err
	}
	for _, c := range []byte(decoded) {
		if c < ' ' || c == 0x7f {
			return segment{}, errPathControl
		}
	}
	if !strings.ContainsAny(decoded, `/\`) {
		return segment{decoded: decoded, route: decoded}, nil
	}
	for piece := range strings.FieldsFuncSeq(decoded, isSlash) {
		if piece == "." || piece == ".." {
			return segment{}, errPathHidden
		}
	}
	return segment{decoded, strings.ReplaceAll(decoded, "/", "%2F"), true}, nil
}

func isSlash(r rune) bool { return r == '/' || r == '\\' }

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errPathPercent
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi < 0 || lo < 0 {
			return "", errPathPercent
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
