//go:build unix

package config

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSocketName(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8080":      "listen=tcp=127.0.0.1%3A8080",
		"https://[::1]:443":   "listen=tcp=[%3A%3A1]%3A443",
		"fcgi+unix:/run/a b":  "listen=unix=/run/a%20b",
		"unix:@100%":          "listen=unix=@100%25",
		"https+systemd:web":   "web",
		"http://:80":          "listen=tcp=%3A80",
		"unix:/srv/caf\u00e9": "listen=unix=/srv/caf%C3%A9",
	} {
		a := mustAddress(t, address)
		if got := a.SocketName(); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
		if got := a.Storable(); got != (a.Net != "systemd") {
			t.Errorf("%s: Storable is %v", address, got)
		}
	}
	if long := mustAddress(t, "unix:/"+strings.Repeat("\u00e9", 50)); long.Storable() {
		t.Errorf("%d bytes are a name for systemd", len(long.SocketName()))
	}
}

func TestDescriptors(t *testing.T) {
	for _, c := range []struct {
		why  string
		env  map[string]string
		want []descriptor
	}{
		{"nothing was passed", nil, nil},
		{"what systemd passes to another process is not ours",
			map[string]string{"LISTEN_PID": "8", "LISTEN_FDS": "1"}, nil},
		{"a unit's socket, one from the store, one without a name",
			map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:listen=tcp=%3A80"},
			[]descriptor{{fd: 3, name: "web"}, {fd: 4, name: "listen=tcp=%3A80"}, {fd: 5, name: "descriptor 5"}}},
		{"handed over by the frontd before",
			map[string]string{SocketsVariable: "4=web:5=listen=unix=/a"},
			[]descriptor{{fd: 4, name: "web"}, {fd: 5, name: "listen=unix=/a"}}},
		{"nonsense, and the standard streams",
			map[string]string{SocketsVariable: "x=web:2=log::=:-1=a:9", "LISTEN_PID": "7", "LISTEN_FDS": "-3"}, nil},
	} {
		if got := descriptors(7, func(k string) string { return c.env[k] }); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
	}
}

func FuzzDescriptors(f *testing.F) {
	f.Add("4=web:5=listen=unix=/a", "2", "a:b")
	f.Fuzz(func(t *testing.T, own, n, names string) {
		env := map[string]string{SocketsVariable: own, "LISTEN_PID": "7", "LISTEN_FDS": n, "LISTEN_FDNAMES": names}
		for _, d := range descriptors(7, func(k string) string { return env[k] }) {
			if d.fd < firstPassed {
				t.Errorf("it would take a standard stream: %+v", d)
			}
		}
	})
}

func TestHandOver(t *testing.T) {
	addresses := []Address{mustAddress(t, "127.0.0.1:80"), mustAddress(t, "unix:/a"), mustAddress(t, "systemd:web")}
	value := HandOver(4, addresses)
	got := descriptors(1, func(k string) string { return map[string]string{SocketsVariable: value}[k] })
	for i, a := range addresses {
		if want := (descriptor{fd: 4 + i, name: a.SocketName()}); got[i] != want {
			t.Errorf("%v arrives as %+v, want %+v", a, got[i], want)
		}
	}
}

// An heir serves at the socket it was handed, whose file is not its own until
// it is told so.
func TestListenInherited(t *testing.T) {
	address := "unix:" + filepath.Join(t.TempDir(), "s")
	old := mustListen(t, address).(*UnixListener)
	f, err := SocketFile(old)
	if err != nil {
		t.Fatal(err)
	}
	l, err := listenInherited(mustAddress(t, address), f, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	reach(t, l, address)
	path := strings.TrimPrefix(address, "unix:")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the heir's mode is not set: %v, %v", info, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("an heir that fails takes the socket along: %v", err)
	}
}

func TestInheritedOfNoUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := mustListen(t, "unix:"+path)
	f, err := SocketFile(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if l, err := listenInherited(mustAddress(t, "unix:"+path), f, 0o600); l != nil || err != nil {
		t.Errorf("a socket without a file: %v, %v; want it bound anew", l, err)
	}

	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	f, err = datagrams.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenInherited(mustAddress(t, "127.0.0.1:0"), f, 0); err == nil || !strings.Contains(err.Error(), "not a listening stream socket") {
		t.Errorf("a UDP socket: %v", err)
	}
}
