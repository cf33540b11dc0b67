package host

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
	"github.com/yookoala/gofast"
	"go.uber.org/goleak"
)

// workerEnv makes the test binary be appworker.
const workerEnv = "HOST_TEST_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		err := Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
		if err != nil {
			fmt.Fprintf(os.Stderr, "appworker: %v\n", err)
		}
		os.Exit(ExitStatus(err))
	}
	goleak.VerifyTestMain(m)
}

func workerCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), workerEnv+"=1")
	return cmd
}

// onFD0 starts a worker with a socket at descriptor 0 and returns the
// socket's address. It listens already: whoever connects is served.
func onFD0(t *testing.T, args ...string) (address string, cmd *exec.Cmd) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd = workerCommand(args...)
	cmd.Stdin, cmd.Stderr = f, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return l.Addr().String(), cmd
}

// ask sends one request with gofast, which knows nothing of this project.
func ask(t *testing.T, network, address, method, path, body string, params map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	client, err := gofast.SimpleClientFactory(gofast.SimpleConnFactory(network, address))()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	req := gofast.NewRequest(r)
	for name, value := range map[string]string{
		"REQUEST_METHOD": method, "REQUEST_URI": path, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "",
		"SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1",
	} {
		req.Params[name] = value
	}
	if body != "" {
		req.Params["CONTENT_LENGTH"] = fmt.Sprint(len(body))
	}
	for name, value := range params {
		req.Params[name] = value
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	var stderr bytes.Buffer
	if err := resp.WriteTo(w, &stderr); err != nil {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		w.Header().Set("Test-Stderr", stderr.String())
	}
	return w
}

func terminate(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v; want exit status 0", err)
	}
}

func TestDemo(t *testing.T) {
	address, cmd := onFD0(t, "demo")
	if w := ask(t, "tcp", address, "GET", "/hello", "", nil); w.Code != 200 || w.Body.String() != "hello\n" {
		t.Errorf("hello: %d %q", w.Code, w.Body)
	}
	w := ask(t, "tcp", address, "GET", "/", "", map[string]string{"REQUEST_ID": "id-42"})
	if want := fmt.Sprintf("process %d.", cmd.Process.Pid); !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), "id-42") {
		t.Errorf("index: no %q or no id-42 in %s", want, w.Body)
	}
	w = ask(t, "tcp", address, "GET", "/demo/form", "", map[string]string{"SCRIPT_NAME": "/demo", "PATH_INFO": "/form"})
	if w.Code != 200 || !strings.Contains(w.Body.String(), `action="/demo/form"`) {
		t.Errorf("below a mount: %d %s", w.Code, w.Body)
	}
	w = ask(t, "tcp", address, "POST", "/checksum", "abc", nil)
	if !strings.Contains(w.Body.String(), "ba7816bf") {
		t.Errorf("checksum: %s", w.Body)
	}
	terminate(t, cmd)
}

func TestDemoCrash(t *testing.T) {
	address, cmd := onFD0(t, "demo")
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if w := ask(t, "tcp", address, "POST", "/crash", "", map[string]string{"QUERY_STRING": "how=panic", "REQUEST_URI": "/crash?how=panic"}); w.Code != 500 {
		t.Errorf("panic: %d; want 500", w.Code)
	}
	if w := ask(t, "tcp", address, "GET", "/hello", "", nil); w.Code != 200 {
		t.Errorf("after a panic: %d", w.Code)
	}
	terminate(t, cmd)
}

func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCGI(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "show", "#!/bin/sh\nprintf 'Status: 202 Yes\\nContent-Type: text/plain\\n\\n'\n"+
		"echo \"$SCRIPT_NAME|$PATH_INFO|$REQUEST_METHOD|$HOST_TEST_WORKER|$HTTP_PROXY|\"; cat; echo complaint >&2\n")
	address, cmd := onFD0(t, "cgi:"+dir)
	for _, test := range []struct{ script, info, want string }{
		{"", "/show/x", "/show|/x|POST|1||\nthe body"},
		{"/cgi", "/show/x", "/cgi/show|/x|POST|1||\nthe body"},
		{"/show/x", "", "/show|/x|POST|1||\nthe body"}, // as nginx sends it
	} {
		w := ask(t, "tcp", address, "POST", "/rewritten", "the body",
			map[string]string{"SCRIPT_NAME": test.script, "PATH_INFO": test.info, "HTTP_PROXY": "http://evil/"})
		if w.Code != 202 || w.Body.String() != test.want {
			t.Errorf("%+v: %d %q; want 202 %q", test, w.Code, w.Body, test.want)
		}
		if w.Header().Get("Test-Stderr") != "complaint\n" {
			t.Errorf("stderr %q", w.Header().Get("Test-Stderr"))
		}
	}
	if w := ask(t, "tcp", address, "GET", "/none", "", nil); w.Code != http.StatusNotFound {
		t.Errorf("no program: %d", w.Code)
	}
	terminate(t, cmd)
}

// TestCGIFit asks with libfcgi's own client.
func TestCGIFit(t *testing.T) {
	client := counterpart.Find(t, "cgi-fcgi")
	address, cmd := onFD0(t, "demo")
	ask := exec.Command(client, "-bind", "-connect", address)
	ask.Env = []string{"REQUEST_METHOD=GET", "REQUEST_URI=/hello", "SCRIPT_NAME=/hello", "SERVER_PROTOCOL=HTTP/1.1"}
	out, err := ask.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "Status: 200 OK\r\n") || !strings.HasSuffix(string(out), "\r\n\r\nhello\n") {
		t.Errorf("%q, %v", out, err)
	}
	terminate(t, cmd)
}

// TestBecome: an application of another program gets the socket at
// descriptor 0, whether it was there or is made, and blocking.
func TestBecome(t *testing.T) {
	perl := counterpart.Find(t, "perl")
	// A FastCGI program would do; this one says what it was given.
	program := script(t, t.TempDir(), "program", "#!"+perl+`
use Fcntl; use Socket;
my $flags = fcntl(STDIN, F_GETFL, 0);
my $listens = unpack("i", getsockopt(STDIN, SOL_SOCKET, SO_ACCEPTCONN));
print "pid $$ listens $listens blocking ", ($flags & O_NONBLOCK ? 0 : 1), " args @ARGV\n";
`)
	for _, args := range [][]string{
		{"exec:" + program + " a 'b c'", "-l", "127.0.0.1:0"},
		{"-l", "unix:" + filepath.Join(t.TempDir(), "s"), "exec:" + program + " a 'b c'"},
	} {
		cmd := workerCommand(args...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		want := fmt.Sprintf("pid %d listens 1 blocking 1 args a b c\n", cmd.Process.Pid)
		if err != nil || string(out) != want {
			t.Errorf("%q: %q, %v; want %q", args, out, err, want)
		}
	}
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-h"}, exitStopped, "wsgi:MODULE[:CALLABLE]"},
		{[]string{"demo"}, exitUsage, "not a listening socket"},
		{[]string{"dmeo"}, exitUsage, "did you mean demo?"},
		{[]string{"demo", "-x"}, exitUsage, "flag provided but not defined: -x"},
		{[]string{"demo", "more"}, exitUsage, "one APP is allowed"},
		{[]string{"demo", "--threads", "-1"}, exitUsage, "allowed is 1 to"},
		{[]string{"demo", "-l", "9000"}, exitUsage, "HOST:PORT"},
		{[]string{"fcgi:127.0.0.1:9000", "-l", "127.0.0.1:0"}, exitUsage, "not ours to start"},
		{[]string{"demo", "-l", "unix:" + filepath.Join(dir, "file")}, exitFailed, "not a socket"},
		{[]string{"demo", "-l", "unix:" + filepath.Join(dir, "none", "s")}, exitFailed, "no such file"},
		{[]string{"exec:no-such-program", "-l", "127.0.0.1:0"}, exitFailed, "not found in $PATH"},
	} {
		cmd := workerCommand(test.args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != test.status || !strings.Contains(string(out), test.want) {
			t.Errorf("%q: exit status %d, %s; want %d and %q", test.args, got, out, test.status, test.want)
		}
	}
}

// TestUnixSocket follows the file of a socket: made, in use, removed, left
// behind, replaced.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	start := func() *exec.Cmd {
		cmd := workerCommand("demo", "-l", "unix:"+path)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if cmd.ProcessState == nil {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		})
		line, err := bufio.NewReader(stderr).ReadString('\n')
		if !strings.Contains(line, "listens on unix:"+path) {
			t.Fatalf("%q, %v", line, err)
		}
		go io.Copy(io.Discard, stderr)
		// Ends with the process, which Cleanup waits for.
		return cmd
	}
	first := start()
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v; want 0660", fi.Mode(), err)
	}
	if out, err := workerCommand("demo", "-l", "unix:"+path).CombinedOutput(); err == nil || !strings.Contains(string(out), "another process listens there") {
		t.Errorf("a second one: %s, %v", out, err)
	}
	if w := ask(t, "unix", path, "GET", "/hello", "", nil); w.Code != 200 {
		t.Errorf("after the second one failed: %d", w.Code)
	}
	terminate(t, first)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after the end: %v; want no file", err)
	}
	killed := start()
	_ = killed.Process.Kill()
	_ = killed.Wait()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("after SIGKILL: %v; want the file left behind", err)
	}
	terminate(t, start())
}

// TestCloseLeavesOthersFiles: a socket that another process put in the place
// of ours is not ours to remove.
func TestCloseLeavesOthersFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".ours"); err != nil {
		t.Fatal(err)
	}
	other, err := listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after its own Close: %v", err)
	}
}

// TestMainEndsWithContext: Main as a function, in a process that lives on.
func TestMainEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Main(ctx, []string{"demo", "-l", "127.0.0.1:0"}, io.Discard, w) }()
	// done is received below.
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(line), "listens on ")
	if w := ask(t, "tcp", address, "GET", "/hello", "", nil); w.Code != 200 {
		t.Errorf("hello: %d", w.Code)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Main: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"A=1", "B=2", "A=3"}, []string{"A=4"})
	if strings.Join(got, " ") != "B=2 A=4" {
		t.Errorf("%q", got)
	}
}
