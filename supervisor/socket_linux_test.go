package supervisor

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A lock that never comes is told, and does not hold up a start for ever.
func TestLockHasABound(t *testing.T) {
	dir := t.TempDir()
	var open [2]*os.File
	for i := range open {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		open[i] = f
	}
	if err := flock(open[0], patience); err != nil {
		t.Fatal(err)
	}
	if err := flock(open[1], time.Millisecond); err == nil || !strings.Contains(err.Error(), "another process has it") {
		t.Errorf("locked by another: %v", err)
	}
	open[0].Close()
	if err := flock(open[1], patience); err != nil {
		t.Errorf("free again: %v", err)
	}
}

func TestSocketPath(t *testing.T) {
	for _, c := range []struct {
		why  string
		make func(t *testing.T, path string)
		want string // "": it is replaced
	}{
		{"nothing there", func(*testing.T, string) {}, ""},
		{"a dead socket", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			l.Close()
		}, ""},
		{"a live socket", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "another process listens on it"},
		{"a datagram socket", func(t *testing.T, path string) {
			c, err := net.ListenPacket("unixgram", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}, "cannot be asked"},
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "no socket"},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "no socket"},
		{"a symbolic link", func(t *testing.T, path string) {
			if err := os.Symlink("nowhere", path); err != nil {
				t.Fatal(err)
			}
		}, "no socket"},
		{"no directory", func(t *testing.T, path string) { os.Remove(filepath.Dir(path)) }, "no such file"},
	} {
		t.Run(c.why, func(t *testing.T) {
			path := filepath.Join(socketDir(t)+".d", "x.sock")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			c.make(t, path)
			_, was, _ := inode(path)
			s, err := ListenUnix(path, 0o660)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("%v, want %q and the path", err, c.want)
				}
				if _, is, _ := inode(path); is != was {
					t.Error("what was there is there no more")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if fi, err := os.Lstat(path); err != nil || fi.Mode() != os.ModeSocket|0o660 {
				t.Errorf("mode %v, %v; want a socket with 0660", fi.Mode(), err)
			}
			if c, err := net.Dial("unix", path); err != nil {
				t.Errorf("dial: %v", err)
			} else {
				c.Close()
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); err == nil {
				t.Error("its path is still there after Close")
			}
		})
	}
}

func TestSocketRemovesOnlyItsOwn(t *testing.T) {
	path := socketDir(t) + ".sock"
	s, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil { // keeps the inode's number taken
		t.Fatal(err)
	}
	other, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("it removed another's socket: %v", err)
	}
}

func TestSocketBlocks(t *testing.T) {
	s, err := ListenUnix(socketDir(t)+".sock", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, s.File().Fd(), syscall.F_GETFL, 0)
	if errno != 0 || flags&syscall.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v; want blocking mode", flags, errno)
	}
}

func TestPathTooLong(t *testing.T) {
	dir := socketDir(t) + "x"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	longest := filepath.Join(dir, strings.Repeat("s", 107-len(dir)-1))
	s, err := ListenUnix(longest, 0o600)
	if err != nil {
		t.Fatalf("a path of 107 bytes: %v", err)
	}
	s.Close()
	if _, err := ListenUnix(longest+"s", 0o600); err == nil || !strings.Contains(err.Error(), "path of 108 bytes, at most 107 allowed") {
		t.Errorf("a path of 108 bytes: %v", err)
	}
}
