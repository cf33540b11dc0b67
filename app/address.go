package app

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// maxSocketPath is the room for a name in sockaddr_un: 108 bytes on Linux,
// 104 elsewhere, one of them for the closing NUL.
const maxSocketPath = 103

// ParseAddress reads ADDRESS: HOST:PORT, unix:/path or unix:@abstract. It
// returns what net.Dial and net.Listen take.
func ParseAddress(s string) (network, address string, err error) {
	if name, ok := strings.CutPrefix(s, "unix:"); ok {
		return "unix", name, checkSocketName(name)
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", "", fmt.Errorf("address %q: allowed are HOST:PORT, unix:/path and unix:@abstract", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", "", fmt.Errorf("address %q: port %q is not a number from 0 to 65535", s, port)
	}
	return "tcp", s, nil
}

func checkSocketName(name string) error {
	switch {
	case strings.HasPrefix(name, "@") && len(name) > 1, filepath.IsAbs(name):
	case strings.HasPrefix(name, "@"):
		return fmt.Errorf("address unix:%s: an abstract socket needs a name after the @", name)
	default:
		return fmt.Errorf("address unix:%s: the path must begin with / (or @ for an abstract socket)", name)
	}
	if len(name) > maxSocketPath {
		return fmt.Errorf("address unix:%s: %d bytes, a socket's path has at most %d", name, len(name), maxSocketPath)
	}
	return nil
}
