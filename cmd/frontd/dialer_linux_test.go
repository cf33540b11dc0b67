package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/frontd/frontd/config"
)

// A unix socket whose backlog is full refuses at once (EAGAIN): that is a wait,
// not a failure, for as long as there is time.
func TestDialerWaitsForABacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), path)
	defer socket.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var waiting []net.Conn
	for err == nil {
		var nc net.Conn
		if nc, err = net.Dial("unix", path); err == nil {
			defer nc.Close()
			waiting = append(waiting, nc)
		}
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatalf("behind %d connections: %v", len(waiting), err)
	}
	dial := dialer("unix", path)
	ended := errors.New("no time left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ended)
	if _, err := dial(ctx); !errors.Is(err, ended) && !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	dialed := make(chan error, 1)
	go func() {
		nc, err := dial(t.Context())
		if err == nil {
			nc.Close()
		}
		dialed <- err
	}()
	// Its end is received below, when there is room.
	for range waiting {
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	if err := <-dialed; err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestAllowedWebServers(t *testing.T) { // F20: a pool's TCP socket is for whom it is meant
	for _, tt := range []struct {
		listen string
		allow  []string
		want   string
	}{
		{"127.0.0.1:9000", nil, "127.0.0.1"},
		{"127.0.0.5:9000", nil, "127.0.0.5"},
		{"[::1]:9000", nil, "::1"},
		{"localhost:9000", nil, "127.0.0.1,::1"},
		{"192.0.2.1:9000", nil, ""},
		{"192.0.2.1:9000", []string{"192.0.2.7", "2001:db8::7"}, "192.0.2.7,2001:db8::7"},
		{"unix:/run/x.sock", nil, ""},
	} {
		a, err := config.ParseAddress(tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&poolFlags{allow: tt.allow}).allowed(a); got != tt.want {
			t.Errorf("pool on %s with --allow %v: %q, want %q", tt.listen, tt.allow, got, tt.want)
		}
	}
}
