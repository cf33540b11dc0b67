package config

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tcpOwner says which process listens where hostPort would, as far as this
// process may look: `pid 812 (nginx)`. It is empty if that is not known.
func tcpOwner(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	want, _ := netip.ParseAddr(host) // a name, or none: any address with the port
	var inodes []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		inodes = append(inodes, listening(table, want, uint16(n))...)
	}
	return holder(inodes)
}

// tcpListen is TCP_LISTEN, as the table's fourth column has it.
const tcpListen = "0A"

// listening returns the inodes of the sockets in a table of proc_net(5) that
// stand in the way of listening at addr and port.
func listening(table string, addr netip.Addr, port uint16) []string {
	var inodes []string
	eachLine(table, func(field []string) {
		if len(field) < 10 || field[3] != tcpListen {
			return
		}
		at, ok := parseProcAddr(field[1])
		if !ok || at.Port() != port {
			return
		}
		ip := at.Addr().Unmap()
		if !addr.IsValid() || addr.IsUnspecified() || ip.IsUnspecified() || ip == addr.Unmap() {
			inodes = append(inodes, field[9])
		}
	})
	return inodes
}

// parseProcAddr reads "0100007F:1F90": 32-bit words of the host's byte order.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	words, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || len(words)%8 != 0 {
		return netip.AddrPort{}, false
	}
	var b []byte
	for ; words != ""; words = words[8:] {
		w, err := strconv.ParseUint(words[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		b = binary.NativeEndian.AppendUint32(b, uint32(w))
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip, uint16(n)), ok
}

// unixOwner says which process serves the unix socket at path or @name.
func unixOwner(path string) string {
	var inodes []string
	eachLine("/proc/net/unix", func(field []string) {
		if len(field) == 8 && field[7] == path {
			inodes = append(inodes, field[6])
		}
	})
	return holder(inodes)
}

// eachLine calls f with the fields of each line of a file, if it can be read.
func eachLine(name string, f func(field []string)) {
	file, err := os.Open(name)
	if err != nil {
		return
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		f(strings.Fields(lines.Text()))
	}
}

// holder finds a process that has one of the sockets open. Those of other
// users are hidden from all but root.
func holder(inodes []string) string {
	sockets := map[string]bool{}
	for _, inode := range inodes {
		sockets["socket:["+inode+"]"] = inode != "0"
	}
	if len(sockets) == 0 {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the only error is a bad pattern
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && sockets[to] {
			pid := strings.Split(link, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm") // gone since: no name
			return fmt.Sprintf("pid %s (%s)", pid, bytes.TrimSpace(name))
		}
	}
	return ""
}
