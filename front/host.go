package front

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxHostName  = 253 // RFC 1035 §2.3.4, as text without the last dot
	maxHostLabel = 63
)

var errHost = errors.New("malformed host")

// splitHost checks a Host (RFC 9110 §7.2, RFC 3986 §3.2.2) and returns its
// name in lower case, without port and last dot. It is stricter than the
// grammar: names are letters, digits, "-", "_" and single dots, for nothing else
// resolves and a worker builds links of it; the port is 1 to 65535 or missing.
func splitHost(s string) (name string, err error) {
	name, port, hasPort := s, "", false
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", errHost
		}
		name = s[:end+1]
		if s[end+1:] != "" {
			port, hasPort = strings.CutPrefix(s[end+1:], ":")
			if !hasPort {
				return "", errHost
			}
		}
		addr, err := netip.ParseAddr(name[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", errHost
		}
	} else {
		name, port, hasPort = strings.Cut(s, ":")
		name = strings.TrimSuffix(name, ".")
		if !validHostName(name) {
			return "", errHost
		}
	}
	if hasPort && port != "" && !validPort(port) { // "host:" is in the grammar
		return "", errHost
	}
	return strings.ToLower(name), nil
}

func validHostName(name string) bool {
	if name == "" || len(name) > maxHostName {
		return false
	}
	label := 0
	for _, c := range []byte(name) {
		switch {
		case c == '.':
			if label == 0 {
				return false
			}
			label = -1
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
		if label++; label > maxHostLabel {
			return false
		}
	}
	return label > 0
}

func validPort(port string) bool {
	if len(port) > 5 {
		return false
	}
	for _, c := range []byte(port) {
		if c < '0' || c > '9' { // Atoi would take a sign
			return false
		}
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}
