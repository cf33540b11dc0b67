//go:build unix

package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

func mustListen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := Listen(mustAddress(t, address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func mustAddress(t *testing.T, s string) Address {
	t.Helper()
	a, err := ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantRefused(t *testing.T, address, want string) {
	t.Helper()
	l, err := Listen(mustAddress(t, address))
	if err == nil {
		l.Close()
		t.Fatalf("listening at %s, want an error with %q", address, want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("listen %s: error is %q, want %q in it", address, err, want)
	}
}

// reach makes sure that a connection arrives at l.
func reach(t *testing.T, l net.Listener, address string) {
	t.Helper()
	c, err := mustAddress(t, address).Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// self is how an error names this process as the owner, where it can be known.
func self() string {
	if runtime.GOOS != "linux" {
		return "in use"
	}
	return fmt.Sprintf("pid %d (config.test) has it", os.Getpid())
}

func TestListenTCP(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]", "localhost"} {
		t.Run(host, func(t *testing.T) {
			if _, err := os.Stat("/proc/net/if_inet6"); host == "[::1]" && runtime.GOOS == "linux" && err != nil {
				counterpart.Unable(t, "no IPv6 here")
			}
			l := mustListen(t, host+":0")
			address := fmt.Sprintf("%s:%d", host, l.Addr().(*net.TCPAddr).Port)
			reach(t, l, address)
			wantRefused(t, address, "address already in use: "+self())
			wantRefused(t, "fcgi://"+address, self())
		})
	}
}

func TestListenUnixModes(t *testing.T) {
	old := syscall.Umask(0o077) // must neither widen nor narrow the mode
	defer syscall.Umask(old)
	for _, mode := range []fs.FileMode{0o600, DefaultSocketMode, 0o666} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := ListenMode(mustAddress(t, "unix:"+path), mode)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode is %v, %v; want %v", info.Mode(), err, mode)
		}
		reach(t, l, "unix:"+path)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is there after Close: %v", err)
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v, want net.ErrClosed", err)
		}
	}
}

func TestListenUnixInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := mustListen(t, "unix:"+path)
	wantRefused(t, "fcgi+unix:"+path, self())
	s, err := l.Accept() // the look whether it is served
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	reach(t, l, "unix:"+path)
}

func TestListenAbstract(t *testing.T) {
	if runtime.GOOS != "linux" {
		wantRefused(t, "unix:@x", "abstract sockets are Linux's")
		return
	}
	address := fmt.Sprintf("unix:@frontd-test-%d", os.Getpid())
	l := mustListen(t, address)
	reach(t, l, address)
	wantRefused(t, address, self())
}

// stale makes the socket of a process that died.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

// Whoever may read a folder may lock it: that is to hold nobody up for long.
func TestListenInAFolderThatAnotherLocks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // 0755
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	address := "unix:" + filepath.Join(dir, "s")
	listening := make(chan net.Listener, 1)
	go func() { // received below, or it hangs
		l, err := Listen(mustAddress(t, address))
		if err != nil {
			t.Error(err)
		}
		listening <- l
	}()
	select {
	case l := <-listening:
		if l != nil {
			reach(t, l, address)
			l.Close()
		}
	case <-time.After(time.Minute):
		syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		(<-listening).Close()
		t.Error("no listener within a minute")
	}
}

func TestListenReplacesStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale(t, path)
	l := mustListen(t, "unix:"+path)
	reach(t, l, "unix:"+path)
}

func TestListenTouchesNothingElse(t *testing.T) {
	dir := t.TempDir()
	file, folder, link := filepath.Join(dir, "file"), filepath.Join(dir, "folder"), filepath.Join(dir, "link")
	stale(t, filepath.Join(dir, "s"))
	err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Mkdir(folder, 0o700), os.Symlink("s", link))
	if err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]string{file: "a file", folder: "a folder", link: "a symbolic link"} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, "unix:"+path, "is there and not a socket: it is "+kind)
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was touched: %v", kind, err)
		}
	}
	wantRefused(t, "unix:"+dir+"/none/s", "no such file or directory")
}

// Another daemon took the path over, as in an upgrade: the old one's Close
// must leave the new one's file.
func TestCloseLeavesAnothersSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := mustListen(t, "unix:"+path)
	if err := os.Rename(path, path+".old"); err != nil { // keeps the inode from being used again
		t.Fatal(err)
	}
	l := mustListen(t, "unix:"+path)
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	reach(t, l, "unix:"+path)
}

func TestCloseForAnHeir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := mustListen(t, "unix:"+path).(*UnixListener)
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file that an heir serves is gone: %v", err)
	}
}

// Of several daemons that start together at a stale socket, one gets it.
func TestListenRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale(t, path)
	const daemons = 8
	listeners := make([]net.Listener, daemons)
	var wg sync.WaitGroup
	for i := range daemons {
		wg.Add(1)
		go func() {
			// Received by wg.Wait.
			defer wg.Done()
			listeners[i], _ = Listen(Address{Net: "unix", Addr: path}) // a nil is what counts
		}()
	}
	wg.Wait()
	winners := 0
	for _, l := range listeners {
		if l != nil {
			winners++
			defer l.Close()
		}
	}
	if winners != 1 {
		t.Errorf("%d of %d listen at %s, want 1", winners, daemons, path)
	}
}

func TestPassedSocket(t *testing.T) {
	good := map[string]string{"LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:tls:fcgi"}
	for _, c := range []struct {
		name, key, value string
		fd               int
		err              string
	}{
		{"web", "", "", 3, ""},
		{"fcgi", "", "", 5, ""},
		{"other", "", "", 0, `no socket of this name, only "web", "tls", "fcgi"`},
		{"fcgi", "LISTEN_FDS", "2", 0, "no socket of this name"},
		{"web", "LISTEN_FDS", "", 0, "passed no socket (LISTEN_FDS"},
		{"web", "LISTEN_PID", "8", 0, "passed no socket to this process"},
	} {
		env := func(key string) string {
			if key == c.key {
				return c.value
			}
			return good[key]
		}
		fd, err := passedSocket(c.name, 7, env)
		if fd != c.fd || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s with %s=%q: %d, %v; want %d, %q", c.name, c.key, c.value, fd, err, c.fd, c.err)
		}
	}
	if runtime.GOOS == "linux" {
		wantRefused(t, "systemd:web", "systemd passed no socket")
	}
}

// An address that is given up a moment later, as by a process that is killed
// between fork and exec, is taken then; one that is not is in use.
func TestListenWaitsForALeftover(t *testing.T) {
	for _, a := range []Address{{Net: "tcp", Addr: "127.0.0.1:0"}, {Net: "unix", Addr: filepath.Join(t.TempDir(), "s")}} {
		first, err := Listen(a)
		if err != nil {
			t.Fatal(err)
		}
		if a.Net == "tcp" {
			a.Addr = first.Addr().String()
		} else {
			first.(*UnixListener).SetUnlinkOnClose(false)
		}
		var waited time.Duration
		again := func() (net.Listener, error) { return listenOnce(a, 0o600) }
		_, err = insist(again, func(d time.Duration) { waited += d })
		if !errors.Is(err, syscall.EADDRINUSE) || waited != leftover {
			t.Errorf("%s: %v after %v, want in use after %v", a, err, waited, leftover)
		}
		second, err := insist(again, func(time.Duration) { first.Close() })
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		second.Close()
	}
}
