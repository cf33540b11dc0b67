package wsgi_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/app/wsgi"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/internal/counterpart"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPython runs the tests of the Python side.
func TestPython(t *testing.T) {
	const python = "/usr/bin/python3" // the one that the system's Flask and Django belong to
	counterpart.Find(t, python)
	cmd := exec.CommandContext(t.Context(), python, "-W", "error::ResourceWarning", "-m", "unittest", "discover", "-t", ".", "-s", "tests")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the Python tests failed: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

const helloApp = `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello " + environ["QUERY_STRING"].encode()]
`

// start runs the command for o with a listening socket of its own on
// descriptor 0, and returns it with a connection to it.
func start(t *testing.T, o wsgi.Options) (*exec.Cmd, *strings.Builder, net.Conn) {
	t.Helper()
	path, args, env, err := wsgi.Command(o)
	if errors.Is(err, exec.ErrNotFound) {
		counterpart.Missing(t, "python3")
	}
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	file, err := listener.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin, cmd.Stderr, cmd.Env = file, &stderr, append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	conn, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return cmd, &stderr, conn
}

// ask sends one request and returns what came on STDOUT until its END_REQUEST.
func ask(t *testing.T, conn net.Conn, records *fcgi.RecordReader, query string) string {
	t.Helper()
	stdout, stderr := converse(t, conn, records, query)
	if stderr != "" {
		t.Fatalf("stderr: %s", stderr)
	}
	return stdout
}

// converse sends one request and returns what came on its two streams.
func converse(t *testing.T, conn net.Conn, records *fcgi.RecordReader, query string) (stdout, stderr string) {
	t.Helper()
	out := fcgi.AppendBeginRequest(nil, 1, fcgi.RoleResponder, fcgi.FlagKeepConn)
	var params []byte
	for _, p := range [][2]string{{"REQUEST_METHOD", "GET"}, {"PATH_INFO", "/"}, {"QUERY_STRING", query}} {
		params = append(append(append(params, byte(len(p[0])), byte(len(p[1]))), p[0]...), p[1]...)
	}
	out = fcgi.AppendRecord(out, fcgi.TypeParams, 1, params)
	out = fcgi.AppendRecord(out, fcgi.TypeParams, 1, nil)
	out = fcgi.AppendRecord(out, fcgi.TypeStdin, 1, nil)
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	streams := map[fcgi.Type][]byte{fcgi.TypeStdout: nil, fcgi.TypeStderr: nil}
	for {
		h, err := records.Next()
		if err != nil {
			t.Fatalf("read answer: %v", err)
		}
		if h.Type == fcgi.TypeEndRequest {
			return string(streams[fcgi.TypeStdout]), string(streams[fcgi.TypeStderr])
		}
		if _, ok := streams[h.Type]; !ok {
			t.Fatalf("unexpected %v", h)
		}
		for {
			chunk, err := records.Chunk()
			if err != nil {
				t.Fatal(err)
			}
			if len(chunk) == 0 {
				break
			}
			streams[h.Type] = append(streams[h.Type], chunk...)
		}
	}
}

func writeApp(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.py"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestServesAndDrains(t *testing.T) {
	for _, threads := range []int{1, 4} {
		cmd, stderr, conn := start(t, wsgi.Options{
			Target: "shop", Dir: writeApp(t, helloApp), Threads: threads, CacheDir: filepath.Join(t.TempDir(), "cache"),
		})
		records := fcgi.NewRecordReader(conn)
		for _, query := range []string{"a", "b", strings.Repeat("c", 100)} {
			if got := ask(t, conn, records, query); !strings.HasSuffix(got, "\r\n\r\nhello "+query) {
				t.Errorf("threads %d: answer %q", threads, got)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("threads %d: after TERM: %v, stderr %q; want exit status 0 and silence", threads, err, stderr)
		}
	}
}

func TestLoadFailure(t *testing.T) {
	cmd, stderr, _ := start(t, wsgi.Options{
		Target: "shop:nothing", Dir: writeApp(t, helloApp), CacheDir: filepath.Join(t.TempDir(), "cache"),
	})
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("exit: %v, want status 3", err)
	}
	if want := "has no nothing; callable there: application"; !strings.Contains(stderr.String(), want) {
		t.Errorf("stderr %q does not say %q", stderr, want)
	}
}

func TestCommandRefuses(t *testing.T) {
	for why, o := range map[string]wsgi.Options{
		"no target":      {},
		"directory":      {Target: "a", Dir: "/nonexistent"},
		"threads":        {Target: "a", Threads: 1025},
		"no interpreter": {Target: "a", Python: "/nonexistent/python"},
	} {
		o.CacheDir = filepath.Join(t.TempDir(), "cache")
		if _, _, _, err := wsgi.Command(o); err == nil {
			t.Errorf("%s: no error", why)
		}
	}
}

// TestInterpreter holds the order of the places where Python is looked for.
func TestInterpreter(t *testing.T) {
	dir, active := t.TempDir(), t.TempDir()
	python := func(parts ...string) string {
		path := filepath.Join(parts...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	o := wsgi.Options{Target: "a", Dir: dir, CacheDir: filepath.Join(t.TempDir(), "cache")}
	check := func(want string) {
		t.Helper()
		if got, _, _, err := wsgi.Command(o); err != nil || got != want {
			t.Errorf("interpreter %q, %v; want %q", got, err, want)
		}
	}
	t.Setenv("VIRTUAL_ENV", "")
	path := t.TempDir()
	t.Setenv("PATH", path)
	check(python(path, "python3"))
	check(python(dir, "venv", "bin", "python"))
	check(python(dir, ".venv", "bin", "python"))
	t.Setenv("VIRTUAL_ENV", active)
	check(python(active, "bin", "python"))
	o.Python = python(dir, "mine")
	check(o.Python)
}

func TestLayDown(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // a cautious administrator's
	cache := filepath.Join(t.TempDir(), "cache")
	command := func() (string, error) {
		_, args, _, err := wsgi.Command(wsgi.Options{Target: "a", Python: "/bin/sh", CacheDir: cache})
		if err != nil {
			return "", err
		}
		return args[0], nil
	}
	pkg, err := command()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(cache); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("cache directory: %v, %v; another user must be able to read it", info.Mode(), err)
	}
	main := filepath.Join(pkg, "__main__.py")
	whole, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func() error{
		"a file is gone":           func() error { return os.Remove(main) },
		"a file is changed":        func() error { return os.WriteFile(main, []byte("evil()"), 0o644) },
		"a file is for others":     func() error { return os.Chmod(main, 0o666) },
		"the folder is for others": func() error { return os.Chmod(pkg, 0o777) },
	}
	for why, do := range damage {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		again, err := command()
		if err != nil || again != pkg {
			t.Fatalf("%s: %q, %v", why, again, err)
		}
		if got, _ := os.ReadFile(main); !slices.Equal(got, whole) {
			t.Errorf("%s: it was not laid down again", why)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(cache, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.Chmod(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := command(); err == nil {
		t.Error("a cache directory that others may write to was used")
	}
}
