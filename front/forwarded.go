package front

import (
	"errors"
	"strings"
)

// A forwardedElement is what one proxy tells (RFC 7239 §4), nearest last.
type forwardedElement struct{ node, proto, host string }

var errForwarded = errors.New("malformed")

// parseForwarded reads the Forwarded field (RFC 7239 §4). A parameter that
// occurs twice in an element is an error, as §4 has it.
func parseForwarded(s string) ([]forwardedElement, error) {
	var elements []forwardedElement
	var e forwardedElement
	seen := make(map[string]bool, 4)
	for s = skipSpace(s); s != ""; s = skipSpace(s) {
		switch s[0] {
		case ',':
			if len(seen) > 0 {
				elements = append(elements, e)
			}
			e = forwardedElement{}
			clear(seen)
			s = s[1:]
			continue
		case ';':
			s = s[1:]
			continue
		}
		name, value, rest, ok := cutForwardedPair(s)
		if !ok || seen[name] {
			return nil, errForwarded
		}
		if rest = skipSpace(rest); rest != "" && rest[0] != ',' && rest[0] != ';' {
			return nil, errForwarded
		}
		seen[name], s = true, rest
		switch name {
		case "for":
			e.node = value
		case "proto":
			e.proto = value
		case "host":
			e.host = value
		}
	}
	if len(seen) > 0 {
		elements = append(elements, e)
	}
	return elements, nil
}

// cutForwardedPair takes token "=" ( token | quoted-string ) off s; the name
// comes in lower case.
func cutForwardedPair(s string) (name, value, rest string, ok bool) {
	name, s = cutToken(s)
	if name == "" || !strings.HasPrefix(s, "=") {
		return "", "", "", false
	}
	name, s = strings.ToLower(name), s[1:]
	if strings.HasPrefix(s, `"`) {
		value, rest, ok = cutQuoted(s[1:])
		return name, value, rest, ok
	}
	// An address with a port stands unquoted in the wild: take ":" and
	// brackets for part of the token.
	value, rest = cutToken(s)
	return name, value, rest, value != ""
}

func cutToken(s string) (token, rest string) {
	end := 0
	for end < len(s) && (isTokenByte(s[end]) || strings.IndexByte(":[]", s[end]) >= 0) {
		end++
	}
	return s[:end], s[end:]
}

// cutQuoted takes the rest of a quoted-string (RFC 9110 §5.6.4) off s.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// isTokenByte is tchar of RFC 9110 §5.6.2.
func isTokenByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t") }
