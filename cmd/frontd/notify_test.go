package main

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// What systemd would read: the text, and with it a descriptor that is the same file.
func TestNotify(t *testing.T) {
	dir := t.TempDir()
	address := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	l, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, files := range [][]*os.File{nil, {f}} {
		if err := notify(address.Name, "FDSTORE=1\nFDNAME=x", files); err != nil {
			t.Fatal(err)
		}
		text, rights := make([]byte, 100), make([]byte, 100)
		n, m, _, _, err := l.ReadMsgUnix(text, rights)
		if err != nil || string(text[:n]) != "FDSTORE=1\nFDNAME=x" {
			t.Errorf("%q, %v", text[:n], err)
		}
		if files == nil {
			continue
		}
		messages, err := syscall.ParseSocketControlMessage(rights[:m])
		if err != nil || len(messages) != 1 {
			t.Fatalf("%v, %v", messages, err)
		}
		fds, err := syscall.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			t.Fatalf("%v, %v", fds, err)
		}
		got := os.NewFile(uintptr(fds[0]), "got")
		defer got.Close()
		a, aerr := got.Stat()
		b, berr := f.Stat()
		if aerr != nil || berr != nil || !os.SameFile(a, b) {
			t.Errorf("another file arrives: %v, %v", aerr, berr)
		}
	}
	if err := notify("", "READY=1", nil); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}

func TestStatusLine(t *testing.T) {
	begin := time.Now()
	for want, w := range map[string]workload{
		"1 worker, 1 app":                                {at: begin, workers: 1, apps: 1, served: 7},
		"8 workers, 2 apps, 120 req/s":                   {at: begin.Add(5 * time.Second), workers: 8, apps: 2, served: 600},
		"0 workers, 2 apps, 0 req/s, failing: blog shop": {at: begin.Add(time.Second), apps: 2, failing: []string{"blog", "shop"}},
		"1 worker, 0 apps, 1 req/s":                      {at: begin.Add(2 * time.Second), workers: 1, served: 2},
	} {
		if got := w.since(workload{at: begin}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
