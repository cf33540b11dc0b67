package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// asUser makes a command that another user runs.
func asUser(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		counterpart.Missing(t, "the user "+name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// Where workers cannot be started any more, those that live serve on, the log
// says why at a bearable rate, and it goes on by itself when there is a way again.
func TestWorkersCannotBeStarted(t *testing.T) {
	counterpart.NeedRoot(t, "the limit is of another user's, and root has none")
	for _, c := range []struct {
		what, reason string
		spoil        func(t *testing.T, dir string) (mend func())
	}{
		{"its program is gone", "no such file or directory", func(t *testing.T, dir string) func() {
			from := filepath.Join(dir, "misbehave")
			if err := os.Rename(from, from+".away"); err != nil {
				t.Fatal(err)
			}
			return func() { os.Rename(from+".away", from) }
		}},
		{"its user may not reach it", "permission denied", func(t *testing.T, dir string) func() {
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			return func() { os.Chmod(dir, 0o755) }
		}},
	} {
		t.Run(strings.ReplaceAll(c.what, " ", "-"), func(t *testing.T) {
			r := neighbours(t, `user = "games"`)
			wantServingOn(t, r, "bad", c.reason, func() func() { return c.spoil(t, r.dir) })
		})
	}
}

// A user that has as many processes as it may have gets no more; those that it
// has are not touched. (A runtime that makes threads as it goes dies of it: Go's does.)
func TestProcessesOfUserAreUsedUp(t *testing.T) {
	counterpart.NeedRoot(t, "the limit is of another user's, and root has none")
	counterpart.Find(t, "python3")
	dir := counterpart.Dir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "app.py"), strings.ReplaceAll(goodPython, "version 1", "hello\\n"))
	r := serve(t, dir, configure(t, dir, jsonLog+strings.Replace(wsgiApp(2), "[[route]]", "user = \"games\"\nlimits = { processes = 50 }\n[[route]]", 1))...)
	wantServingOn(t, r, "app", "resource temporarily unavailable", func() func() {
		var all []*exec.Cmd
		for range 60 {
			cmd := asUser(t, "games", "sleep", "1000")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			all = append(all, cmd)
		}
		return func() {
			for _, cmd := range all {
				cmd.Process.Kill()
				cmd.Wait()
			}
			all = nil
		}
	})
}

// wantServingOn kills one of two workers that cannot be replaced until what
// spoil returns is called.
func wantServingOn(t *testing.T, r *running, app, reason string, spoil func() (mend func())) {
	t.Helper()
	pids := r.awaitServing(app, 2)
	mend := spoil()
	defer mend()
	load := startLoad(t, r.client, 2, http.MethodGet, r.url+"/hello", "", "hello\n")
	mark := r.Mark()
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	const failed = `"msg":"worker did not start"`
	r.AwaitLineAfter(mark, failed+`.*`+reason, patience)
	counterpart.Await(t, "the fourth attempt", patience, func() error {
		if n := r.Count(failed); n < 4 {
			return fmt.Errorf("%d so far", n)
		}
		return nil
	})
	r.awaitServing(app, 1)
	load.awaitMore(t, 20)
	if n := r.Count(failed); n > 20 {
		t.Errorf("%d attempts: the pauses do not grow", n)
	}
	mend()
	r.awaitServing(app, 2)
	load.awaitMore(t, 20)
	load.clean(t, reason)
}

// A socket is never open to more than it is meant to be, not even between its
// making and the setting of its mode; who may connect can, who may not cannot.
func TestSocketPermissions(t *testing.T) {
	counterpart.NeedRoot(t, "asks as other users")
	curl := counterpart.Find(t, "curl")
	dir := counterpart.Dir(t)
	web, err := user.Lookup("www-data")
	if err != nil {
		counterpart.Missing(t, "the user www-data")
	}
	gid, _ := strconv.Atoi(web.Gid)
	// What is made in the folder has its group.
	if err := errors.Join(os.Chown(dir, 0, gid), os.Chmod(dir, os.ModeSetgid|0o755)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "web.sock")
	var worst atomic.Uint32 // the bits of "others" that were ever seen
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		// Its end is received below, from ended.
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
			}
			if fi, err := os.Lstat(path); err == nil {
				worst.Or(uint32(fi.Mode().Perm() & 0o007))
			}
		}
	}()
	mask := syscall.Umask(0) // of this process, and so of frontd, which is started below
	r := serve(t, dir, configure(t, dir, strings.Replace(jsonLog, `"127.0.0.1:0"`, `"127.0.0.1:0", "unix:`+path+`"`, 1)+
		demoApp(1))...)
	syscall.Umask(mask)
	r.awaitServing("demo", 1)
	close(done)
	<-ended
	if bits := worst.Load(); bits != 0 {
		t.Errorf("others had the rights %o at some moment", bits)
	}
	for who, may := range map[string]bool{"www-data": true, "nobody": false} {
		out, err := asUser(t, who, curl, "-sS", "--max-time", "60", "--unix-socket", path, "http://frontd/hello").CombinedOutput()
		if may && (err != nil || string(out) != "hello\n") || !may && err == nil {
			t.Errorf("%s: %q, %v; may it: %v", who, out, err, may)
		}
	}
	if nc, err := net.Dial("unix", path); err != nil {
		t.Errorf("its own user: %v", err)
	} else {
		nc.Close()
	}
	if !slices.Contains(r.status().Listen, "unix:"+path) {
		t.Errorf("status says %q", r.status().Listen)
	}
}
