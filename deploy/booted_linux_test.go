package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

const (
	socketURL = "http://127.0.0.1"
	tcpURL    = "http://127.0.0.1:8080"

	frontdConfig = `
[server]
listen = ["systemd:http", "127.0.0.1:8080"]
[app.demo]
kind = "demo"
workers = 2
`
)

// stage lays out what is put over the system: the package, to be installed.
func stage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	make := counterpart.Find(t, "make")
	counterpart.Find(t, "dpkg")
	// Built as everything else here is, for the cache.
	cmd := exec.CommandContext(t.Context(), make, "-s", "-C", "..", "deb", "RELEASE=", "BUILDFLAGS=-buildvcs=false -pgo=off", "VERSION="+packaged, "GO="+counterpart.Find(t, "go"))
	cmd.Env = append(os.Environ(), "DIST="+dir, "MAKEFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make deb: %v\n%s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages: %q, %v", found, err)
	}
	if err := os.Rename(found[0], filepath.Join(dir, "frontd.deb")); err != nil {
		t.Fatal(err)
	}
	// A given one: without it the system would take this for its first boot.
	put(t, filepath.Join(dir, "etc/machine-id"), "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0\n")
	return dir
}

const packaged = "1.2.3~test"

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// configure writes a file as README.md says: root's, readable by frontd.
func (c *container) configure(t *testing.T, path, content string) {
	t.Helper()
	if out, err := c.feed(content, "install", "-m", "0640", "-g", "frontd", "/dev/stdin", path); err != nil {
		t.Fatalf("install %s: %v\n%s", path, err, out)
	}
}

// property is what systemd says of a unit.
func (c *container) property(t *testing.T, unit, name string) string {
	t.Helper()
	return strings.TrimSpace(c.run(t, "systemctl", "show", "--value", "-p", name, unit))
}

func (c *container) wantProperties(t *testing.T, unit string, want ...string) {
	t.Helper()
	for _, w := range want {
		name, value, _ := strings.Cut(w, "=")
		if got := c.property(t, unit, name); got != value {
			t.Errorf("%s: %s=%s, want %s", unit, name, got, value)
		}
	}
}

// processes are those of the user frontd, as "PID COMMAND".
func (c *container) processes() []string { return c.processesOf("frontd") }

func (c *container) processesOf(user string) []string {
	out, _ := c.try("ps", "-u", user, "-o", "pid=,args=") // fails where there is none
	var list []string
	for line := range strings.Lines(out) {
		list = append(list, strings.TrimSpace(line))
	}
	return list
}

// wantHello waits for an answer: with a socket of systemd's, until frontd has started.
func (c *container) wantHello(t *testing.T, base string) {
	t.Helper()
	if out, err := c.try("curl", "-sS", "--fail", "--max-time", "60", base+"/hello"); err != nil {
		t.Fatalf("GET %s/hello: %v\n%s", base, err, out)
	}
}

func TestBooted(t *testing.T) {
	needBoot(t)
	c := boot(t, stage(t))
	testInstall(t, c)
	c.configure(t, "/etc/frontd/frontd.toml", frontdConfig)

	// In this order: each goes on from where the one before has left it.
	for _, step := range []struct {
		name string
		run  func(*testing.T, *container)
	}{
		{"the first connection starts it", testActivation},
		{"it runs with no more rights than needed", testRights},
		{"a reload under load fails no request", testReload},
		{"a reload of a wrong configuration fails and changes nothing", testWrongReload},
		{"a restart under load refuses no connection", testRestart},
		{"an upgrade under load fails no request", testUpgrade},
		{"a frontd that hangs is started anew", testWatchdog},
		{"applications run as users of their own", testUsers},
		{"a killed frontd comes back, with no process left", testKilled},
		{"a killed worker is replaced, not the service", testWorkerKilled},
		{"the journal can be read", testJournal},
		{"a stop is clean", testStop},
		{"a configuration that is wrong is not tried again", testWrongStart},
		{"an instance hosts a Python application", testInstance},
		{"a pool serves a web server", testPool},
		{"the package goes, and leaves what is yours", testPurge},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, c) }) {
			return
		}
	}
}

// testInstall installs the package, twice: an installation starts nothing, and
// the second takes what is configured as it is.
func testInstall(t *testing.T, c *container) {
	for range 2 {
		c.run(t, "dpkg", "-i", "/frontd.deb")
	}
	if got := c.run(t, "frontd", "version"); !strings.HasPrefix(got, "frontd "+strings.ReplaceAll(packaged, "~", "-")+" ") {
		t.Errorf("version %q", got)
	}
	if got := c.run(t, "stat", "-c", "%U %G %a", "/etc/frontd", "/etc/frontd/frontd.toml"); got != "root frontd 750\nroot frontd 640\n" {
		t.Errorf("the configuration: %q", got)
	}
	c.run(t, "frontd", "check", "-c", "/etc/frontd/frontd.toml")
	c.wantProperties(t, "frontd.service", "LoadState=loaded", "ActiveState=inactive", "UnitFileState=disabled")
	c.wantProperties(t, "frontd.socket", "LoadState=loaded", "ActiveState=inactive", "UnitFileState=disabled")
}

func testPurge(t *testing.T, c *container) {
	c.run(t, "systemctl", "start", "frontd.socket", "frontd.service")
	c.run(t, "dpkg", "-r", "frontd")
	if left := c.processes(); len(left) > 0 {
		t.Errorf("left running: %q", left)
	}
	c.run(t, "test", "-e", "/etc/frontd/frontd.toml") // it is the administrator's until the purge
	c.run(t, "dpkg", "-P", "frontd")
	if out, err := c.try("ls", "/etc/frontd/frontd.toml", "/usr/bin/frontd", "/usr/lib/systemd/system/frontd.service"); err == nil {
		t.Errorf("left behind: %s", out)
	}
	c.wantProperties(t, "frontd.service", "LoadState=not-found")
}

func testActivation(t *testing.T, c *container) {
	c.run(t, "systemctl", "start", "frontd.socket")
	c.wantProperties(t, "frontd.service", "ActiveState=inactive")
	c.wantHello(t, socketURL)
	c.run(t, "systemctl", "start", "frontd.service") // it is starting: returns at READY=1
	c.wantProperties(t, "frontd.service", "ActiveState=active", "SubState=running")
	c.wantHello(t, tcpURL)
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		c.wantHello(t, "http://[::1]")
	}
	c.run(t, "frontd", "status")
}

func testRights(t *testing.T, c *container) {
	pid := c.property(t, "frontd.service", "MainPID")
	for _, p := range []struct{ what, pid, file, want string }{
		{"frontd is not root", pid, "status", `Uid:\s+[1-9]`},
		{"one capability", pid, "status", `CapEff:\s+0000000000000400\n`},
		{"nor more", pid, "status", `CapBnd:\s+0000000000000400\n`},
		{"no setuid program helps", pid, "status", `NoNewPrivs:\s+1\n`},
		{"system calls are filtered", pid, "status", `Seccomp:\s+2\n`},
		{"it sees its own processes only", pid, "mountinfo", ` /proc \S+ .*hidepid=`},
		{"the system is read-only", pid, "mountinfo", ` / / ro,`},
	} {
		if got := c.run(t, "cat", "/proc/"+p.pid+"/"+p.file); !regexp.MustCompile(p.want).MatchString(got) {
			t.Errorf("%s: no %s in\n%s", p.what, p.want, got)
		}
	}
}

// workers are the processes that host the demo.
func workers(processes []string) []string {
	return slices.DeleteFunc(slices.Clone(processes), func(p string) bool { return !strings.Contains(p, "appworker demo") })
}

func testReload(t *testing.T, c *container) {
	before, pid := workers(c.processes()), c.property(t, "frontd.service", "MainPID")
	if len(before) != 2 {
		t.Fatalf("%d workers: %q", len(before), before)
	}
	for _, base := range []string{socketURL, tcpURL} {
		l := c.startLoad(t, base)
		c.run(t, "systemctl", "reload", "frontd.service")
		l.round()
		l.end()
	}
	for _, p := range workers(c.processes()) {
		if slices.Contains(before, p) {
			t.Errorf("%s: its worker was there before the reload", p)
		}
	}
	c.wantProperties(t, "frontd.service", "MainPID="+pid)
}

func testWrongReload(t *testing.T, c *container) {
	before := workers(c.processes())
	c.configure(t, "/etc/frontd/frontd.toml", strings.Replace(frontdConfig, "workers", "wokers", 1))
	defer c.configure(t, "/etc/frontd/frontd.toml", frontdConfig)
	l := c.startLoad(t, socketURL)
	if out, err := c.try("systemctl", "reload", "frontd.service"); err == nil {
		t.Errorf("systemctl reload succeeds:\n%s", out)
	}
	l.round()
	l.end()
	if after := workers(c.processes()); !slices.Equal(after, before) {
		t.Errorf("workers %q, before %q", after, before)
	}
	c.wantProperties(t, "frontd.service", "ActiveState=active")
	c.wantJournal(t, "frontd.service", "wokers")
}

// testKilled kills frontd alone, whose workers then have nobody, and all of
// the unit. The kernel keeps the next connection for the next frontd.
func testKilled(t *testing.T, c *container) {
	for n, who := range []string{"main", "all"} {
		before := c.processes()
		if len(before) < 3 {
			t.Fatalf("only %q", before)
		}
		c.run(t, "systemctl", "kill", "-s", "KILL", "--kill-who="+who, "frontd.service")
		c.wantHello(t, socketURL)
		c.run(t, "systemctl", "start", "frontd.service") // it is starting: returns at READY=1
		for _, p := range c.processes() {
			if slices.Contains(before, p) {
				t.Errorf("kill of %s: %s has survived", who, p)
			}
		}
		c.wantProperties(t, "frontd.service", "ActiveState=active", fmt.Sprintf("NRestarts=%d", n+1))
	}
}

func testWorkerKilled(t *testing.T, c *container) {
	before := workers(c.processes())
	pid, _, _ := strings.Cut(before[0], " ")
	main := c.property(t, "frontd.service", "MainPID")
	c.run(t, "kill", "-KILL", pid)
	counterpart.Await(t, "another worker", patience, func() error {
		now := workers(c.processes())
		if len(now) != 2 || slices.Contains(now, before[0]) {
			return fmt.Errorf("workers %q", now)
		}
		return nil
	})
	c.wantHello(t, socketURL)
	c.wantProperties(t, "frontd.service", "MainPID="+main, "OOMPolicy=continue")
}

// wantJournal waits for a line: the journal takes them when it comes to it.
func (c *container) wantJournal(t *testing.T, unit, pattern string) {
	t.Helper()
	counterpart.Await(t, pattern+" in the journal", patience, func() error {
		out, err := c.try("journalctl", "--no-pager", "-u", unit, "-o", "cat")
		if err != nil {
			return err
		}
		if !regexp.MustCompile("(?m)" + pattern).MatchString(out) {
			return fmt.Errorf("not in\n%s", out)
		}
		return nil
	})
}

func testJournal(t *testing.T, c *container) {
	c.run(t, "curl", "-sS", "--fail", socketURL+"/hello?in=the-journal")
	c.wantJournal(t, "frontd.service", `^time=\S+ level=INFO msg="worker ready" app=demo`)
	c.wantJournal(t, "frontd.service", `"GET /hello\?in=the-journal HTTP/1.1" 200 .* app=demo worker=[0-9]+`)
	c.wantJournal(t, "frontd.service", `level=WARN msg="worker gone" .*signal 9`)
	if out := c.run(t, "journalctl", "--no-pager", "-u", "frontd.service", "-t", "frontd", "-p", "warning", "-o", "cat"); strings.Contains(out, "level=INFO") || !strings.Contains(out, `msg="worker gone"`) {
		t.Errorf("warnings are not told apart from the rest:\n%s", out)
	}
	for _, p := range []string{`"MESSAGE" : ".*in=the-journal`, `"SYSLOG_IDENTIFIER" : "frontd"`, `"_SYSTEMD_UNIT" : "frontd.service"`} {
		out := c.run(t, "journalctl", "--no-pager", "-u", "frontd.service", "-t", "frontd", "-g", "in=the-journal", "-o", "json-pretty")
		if !regexp.MustCompile(p).MatchString(out) {
			t.Errorf("no %s in\n%s", p, out)
		}
	}
}

func testStop(t *testing.T, c *container) {
	// Not the socket yet: it keeps systemd from forgetting how the service ended.
	c.run(t, "systemctl", "stop", "frontd.service")
	// 1 is CLD_EXITED: not killed.
	c.wantProperties(t, "frontd.service", "ActiveState=inactive", "Result=success", "ExecMainCode=1", "ExecMainStatus=0")
	if left := c.processes(); len(left) > 0 {
		t.Errorf("left running: %q", left)
	}
	if out, err := c.try("ls", "-A", "/run/frontd"); err == nil {
		t.Errorf("/run/frontd is still there: %s", out)
	}
	c.wantJournal(t, "frontd.service", `^time=.* msg=stopped$`)
	c.run(t, "systemctl", "stop", "frontd.socket")
	if out, err := c.try("curl", "-sS", "--max-time", "60", socketURL+"/hello"); err == nil {
		t.Errorf("somebody still answers: %s", out)
	}
}

func testWrongStart(t *testing.T, c *container) {
	c.configure(t, "/etc/frontd/wrong.toml", "[server]\nlisten = [\"127.0.0.1:8081\"]\nlistem = []\n[app.demo]\nkind = \"demo\"\n")
	if out, err := c.try("systemctl", "start", "frontd@wrong.service"); err == nil {
		t.Errorf("systemctl start succeeds:\n%s", out)
	}
	c.wantProperties(t, "frontd@wrong.service", "ActiveState=failed", "ExecMainStatus=2", "NRestarts=0")
	c.wantJournal(t, "frontd@wrong.service", `/etc/frontd/wrong\.toml:3:1: .*listem`)
}
