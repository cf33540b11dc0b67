package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// upgradable is a frontd whose program may be replaced: a link in a folder of
// its own. It ends what took over from it, too.
func upgradable(t testing.TB, args ...string) (r *running, program string) {
	t.Helper()
	dir := counterpart.Dir(t)
	path, err := exec.LookPath("frontd")
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "bin", "frontd")
	if err := errors.Join(os.Mkdir(filepath.Dir(program), 0o755), os.Symlink(path, program)); err != nil {
		t.Fatal(err)
	}
	r = &running{t: t, dir: dir, control: filepath.Join(dir, "control.sock")}
	cmd := command(t, dir, append([]string{"serve", "--control", r.control}, args...)...)
	// The test binary is told its name only, and finds itself by PATH.
	cmd.Path = program
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	r.Process = counterpart.Start(t, cmd)
	r.client = newClient(t)
	t.Cleanup(func() {
		if _, err := r.tryStatus(); err == nil {
			r.command("stop")
		}
	})
	r.settle()
	return r, program
}

// command runs a frontd command on the daemon's control socket.
func (r *running) command(args ...string) (string, error) {
	cmd := command(r.t, r.dir, append(args, "--control", r.control)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// upgrade returns the pid of the daemon that serves then.
func (r *running) upgrade() int {
	r.t.Helper()
	before := r.status().PID
	out, err := r.command("upgrade")
	if err != nil {
		r.t.Fatalf("upgrade: %v\n%s", err, out)
	}
	var pid int
	counterpart.Await(r.t, "another daemon", patience, func() error {
		s, err := r.tryStatus()
		if pid = s.PID; err == nil && pid == before {
			err = fmt.Errorf("pid %d answers still", pid)
		}
		return err
	})
	return pid
}

// long asks for the whole of a test that is short in make test.
func long() bool { return os.Getenv("FRONTD_LONG") != "" }

func awaitGone(t testing.TB, pid int) {
	t.Helper()
	counterpart.Await(t, fmt.Sprintf("the end of %d", pid), patience, func() error { return alivePIDs([]int{pid}) })
}

// The whole of it, ten times under load on every kind of connection: nobody
// notices, each request in hand is answered, and each old process goes.
func TestUpgradeUnderLoad(t *testing.T) {
	rounds := 3
	if long() {
		rounds = 10
	}
	socket := filepath.Join(t.TempDir(), "web.sock")
	r, _ := upgradable(t, "-l", "127.0.0.1:0", "-l", "unix:"+socket, "-w", "2")
	r.url = r.AwaitLine(`msg=listening address=(http://\S+)`, patience)[1]
	r.awaitServing("demo", 2)
	before, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	short := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	unix := unixClient(t, socket)
	loads := map[string]*load{
		"kept connections": startLoad(t, r.client, 4, http.MethodGet, r.url+"/hello", "", "hello\n"),
		"new connections":  startLoad(t, short, 2, http.MethodGet, r.url+"/hello", "", "hello\n"),
		"POST":             startLoad(t, short, 2, http.MethodPost, r.url+"/sleep?ms=30", "body", "slept 30 ms\n"),
		"unix socket":      startLoad(t, unix, 2, http.MethodGet, "http://unix/hello", "", "hello\n"),
	}
	pids := []int{r.PID()}
	for range rounds {
		for _, l := range loads {
			l.awaitMore(t, 10)
		}
		pids = append(pids, r.upgrade())
		awaitGone(t, pids[len(pids)-2])
	}
	for what, l := range loads {
		l.awaitMore(t, 10)
		l.clean(t, fmt.Sprintf("%d upgrades, %s", rounds, what))
	}
	if state := r.AwaitExit(patience); state.ExitCode() != 0 {
		t.Errorf("the first daemon: %v, want exit status 0", state)
	}
	if slices.Sort(pids); len(slices.Compact(pids)) != rounds+1 {
		t.Errorf("pids %v, want %d", pids, rounds+1)
	}
	after, err := os.Stat(socket)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the unix socket is another one: %v", err)
	}
	pid := r.status().PID
	if out, err := r.command("stop"); err != nil {
		t.Fatalf("stop: %v\n%s", err, out)
	}
	awaitGone(t, pid)
	for _, path := range []string{socket, r.control} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left behind", path)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "frontd", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func unixClient(t testing.TB, path string) *http.Client {
	c := newClient(t)
	c.Transport.(*http.Transport).Dial = func(string, string) (net.Conn, error) { return net.Dial("unix", path) }
	return c
}

// A request that is in the old process's hands is answered by it, while the
// new one serves the others.
func TestUpgradeAwaitsRequests(t *testing.T) {
	t.Parallel()
	r, _ := upgradable(t, "-l", "127.0.0.1:0", "-w", "1")
	r.url = r.AwaitLine(`msg=listening address=(http://\S+)`, patience)[1]
	old := r.PID()
	release := r.hold()
	now := r.upgrade()
	if got := r.get("/hello"); got.status != http.StatusOK {
		t.Errorf("%d %q", got.status, got.body)
	}
	if parentOf(old) == 0 {
		t.Fatalf("the old process went before its request ended; pid %d serves", now)
	}
	release() // which expects a 200
	awaitGone(t, old)
}

// What cannot take over leaves all as it is, and the command says why.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	file := filepath.Join(dir, "frontd.toml")
	write(t, file, jsonLog+demoApp(1))
	r, program := upgradable(t, "-c", file)
	r.url = r.AwaitLine(`"address":"(http://[^"]+)`, patience)[1]
	real, err := os.Readlink(program)
	if err != nil {
		t.Fatal(err)
	}
	pids := r.awaitServing("demo", 1)
	l := startLoad(t, r.client, 2, http.MethodGet, r.url+"/hello", "", "hello\n")
	script := func(text string) func() { return func() { write(t, program, "#!/bin/sh\n"+text+"\n") } }
	replace := func() {
		if err := errors.Join(os.Remove(program), os.Symlink(real, program)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what    string
		prepare func()
		want    string
	}{
		{"a program that says why it fails", script("echo out of luck >&2; exit 3"), "exit status 3\nout of luck"},
		{"one that ends as if all was well", script("exit 0"), "ended before it was ready: exit status 0"},
		{"one that is killed", script("kill -9 $$"), "signal: killed"},
		{"one that is not there", func() { os.Remove(program) }, "no such file"},
		{"a wrong configuration", func() {
			write(t, program, "") // it is there again, for Remove
			replace()
			write(t, file, jsonLog+demoApp(1)+"nonsense = 1\n")
		}, "nonsense"},
		{"an application that does not start", func() {
			write(t, file, jsonLog+demoApp(1)+"[app.bad]\nkind = \"exec\"\ntarget = \"/bin/false\"\nworkers = 1\n")
		}, ""}, // it did not serve before either: the new one takes over, below
	} {
		c.prepare()
		if c.want == "" {
			continue
		}
		out, err := r.command("upgrade")
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, %q; want %q", c.what, err, out, c.want)
		}
		if now := r.awaitServing("demo", 1); !slices.Equal(now, pids) {
			t.Errorf("%s: workers %v, before %v", c.what, now, pids)
		}
	}
	if s := r.status(); s.PID != r.PID() {
		t.Errorf("pid %d serves, want %d", s.PID, r.PID())
	}
	l.clean(t, "failed upgrades")
	if left := descendants(t, r.PID()); len(left) != 2 {
		t.Errorf("descendants %v, want its guard and its worker", left)
	}
	r.upgrade() // and it can still be done
}

// An application that serves must not be lost by an upgrade.
func TestUpgradeKeepsWhatServes(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	file := filepath.Join(dir, "frontd.toml")
	good := "[app.own]\nkind = \"exec\"\ntarget = " + strconv.Quote(findSelf(t, "gofcgi")) + "\nworkers = 1\n[[route]]\npath = \"/\"\napp = \"own\"\n"
	write(t, file, jsonLog+good)
	r, _ := upgradable(t, "-c", file)
	r.awaitServing("own", 1)
	write(t, file, jsonLog+strings.Replace(good, findSelf(t, "gofcgi"), "/bin/false", 1))
	out, err := r.command("upgrade")
	if err == nil || !strings.Contains(out, "app own serves here and does not start in the new frontd") {
		t.Errorf("%v, %q", err, out)
	}
	if s := r.status(); s.PID != r.PID() {
		t.Errorf("pid %d serves, want %d", s.PID, r.PID())
	}
}

func findSelf(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// USR2 does what the command does, and TERM meanwhile ends both processes.
func TestUpgradeBySignal(t *testing.T) {
	t.Parallel()
	r, _ := upgradable(t, "-l", "127.0.0.1:0", "-w", "1")
	r.awaitServing("demo", 1)
	r.Signal(syscall.SIGUSR2)
	line := r.AwaitLine(`msg="handed over to a new frontd" pid=([0-9]+)`, patience)
	if state := r.AwaitExit(patience); state.ExitCode() != 0 {
		t.Errorf("%v, want exit status 0", state)
	}
	if s := r.status(); strconv.Itoa(s.PID) != line[1] {
		t.Errorf("pid %d serves, want %s", s.PID, line[1])
	}
}

// A HUP that comes while an upgrade runs is meant for the service: who takes over has
// read the configuration before, and reads it again.
func TestReloadDuringUpgrade(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	slow, gate, program := filepath.Join(dir, "slow"), filepath.Join(dir, "gate"), filepath.Join(dir, "worker.sh")
	write(t, program, fmt.Sprintf("#!/bin/sh\nif [ -e %s ]; then echo here >&2; read go <%s; fi\nexec %s\n", slow, gate, findSelf(t, "gofcgi")))
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "frontd.toml")
	const first = "[server]\nlisten = [\"127.0.0.1:0\"]\n[[route]]\npath = \"= /config\"\nreturn = { status = 200, body = \"before\" }\n"
	app := "[app.own]\nkind = \"exec\"\ntarget = " + strconv.Quote(program) + "\nworkers = 1\n[[route]]\npath = \"/\"\napp = \"own\"\n"
	write(t, file, first+app)
	r, _ := upgradable(t, "-c", file)
	r.url = r.AwaitLine(`msg=listening address=(http://\S+)`, patience)[1]
	r.awaitServing("own", 1)
	write(t, slow, "")
	r.Signal(syscall.SIGUSR2)
	r.AwaitLine("here", patience) // the heir's worker: its configuration is the first one
	write(t, file, strings.Replace(first, "before", "after", 1)+app)
	r.Signal(syscall.SIGHUP)
	if err := os.Remove(slow); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(gate, os.O_RDWR, 0) // waits for no reader, and keeps what is written for one
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	io.WriteString(f, "go\n")
	if state := r.AwaitExit(patience); state.ExitCode() != 0 {
		t.Errorf("the first daemon: %v, want exit status 0", state)
	}
	counterpart.Await(t, "the new configuration", patience, func() error {
		if got := r.get("/config"); got.body != "after" {
			return fmt.Errorf("%d %q", got.status, got.body)
		}
		return nil
	})
}

// A stop at any moment of an upgrade ends all, whoever has the sockets by then:
// TERM is meant for the service.
func TestStopDuringUpgrade(t *testing.T) {
	t.Parallel()
	moments := []time.Duration{0, 6, 12, 24}
	if long() {
		for ms := time.Duration(0); ms < 100; ms += 2 {
			moments = append(moments, ms)
		}
	}
	for _, after := range moments {
		r, _ := upgradable(t, "-l", "127.0.0.1:0", "-w", "1")
		r.awaitServing("demo", 1)
		r.Signal(syscall.SIGUSR2)
		<-time.NewTimer(after * time.Millisecond).C // another moment each time, not a wait for something
		if r.Exited() {
			continue // it has handed over and is gone: nobody to stop
		}
		r.SignalUnlessGone(syscall.SIGTERM)
		if state := r.AwaitExit(patience); state.ExitCode() != 0 {
			t.Errorf("TERM after %d ms: %v, want exit status 0", after, state)
		}
		if err := r.AwaitOutputEnd(patience); err != nil { // nobody holds its pipe any more
			t.Errorf("TERM after %d ms: %v\n%s", after, err, r.Log())
		}
	}
}

// A daemon that is killed in the midst of an upgrade takes its heir along.
func TestKillDuringUpgrade(t *testing.T) {
	t.Parallel()
	r, program := upgradable(t, "-l", "127.0.0.1:0", "-w", "1")
	r.awaitServing("demo", 1)
	real, err := os.Readlink(program)
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(r.dir, "go")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// The new one starts when we let it, when the old one is dead.
	write(t, program, "#!/bin/sh\necho here >&2\nread go <"+pipe+"\nexec "+real+` "$@"`+"\n")
	r.Signal(syscall.SIGUSR2)
	r.AwaitLine("here", patience)
	r.Signal(syscall.SIGKILL)
	<-r.Gone()
	f, err := os.OpenFile(pipe, os.O_RDWR, 0) // waits for no reader, and keeps what is written for one
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	io.WriteString(f, "go\n")
	if err := r.AwaitOutputEnd(patience); err != nil {
		t.Errorf("%v\n%s", err, r.Log())
	}
}
