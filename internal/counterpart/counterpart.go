// Package counterpart runs real programs for tests: it finds them or skips the
// test by their name, starts them in the foreground, waits until they answer,
// keeps what they print, and leaves none behind.
package counterpart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// NoSkip is the environment variable that, set to 1, makes what is missing a
// failure: where everything is installed, nothing may be left out unseen.
const NoSkip = "FRONTD_NOSKIP"

// sbin are folders that a user's PATH may lack, and where servers live.
var sbin = []string{"/usr/sbin", "/usr/local/sbin", "/sbin"}

// Find returns the path of the first of names that is installed, a name or a
// pattern as in "php-fpm*". Without any the test is skipped, by name.
func Find(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path := find(name); path != "" {
			return path
		}
	}
	Missing(t, fmt.Sprintf("%q", names))
	return ""
}

func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range sbin {
		found, _ := filepath.Glob(filepath.Join(dir, name)) // fails only on a bad pattern
		for _, path := range found {
			if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	return ""
}

// Need skips the test by name unless all paths exist: modules, headers.
func Need(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			Missing(t, path)
		}
	}
}

// NeedRun skips the test by name unless the command succeeds, as in
// NeedRun(t, "perl's FCGI", "perl", "-MFCGI", "-e1").
func NeedRun(t testing.TB, what, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // a fresh machine reads it from the disk
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		Missing(t, fmt.Sprintf("%s (%v: %.200s)", what, err, out))
	}
}

// Missing skips the test because what it needs is not installed, or fails it
// where that is not allowed.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(NoSkip) == "1" {
		t.Fatalf("not installed: %s", what)
	}
	t.Skipf("not installed: %s", what)
}

// Skipped is the environment variable with the path of a file in which Unable
// tells: go test shows no skip of a package that passes.
const Skipped = "FRONTD_SKIPPED"

// Unable skips the test because this machine cannot do what it needs, or nobody
// may there: the rights of root, control groups of version 2. No installation
// helps, so that it is no failure anywhere, but it is told at the end of make test.
func Unable(t testing.TB, why string) {
	t.Helper()
	if path := os.Getenv(Skipped); path != "" {
		if err := tell(path, t.Name()+": "+why); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip(why)
}

func tell(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line) // in one write: packages do it at the same time
	return errors.Join(err, f.Close())
}

// NeedRoot skips the test unless it is root's.
func NeedRoot(t testing.TB, why string) {
	t.Helper()
	if os.Getuid() != 0 {
		Unable(t, "needs root: "+why)
	}
}

// FreePort returns a TCP port of 127.0.0.1 for a program that cannot listen at
// port 0. On Linux it is the test's until its end: no other test that asks here
// gets it, nor does the kernel give it to a connection or to a listener at port 0.
// Elsewhere somebody may take it before it is used.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := ownPort(t)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	t.Fatal("no free port")
	return 0
}

// Dir returns a folder with a short name, for a socket's path has 107 bytes
// in all and a test's own folder may use them up. It goes with the test.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// pollPause is between two looks at what tells nobody when it changes.
const pollPause = 5 * time.Millisecond

// Await calls f until it returns nil, and fails the test with its last error
// when it has not within the given time. It is for what gives no event; f is
// called at least once.
func Await(t testing.TB, what string, within time.Duration, f func() error) {
	t.Helper()
	if err := Poll(within, f); err != nil {
		t.Fatalf("%s: not within %v: %v", what, within, err)
	}
}

// Poll is Await outside of a test's goroutine: it returns f's last error.
func Poll(within time.Duration, f func() error) error {
	limit := time.After(within)
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit:
			return err
		}
	}
}

// AwaitDial waits until somebody accepts connections at the address.
func AwaitDial(t testing.TB, network, address string, p *Process) {
	t.Helper()
	Await(t, "connect to "+address, StartTimeout, func() error {
		c, err := net.Dial(network, address)
		if err == nil {
			return c.Close()
		}
		if p.Exited() {
			t.Fatalf("%s ended instead of listening at %s:\n%s", p.Name(), address, p.Log())
		}
		return err
	})
}
