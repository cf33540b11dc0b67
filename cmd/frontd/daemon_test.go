package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// patience is how long a test waits for what comes at once unless the machine
// is busy. What has to be fast is measured, not waited for.
const patience = time.Minute

// goRace takes away the second that a program built with -race waits at its end.
const goRace = "atexit_sleep_ms=0"

// A running frontd, and a client of it.
type running struct {
	*counterpart.Process
	t       testing.TB
	dir     string // private: control socket, workers' sockets, what the test puts there
	control string
	url     string // of the first HTTP listener
	client  *http.Client
}

// command makes a frontd command with a runtime folder of its own.
func command(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("frontd")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Args[0] = "frontd"
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "LANG=C.UTF-8", "GORACE=" + goRace,
		engineVariable + "=" + os.Getenv(engineVariable)}
	return cmd
}

// serve runs frontd serve in dir until the test ends, and returns when it
// listens and its applications are settled. Without -l among args it takes a free port.
func serve(t testing.TB, dir string, args ...string) *running {
	t.Helper()
	r := launch(t, dir, args...)
	r.url = r.AwaitLine(`msg"?[:=]"?listening"?.*address"?[:=]"?(https?://[^ "]+)`, patience)[1]
	r.settle()
	return r
}

// settle waits until each application has a worker that serves, cannot have one,
// or needs none yet. A test's first request would else wait for a start, and on a
// busy machine in vain: no longer than queue.timeout, 5 s.
func (r *running) settle() {
	r.t.Helper()
	counterpart.Await(r.t, "settled applications", patience, func() error {
		s, err := r.tryStatus()
		if err != nil {
			return err
		}
		for _, a := range s.Apps {
			pids, _ := servingPIDs(s, a.Name) // never an error: it is in s
			if len(a.Workers) > 0 && len(pids) == 0 && a.Failing == "" {
				return fmt.Errorf("of %s none serves: %+v", a.Name, a.Workers)
			}
		}
		return nil
	})
}

// launch is serve without waiting.
func launch(t testing.TB, dir string, args ...string) *running {
	t.Helper()
	r := &running{t: t, dir: dir, control: filepath.Join(dir, "control.sock")}
	args = append([]string{"serve", "--control", r.control}, args...)
	if !strings.Contains(strings.Join(args, " "), " -l ") && !strings.Contains(strings.Join(args, " "), " -c ") {
		args = append(args, "-l", "127.0.0.1:0")
	}
	r.Process = counterpart.Start(t, command(t, dir, args...))
	r.client = newClient(t)
	return r
}

// newClient is a client whose connections end with the test.
func newClient(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// configure writes a configuration file in dir and returns the arguments for it.
func configure(t testing.TB, dir, text string) []string {
	t.Helper()
	path := filepath.Join(dir, "frontd.toml")
	write(t, path, text)
	return []string{"-c", path}
}

// write writes a file whole: a reader sees the old one or the new one. It may be
// a program, which cannot be run while anybody has it open for writing ("text file
// busy"): also a process that another test has just forked and that has yet to
// become another program.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	syscall.ForkLock.RLock()
	err := os.WriteFile(path+".new", []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// copyApp copies a folder of testdata/apps to dir.
func copyApp(t testing.TB, name, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "apps", name))); err != nil {
		t.Fatal(err)
	}
}

// What was fetched, read to its end.
type fetched struct {
	status int
	header http.Header
	body   string
}

// get asks for a path and fails the test unless the whole answer comes.
func (r *running) get(path string) fetched {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", nil)
}

func (r *running) do(method, path, kind string, body io.Reader) fetched {
	r.t.Helper()
	a, err := ask(r.t.Context(), r.client, method, r.url+path, kind, body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// ask makes one request and reads all of its answer.
func ask(ctx context.Context, c *http.Client, method, url, kind string, body io.Reader) (fetched, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return fetched{}, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return fetched{}, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	return fetched{resp.StatusCode, resp.Header, b.String()}, err
}

// status asks the control socket, as frontd status does.
func (r *running) status() statusReport {
	r.t.Helper()
	s, err := r.tryStatus()
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *running) tryStatus() (s statusReport, err error) {
	f := controlFlag{path: r.control}
	return s, f.call(r.t.Context(), http.MethodGet, "/status", &s)
}

// awaitServing waits until an application has n workers that serve, and
// returns their pids by slot.
func (r *running) awaitServing(app string, n int) []int {
	r.t.Helper()
	var pids []int
	counterpart.Await(r.t, fmt.Sprintf("%d workers of %s", n, app), patience, func() error {
		s, err := r.tryStatus()
		if err != nil {
			return err
		}
		pids, err = servingPIDs(s, app)
		if err == nil && len(pids) != n {
			err = fmt.Errorf("%d serve", len(pids))
		}
		return err
	})
	return pids
}

func servingPIDs(s statusReport, app string) ([]int, error) {
	for _, a := range s.Apps {
		if a.Name != app {
			continue
		}
		var pids []int
		for _, w := range a.Workers {
			if w.State == "serving" {
				pids = append(pids, w.PID)
			}
		}
		return pids, nil
	}
	return nil, fmt.Errorf("no app %q", app)
}

// requestLines are the access log's records, of the JSON format.
func (r *running) requestLines() []accessLine {
	var list []accessLine
	for line := range strings.Lines(r.Log()) {
		var a accessLine
		if json.Unmarshal([]byte(line), &a) == nil && a.Msg == "request" {
			list = append(list, a)
		}
	}
	return list
}

type accessLine struct {
	Msg, Method, URI, Cause, Detail, App string
	Status, Worker, Attempts             int
}

// awaitRequestLine waits for the access log's record of a URI.
func (r *running) awaitRequestLine(uri string) (found accessLine) {
	r.t.Helper()
	counterpart.Await(r.t, "a line of the access log for "+uri, patience, func() error {
		for _, a := range r.requestLines() {
			if a.URI == uri {
				found = a
				return nil
			}
		}
		return errors.New("none")
	})
	return found
}

// dial connects to the HTTP listener.
func (r *running) dial() net.Conn {
	r.t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	return nc
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// link makes a symbolic link, in the place of one that is there, at once.
func link(t testing.TB, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
