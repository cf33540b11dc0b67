package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/frontd/frontd/internal/counterpart"
)

// TestScripts runs what a person types, one file a concern. Beside
// testscript's own commands there are
//
//	daemon NAME ARGS...   starts frontd ARGS, waits until it listens, sets $NAME to its URL
//	log NAME PATTERN      waits for a line of the daemon's log
//	get [-s STATUS] URL   prints the answer's head and body; without -s the status is 200,
//	                      and one of 503 is asked again: workers may still start
//	send URL FILE         sends FILE as it is to the URL's address and prints the answer
//	signal NAME SIGNAL    sends TERM, HUP, ... to the daemon
//	status N ARGS...      runs frontd ARGS, whose exit status is to be N
//	hostport URL          sets $HOSTPORT
//	gone NAME STATUS      waits for the daemon's end and checks its exit status
func TestScripts(t *testing.T) {
	p := scriptParams()
	p.Dir = "testdata/script"
	testscript.Run(t, p)
}

func scriptParams() testscript.Params {
	return testscript.Params{
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Condition:           scriptCondition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"daemon":   scriptDaemon,
			"log":      scriptLog,
			"get":      scriptGet,
			"send":     scriptSend,
			"signal":   scriptSignal,
			"status":   scriptStatus,
			"hostport": scriptHostport,
			"gone":     scriptGone,
		},
	}
}

type daemonsKey struct{}

func setupScript(env *testscript.Env) error {
	run, err := os.MkdirTemp("", "fd") // short, for sockets
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(run) })
	env.Setenv("XDG_RUNTIME_DIR", run)
	env.Setenv("RUN", run)
	env.Setenv("GORACE", goRace)
	env.Setenv(engineVariable, os.Getenv(engineVariable))
	env.Values[daemonsKey{}] = map[string]*counterpart.Process{}
	return nil
}

// scriptCondition makes [has:PROGRAM] and [perl:MODULE].
func scriptCondition(cond string) (bool, error) {
	var err error
	what, name, _ := strings.Cut(cond, ":")
	switch what {
	case "has":
		_, err = exec.LookPath(name)
	case "perl":
		err = exec.Command("perl", "-M"+name, "-e1").Run()
	case "python":
		err = exec.Command("python3", "-c", "import "+name).Run()
	default:
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	if err != nil && os.Getenv(counterpart.NoSkip) == "1" {
		return false, fmt.Errorf("not installed: %s (%w)", cond, err)
	}
	return err == nil, nil
}

// scriptTB is a script as package counterpart knows a test.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (s scriptTB) Helper()                         {}
func (s scriptTB) Fatalf(f string, a ...any)       { s.ts.Fatalf(f, a...) }
func (s scriptTB) Fatal(a ...any)                  { s.ts.Fatalf("%s", fmt.Sprint(a...)) }
func (s scriptTB) Error(a ...any)                  { s.ts.Logf("%s", fmt.Sprint(a...)) }
func (s scriptTB) Logf(format string, args ...any) { s.ts.Logf(format, args...) }
func (s scriptTB) Cleanup(f func())                { s.ts.Defer(f) }
func (s scriptTB) Failed() bool                    { return true } // shown with -v or on failure

func scriptDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: daemon NAME ARGS...")
	}
	path, err := exec.LookPath("frontd")
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = "frontd"
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_RUNTIME_DIR", "GORACE", engineVariable} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	p := counterpart.Start(scriptTB{ts: ts}, cmd)
	ts.Value(daemonsKey{}).(map[string]*counterpart.Process)[args[0]] = p
	m := p.AwaitLine(`(?:msg=listening|msg="workers listen") address=(\S+)`, patience)
	ts.Setenv(args[0], m[1])
}

func scriptProcess(ts *testscript.TestScript, args []string, n int, usage string) *counterpart.Process {
	if len(args) != n {
		ts.Fatalf("usage: %s", usage)
	}
	p := ts.Value(daemonsKey{}).(map[string]*counterpart.Process)[args[0]]
	if p == nil {
		ts.Fatalf("no daemon %q", args[0])
	}
	return p
}

func scriptLog(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptProcess(ts, args, 2, "log NAME PATTERN")
	if neg {
		if p.Count(args[1]) > 0 {
			ts.Fatalf("there is a line like %q", args[1])
		}
		return
	}
	p.AwaitLine(args[1], patience)
}

func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	want := http.StatusOK
	if len(args) == 3 && args[0] == "-s" {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
		args = args[2:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: get [-s STATUS] URL")
	}
	tr := &http.Transport{DisableKeepAlives: true}
	c := http.Client{Transport: tr, Timeout: patience}
	var resp *http.Response
	err := counterpart.Poll(patience, func() (err error) {
		if resp != nil {
			resp.Body.Close()
		}
		if resp, err = c.Get(args[0]); err == nil && resp.StatusCode == http.StatusServiceUnavailable && want == http.StatusOK {
			err = errors.New(resp.Status)
		}
		return err
	})
	ts.Check(err)
	defer resp.Body.Close()
	var b bytes.Buffer
	fmt.Fprintln(&b, resp.Proto, resp.Status)
	ts.Check(resp.Header.Write(&b))
	fmt.Fprintln(&b)
	_, err = b.ReadFrom(resp.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(b.Bytes())
	ts.Check(err)
	if resp.StatusCode != want {
		ts.Fatalf("%s: status %s, want %d:\n%s", args[0], resp.Status, want, b.String())
	}
}

// scriptSend sends lines with CRLF, as HTTP has them.
func scriptSend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: send URL FILE")
	}
	nc, err := net.Dial("tcp", strings.TrimPrefix(args[0], "http://"))
	ts.Check(err)
	defer nc.Close()
	ts.Check(nc.SetDeadline(time.Now().Add(patience)))
	text := strings.ReplaceAll(ts.ReadFile(args[1]), "\n", "\r\n")
	_, err = io.WriteString(nc, text)
	ts.Check(err)
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	ts.Check(err)
	defer resp.Body.Close()
	b, err := httputil.DumpResponse(resp, true)
	ts.Check(err)
	_, err = ts.Stdout().Write(b)
	ts.Check(err)
}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptProcess(ts, args, 2, "signal NAME SIGNAL")
	s, ok := map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL, "USR1": syscall.SIGUSR1,
	}[args[1]]
	if neg || !ok {
		ts.Fatalf("no signal %q", args[1])
	}
	p.Signal(s)
}

func scriptGone(ts *testscript.TestScript, neg bool, args []string) {
	p := scriptProcess(ts, args, 2, "gone NAME STATUS")
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := p.AwaitExit(patience).ExitCode(); neg || got != want {
		ts.Fatalf("exit status is %d, want %d", got, want)
	}
}

func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("frontd", args[1:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status is %d, want %d", got, want)
	}
}

func scriptHostport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hostport URL")
	}
	ts.Setenv("HOSTPORT", strings.TrimPrefix(args[0], "http://"))
}
