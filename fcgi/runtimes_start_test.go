package fcgi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	stdfcgi "net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A realRuntime is a FastCGI application that others have made, doing what
// testdata/runtimes says.
type realRuntime struct {
	name  string
	start func(t *testing.T, l *net.UnixListener) // serves l until the test ends
	vars  []string                                // parameters that it cannot do without
	caps  Capabilities                            // what it says of itself
}

var realRuntimes = []*realRuntime{
	{
		name: "php-cgi", start: startPHPCGI, vars: phpVars(),
		caps: Capabilities{MaxConns: 1, MaxRequests: 1, Answered: true},
	},
	{
		name: "php-fpm", start: startPHPFPM, vars: phpVars(),
		caps: Capabilities{Answered: true},
	},
	{
		name: "Perl FCGI", start: startPerl,
		caps: Capabilities{MaxConns: 1, MaxRequests: 1, Answered: true},
	},
	{
		name: "libfcgi", start: startC,
		caps: Capabilities{MaxConns: 1, MaxRequests: 1, Answered: true},
	},
	{
		name: "net/http/fcgi", start: startStdlib,
		caps: Capabilities{MaxConns: 0, MaxRequests: 0, Multiplex: true, Answered: true},
	},
	{
		name: "our own server", start: startOurs,
		caps: Capabilities{MaxConns: DefaultMaxConns, MaxRequests: DefaultMaxRequests, Multiplex: true, Window: DefaultWindow, Hold: true, Answered: true},
	},
}

func phpVars() []string {
	script, err := filepath.Abs("testdata/runtimes/app.php")
	if err != nil {
		panic(err)
	}
	return []string{"SCRIPT_FILENAME=" + script, "REDIRECT_STATUS=200"}
}

// need finds a program, or skips the test and says which.
func need(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, strings.Join(names, " or ")+" is not installed")
	return ""
}

func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("FRONTD_NOSKIP") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// listen makes the socket that the runtime is given: who connects before it
// has come up waits in the socket's queue.
func (rt *realRuntime) listen(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	rt.start(t, l)
	return path
}

// startProgram runs a program with l as its fd 0, and ends it after the test.
func startProgram(t *testing.T, l *net.UnixListener, cmd *exec.Cmd) {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer l.Close()
	l.SetUnlinkOnClose(false)
	if cmd.Stdin == nil && cmd.ExtraFiles == nil {
		cmd.Stdin = f
	} else {
		cmd.ExtraFiles = []*os.File{f}
	}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", cmd.Path, log.String())
		}
	})
}

func startPHPCGI(t *testing.T, l *net.UnixListener) {
	startProgram(t, l, exec.Command(need(t, "php-cgi"), "-n"))
}

func startPHPFPM(t *testing.T, l *net.UnixListener) {
	path := need(t, "php-fpm8.2", "php-fpm", "php-fpm8.3", "php-fpm8.4")
	dir := t.TempDir()
	conf := filepath.Join(dir, "fpm.conf")
	text := fmt.Sprintf("[global]\nerror_log = %s/log\n[www]\nlisten = %s\npm = static\npm.max_children = 2\n", dir, l.Addr())
	args := []string{"-n", "-F", "-y", conf}
	if os.Geteuid() == 0 {
		text += "user = root\ngroup = root\n"
		args = append(args, "-R")
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("FPM_SOCKETS=%s=3", l.Addr()))
	cmd.ExtraFiles = make([]*os.File, 1)
	startProgram(t, l, cmd)
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Process.Wait() }) // its children end with it
}

func startPerl(t *testing.T, l *net.UnixListener) {
	perl := need(t, "perl")
	if exec.Command(perl, "-MFCGI", "-e", "1").Run() != nil {
		missing(t, "Perl's FCGI is not installed")
	}
	startProgram(t, l, exec.Command(perl, "testdata/runtimes/app.pl"))
}

func startC(t *testing.T, l *net.UnixListener) {
	cc := need(t, "cc", "gcc", "clang")
	program := filepath.Join(t.TempDir(), "app")
	if out, err := exec.Command(cc, "-o", program, "testdata/runtimes/app.c", "-lfcgi").CombinedOutput(); err != nil {
		if strings.Contains(string(out), "fcgiapp.h") || strings.Contains(string(out), "-lfcgi") {
			missing(t, "libfcgi is not installed")
		}
		t.Fatalf("cc: %v\n%s", err, out)
	}
	startProgram(t, l, exec.Command(program))
}

// runtimeHandler is the test application for Go's servers.
func runtimeHandler(w http.ResponseWriter, r *http.Request) {
	_, rest, _ := strings.Cut(r.URL.Path, "/")
	what, arg, _ := strings.Cut(rest, "/")
	w.Header().Set("Content-Type", "text/plain")
	switch what {
	case "hello":
		io.WriteString(w, "hello")
	case "echo":
		io.Copy(w, r.Body)
	case "size":
		n, _ := strconv.Atoi(arg)
		io.WriteString(w, strings.Repeat("x", n))
	case "env":
		v := r.Header.Get(strings.ReplaceAll(strings.TrimPrefix(arg, "HTTP_"), "_", "-"))
		if v == "" {
			v = "none"
		}
		io.WriteString(w, v)
	case "pid":
		io.WriteString(w, strconv.Itoa(os.Getpid()))
	case "endless":
		for {
			if _, err := io.WriteString(w, strings.Repeat("endless ", 1024)); err != nil {
				return
			}
		}
	}
}

func startStdlib(t *testing.T, l *net.UnixListener) {
	ended := make(chan struct{})
	go func() {
		// Its end is received by the cleanup.
		defer close(ended)
		stdfcgi.Serve(l, http.HandlerFunc(runtimeHandler))
	}()
	t.Cleanup(func() { l.Close(); <-ended })
}

func startOurs(t *testing.T, l *net.UnixListener) {
	srv := &Server{Handler: http.HandlerFunc(runtimeHandler), ErrorLog: t.Logf}
	ended := make(chan struct{})
	go func() {
		// Its end is received by the cleanup.
		defer close(ended)
		srv.Serve(l)
	}()
	t.Cleanup(func() {
		srv.Close()
		srv.Shutdown(context.Background())
		<-ended
	})
}
