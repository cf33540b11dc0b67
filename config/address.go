package config

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An Address is where something listens: HOST:PORT, a unix socket, or a
// socket that systemd hands over. It is comparable.
type Address struct {
	// Scheme is what is spoken there: "http", "https", "fcgi", or empty
	// where the address was bare, which for a listener means HTTP.
	Scheme string
	// Net is "tcp", "unix" or "systemd".
	Net string
	// Addr is HOST:PORT, /path, @abstract, or systemd's name for the socket.
	Addr string
}

// maxSocketPath is sizeof(sun_path)-1 on Linux: the kernel wants room for a
// final NUL. Other systems have 103, and refuse the rest themselves.
const maxSocketPath = 107

const addressForms = `HOST:PORT ("127.0.0.1:8080", "[::1]:8080", ":8080"), "unix:/path" or "unix:@name", ` +
	`with "http://", "https://" or "fcgi://" before HOST:PORT, "http+unix:" or "fcgi+unix:" for unix:, or "systemd:NAME", "https+systemd:NAME", "fcgi+systemd:NAME"`

// schemes are the prefixes of an address. The longest match is the only one:
// none is a prefix of another.
var schemes = []struct{ prefix, scheme, net string }{
	{"http://", "http", "tcp"},
	{"https://", "https", "tcp"},
	{"fcgi://", "fcgi", "tcp"},
	{"unix:", "", "unix"},
	{"http+unix:", "http", "unix"},
	{"fcgi+unix:", "fcgi", "unix"},
	{"systemd:", "", "systemd"},
	{"http+systemd:", "http", "systemd"},
	{"https+systemd:", "https", "systemd"},
	{"fcgi+systemd:", "fcgi", "systemd"},
}

// ParseAddress reads an address in any form that a listener or an
// application's server may have.
func ParseAddress(s string) (Address, error) {
	a := Address{Net: "tcp", Addr: s}
	for _, f := range schemes {
		if rest, ok := strings.CutPrefix(s, f.prefix); ok {
			a = Address{Scheme: f.scheme, Net: f.net, Addr: rest}
			break
		}
	}
	var err error
	switch a.Net {
	case "tcp":
		err = checkHostPort(a.Addr)
	case "unix":
		err = checkSocketPath(a.Addr)
	case "systemd":
		err = checkSystemdName(a.Addr)
	}
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	return a, nil
}

// String returns a in the form that ParseAddress reads.
func (a Address) String() string {
	for _, f := range schemes {
		if f.scheme == a.Scheme && f.net == a.Net {
			return f.prefix + a.Addr
		}
	}
	return a.Addr
}

// Network returns the network as package net names it: "tcp", "unix", or
// "systemd", which only Listen knows.
func (a Address) Network() string { return a.Net }

// FastCGI reports whether the address says that FastCGI is spoken there.
func (a Address) FastCGI() bool { return a.Scheme == "fcgi" }

// Dial connects to a. A socket of systemd's has no address to dial.
func (a Address) Dial(ctx context.Context) (net.Conn, error) {
	if a.Net == "systemd" {
		return nil, fmt.Errorf("dial %s: only systemd knows its address", a)
	}
	var d net.Dialer
	return d.DialContext(ctx, a.Net, a.Addr)
}

func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if strings.HasPrefix(s, "/") {
			return fmt.Errorf(`a path is written "unix:%s"; allowed: %s`, s, addressForms)
		}
		return fmt.Errorf("no HOST:PORT; allowed: %s", addressForms)
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return fmt.Errorf("unknown scheme %q; allowed: %s", scheme, addressForms)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	if strings.HasPrefix(s, "[") {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return fmt.Errorf("%q in brackets is not an IPv6 address", host)
		}
		return nil
	}
	if host == "*" {
		return fmt.Errorf(`every interface is written ":%s"`, port)
	}
	if host != "" && !isHostName(host) {
		return fmt.Errorf("%q is neither a name nor an IP address", host)
	}
	return nil
}

// isHostName reports whether s is letters, digits, "-" and "_" in labels
// (RFC 1123 §2.1, and the underscores that container networks use).
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(r rune) bool { return !isWord(r) && r != '-' }) {
			return false
		}
	}
	return true
}

func isWord(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

func checkSocketPath(s string) error {
	switch {
	case len(s) < 2 || s[0] != '/' && s[0] != '@':
		return fmt.Errorf(`a unix socket is an absolute path or an abstract name: "unix:/run/frontd/web.sock", "unix:@web"`)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("a NUL in a path")
	case len(s) > maxSocketPath:
		return fmt.Errorf("a path of %d bytes, a unix socket's has at most %d", len(s), maxSocketPath)
	case s[len(s)-1] == '/':
		return fmt.Errorf("a folder, not a socket's path")
	}
	return nil
}

// checkSystemdName refuses what FileDescriptorName= of systemd.socket(5) refuses.
func checkSystemdName(s string) error {
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }
	if s == "" || len(s) > 255 || strings.ContainsFunc(s, bad) {
		return fmt.Errorf(`not a socket's name as FileDescriptorName= gives it: "systemd:web"`)
	}
	return nil
}
