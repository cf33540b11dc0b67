package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/frontd/frontd/internal/counterpart"
)

// serveSpooling serves the demo with bodies taken in whole first, in the
// folder that it returns.
func serveSpooling(t *testing.T) (r *running, tmp string) {
	t.Helper()
	dir := counterpart.Dir(t)
	tmp = filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	r = &running{t: t, dir: dir, control: filepath.Join(dir, "control.sock"), client: newClient(t)}
	args := configure(t, dir, strings.Replace(jsonLog, "[log]", "body_rate = 0\n[log]", 1)+demoApp(1, `body = "spool"`))
	cmd := command(t, dir, append([]string{"serve", "--control", r.control}, args...)...)
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	r.Process = counterpart.Start(t, cmd)
	r.url = r.AwaitLine(`msg"?[:=]"?listening"?.*address"?[:=]"?(https?://[^ "]+)`, patience)[1]
	r.awaitServing("demo", 1)
	return r, tmp
}

// An upload that finds no place on the disk is answered, with its cause, and
// what fits is served after it.
func TestUploadWithoutRoom(t *testing.T) { // H9
	t.Parallel()
	r, tmp := serveSpooling(t)
	upload := func(n int) fetched {
		return r.do(http.MethodPost, "/hello", "application/octet-stream", strings.NewReader(strings.Repeat("x", n)))
	}
	for _, c := range []struct {
		why           string
		broken, whole func() error
	}{
		{"a file may not grow", func() error { return limitFiles(r.PID(), 128<<10) }, func() error { return limitFiles(r.PID(), 1<<30) }},
		{"no folder for it", func() error { return os.Remove(tmp) }, func() error { return os.Mkdir(tmp, 0o700) }},
	} {
		if err := c.broken(); err != nil {
			t.Fatal(err)
		}
		if a := upload(1 << 20); a.status != http.StatusInsufficientStorage || !strings.Contains(a.body, "spool-failed") {
			t.Errorf("%s: %d %q, want 507, spool-failed", c.why, a.status, a.body)
		}
		if a := upload(100); a.status != http.StatusOK {
			t.Errorf("%s: a small one: %d %q", c.why, a.status, a.body)
		}
		if err := c.whole(); err != nil {
			t.Fatal(err)
		}
		if a := upload(1 << 20); a.status != http.StatusOK {
			t.Errorf("%s, and not any more: %d %q", c.why, a.status, a.body)
		}
	}
	counterpart.Await(t, "two lines of the access log for spool-failed", patience, func() error {
		n := 0
		for _, l := range r.requestLines() {
			if l.Cause == "spool-failed" {
				n++
			}
		}
		if n != 2 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
}

// limitFiles sets the size that files of a process may have, as a full disk does.
func limitFiles(pid int, size uint64) error {
	limit := syscall.Rlimit{Cur: size, Max: 1 << 30}
	if _, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); errno != 0 {
		return os.NewSyscallError("prlimit", errno)
	}
	return nil
}

// What is spooled has no name: a kill leaves nothing behind.
func TestKillLeavesNoSpool(t *testing.T) { // H9
	t.Parallel()
	r, tmp := serveSpooling(t)
	nc := r.dial()
	fmt.Fprintf(nc, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 500000))
	counterpart.Await(t, "a spool", patience, func() error {
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", r.PID()))
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); strings.HasPrefix(to, tmp) && strings.HasSuffix(to, " (deleted)") {
				return nil
			}
		}
		return fmt.Errorf("none of %d descriptors is one (%v)", len(fds), err)
	})
	r.Signal(syscall.SIGKILL)
	r.AwaitExit(patience)
	io.Copy(io.Discard, nc) // to the connection's end
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
