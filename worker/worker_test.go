package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/fcgi"
	"go.uber.org/goleak"
)

// TestMain makes the test binary the worker that the tests start.
func TestMain(m *testing.M) {
	if addr, ok := os.LookupEnv("WORKER_TEST_ADDR"); ok {
		os.Exit(child(addr))
	}
	goleak.VerifyTestMain(m)
}

// child is a worker: it answers with its variables and then echoes the body.
func child(addr string) int {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "id=%s params=%d\n", RequestID(r.Context()), len(Params(r)))
		io.WriteString(Stderr(r.Context()), "noted")
		http.NewResponseController(w).Flush()
		if _, err := io.Copy(w, r.Body); err != nil && context.Cause(r.Context()) != ErrAborted {
			fmt.Fprintln(os.Stderr, "copy:", err)
		}
	})
	if err := (&Server{Handler: mux}).ListenAndServe(addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A process is a worker under test.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	addr   string
	stdout bytes.Buffer
	stderr *os.File // to read
	tr     *fcgi.Transport
}

// start runs a worker whose fd 0 is a listening socket, or stdin if that is given.
func start(t *testing.T, stdin *os.File, env ...string) *process {
	p := &process{t: t, cmd: exec.Command(os.Args[0]), addr: filepath.Join(t.TempDir(), "s")}
	if stdin == nil {
		l, err := net.Listen("unix", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		if stdin, err = l.(*net.UnixListener).File(); err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr, p.stderr = stdin, &p.stdout, w, r
	p.cmd.Env = append(os.Environ(), append([]string{"WORKER_TEST_ADDR="}, env...)...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.tr = &fcgi.Transport{Keep: true, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", p.addr)
	}}
	t.Cleanup(func() {
		p.tr.Close()
		p.tr.Wait()
		p.cmd.Process.Kill() // has ended already, unless the test failed
		p.cmd.Wait()
		r.Close()
	})
	return p
}

// wait returns the exit status and the rest of standard error.
func (p *process) wait() (int, string) {
	p.t.Helper()
	stderr, err := io.ReadAll(p.stderr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd.Wait()
	if p.stdout.Len() > 0 {
		p.t.Errorf("the worker wrote to standard output: %q", &p.stdout)
	}
	return p.cmd.ProcessState.ExitCode(), string(stderr)
}

// ask sends a request with a body and returns its response, of which the
// worker's first line was read.
func (p *process) ask(body io.Reader) *fcgi.Response {
	p.t.Helper()
	req := &fcgi.Request{Role: fcgi.RoleResponder, Params: new(fcgi.Params), Stdin: body}
	req.Params.Add("REQUEST_METHOD", "POST")
	req.Params.Add("REQUEST_URI", "/")
	req.Params.Add("REQUEST_ID", "r1")
	resp, err := p.tr.RoundTrip(p.t.Context(), req)
	if err != nil {
		p.t.Fatal(err)
	}
	if b, err := resp.Next(); string(b) != "id=r1 params=3\n" {
		p.t.Fatalf("got %q, %v", b, err)
	}
	return resp
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// rest reads what is left of a response.
func rest(resp *fcgi.Response) (string, error) {
	defer resp.Wait()
	defer resp.Close()
	var all []byte
	for {
		b, err := resp.Next()
		if all = append(all, b...); err != nil {
			return string(all), err
		}
	}
}

func TestServeOnFD0(t *testing.T) {
	p := start(t, nil)
	idle := p.dialIdle()
	body, send := io.Pipe()
	resp := p.ask(body)
	p.signal(syscall.SIGQUIT)
	dump := make([]byte, 100)
	if n, err := io.ReadAtLeast(p.stderr, dump, 10); err != nil || !strings.HasPrefix(string(dump[:n]), "goroutine ") {
		t.Errorf("SIGQUIT: got %q, %v, want the stacks", dump[:n], err)
	}

	p.signal(syscall.SIGTERM)
	if n, err := idle.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("A22: an idle connection gave %d bytes, %v", n, err)
	}
	io.WriteString(send, "in hand while the worker stops")
	send.Close()
	if got, err := rest(resp); err != io.EOF || got != "in hand while the worker stops" {
		t.Errorf("A22: got %q, %v", got, err)
	}
	if code, stderr := p.wait(); code != 0 {
		t.Errorf("exit status %d, standard error %q", code, stderr)
	}
}

// dialIdle returns a connection on which one request was served.
func (p *process) dialIdle() net.Conn {
	p.t.Helper()
	nc, err := net.Dial("unix", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	var params []byte
	for _, s := range []string{"REQUEST_METHOD", "GET"} {
		params = append(params, byte(len(s)))
	}
	params = append(params, "REQUEST_METHODGET"...)
	b := fcgi.AppendBeginRequest(nil, 1, fcgi.RoleResponder, fcgi.FlagKeepConn)
	b = fcgi.AppendRecord(b, fcgi.TypeParams, 1, params)
	b = fcgi.AppendRecord(b, fcgi.TypeParams, 1, nil)
	nc.Write(fcgi.AppendRecord(b, fcgi.TypeStdin, 1, nil))
	rr := fcgi.NewRecordReader(nc)
	for {
		h, err := rr.Next()
		if err != nil {
			p.t.Fatal(err)
		}
		if h.Type == fcgi.TypeEndRequest {
			return nc
		}
	}
}

func TestSecondTerm(t *testing.T) {
	p := start(t, nil)
	idle := p.dialIdle()
	body, send := io.Pipe()
	resp := p.ask(body)
	p.signal(syscall.SIGTERM)
	idle.Read(make([]byte, 1)) // the first signal has been seen
	p.signal(syscall.SIGTERM)
	if _, err := rest2(resp, send); err == io.EOF {
		t.Error("a request that was cancelled looks complete")
	}
	if code, stderr := p.wait(); code != 1 || !strings.Contains(stderr, "second time") {
		t.Errorf("exit status %d, standard error %q", code, stderr)
	}
}

func rest2(resp *fcgi.Response, send *io.PipeWriter) (string, error) {
	b, err := resp.Next()
	send.CloseWithError(errors.New("over"))
	resp.Close()
	resp.Wait()
	return string(b), err
}

func TestNoSocket(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	connected := os.NewFile(uintptr(pair[0]), "connected")
	defer connected.Close()
	defer syscall.Close(pair[1])
	for why, stdin := range map[string]*os.File{"a file": null, "a connected socket": connected} {
		code, stderr := start(t, stdin).wait()
		if code != 1 || strings.TrimSpace(stderr) != ErrNoSocket.Error() {
			t.Errorf("A1: fd 0 is %s: exit status %d, standard error %q", why, code, stderr)
		}
	}
}

func TestListenErrors(t *testing.T) {
	err := (&Server{}).ListenAndServe("unix:" + filepath.Join(t.TempDir(), "no", "such", "folder"))
	if err == nil || !strings.Contains(err.Error(), "worker: listen on unix:") {
		t.Errorf("got %v", err)
	}
	t.Setenv("FCGI_WEB_SERVER_ADDRS", "10.0.0.1,here")
	err = (&Server{}).ListenAndServe("127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "FCGI_WEB_SERVER_ADDRS") {
		t.Errorf("a list that cannot be read: got %v", err)
	}
}

func TestAllowedPeers(t *testing.T) {
	got, err := allowedPeers(" 10.0.0.1, ::1,::ffff:10.0.0.2")
	want := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.IPv6Loopback(), netip.MustParseAddr("10.0.0.2")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := allowedPeers(""); got != nil || err != nil {
		t.Errorf("an unset list: got %v, %v, want any peer", got, err)
	}
}

// TestDrainTimeout: a handler that does not end holds the worker no longer than that.
func TestDrainTimeout(t *testing.T) {
	s := &signals{term: make(chan os.Signal, 2), dump: make(chan os.Signal, 1)}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	begun, ended := make(chan struct{}), make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	})
	served := make(chan error, 1)
	go func() { served <- (&Server{Handler: h, DrainTimeout: time.Millisecond}).serve(l, s) }()
	// Its end goes to served.
	tr := &fcgi.Transport{Dial: func(context.Context) (net.Conn, error) { return net.Dial("unix", l.Addr().String()) }}
	req := &fcgi.Request{Role: fcgi.RoleResponder, Params: new(fcgi.Params)}
	req.Params.Add("REQUEST_METHOD", "GET")
	asked := make(chan error, 1)
	go func() {
		_, err := tr.RoundTrip(t.Context(), req)
		asked <- err
	}()
	// Its end goes to asked.
	<-begun
	s.term <- syscall.SIGTERM
	if err := <-served; err == nil || !strings.Contains(err.Error(), "drain timeout") {
		t.Errorf("Serve returned %v", err)
	}
	if err := <-ended; err != ErrAborted {
		t.Errorf("the request's context ended with %v", err)
	}
	if err := <-asked; err == nil {
		t.Error("a cancelled request was answered")
	}
	tr.Close()
	tr.Wait()
}
