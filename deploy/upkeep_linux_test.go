package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// rounds is how often something is done under load.
func rounds() int {
	if long() {
		return 10
	}
	return 2
}

func long() bool { return os.Getenv("FRONTD_LONG") != "" }

// testRestart has load on a socket of systemd's, and on one of frontd's own,
// which the descriptor store keeps.
func testRestart(t *testing.T, c *container) {
	pid := c.property(t, "frontd.service", "MainPID")
	unit, own := c.startLoad(t, socketURL), c.startLoad(t, tcpURL)
	for range rounds() {
		c.run(t, "systemctl", "reset-failed", "frontd.service") // StartLimitBurst= counts these too
		c.run(t, "systemctl", "restart", "frontd.service")
		unit.round()
		own.round()
	}
	unit.end()
	own.end()
	if c.property(t, "frontd.service", "MainPID") == pid {
		t.Error("the same process is there")
	}
	c.wantProperties(t, "frontd.service", "NFileDescriptorStore=1", "NRestarts=0")

	// What the configuration has no more is not kept open.
	c.configure(t, "/etc/frontd/frontd.toml", strings.Replace(frontdConfig, `, "127.0.0.1:8080"`, "", 1))
	c.run(t, "systemctl", "restart", "frontd.service")
	if out, err := c.try("curl", "-sS", "--max-time", "60", tcpURL+"/hello"); err == nil {
		t.Errorf("somebody answers at an address that is not configured: %s", out)
	}
	c.wantProperties(t, "frontd.service", "NFileDescriptorStore=0")
	c.configure(t, "/etc/frontd/frontd.toml", frontdConfig)
	c.run(t, "systemctl", "restart", "frontd.service")
	c.wantHello(t, tcpURL)
}

func testUpgrade(t *testing.T, c *container) {
	unit, own := c.startLoad(t, socketURL), c.startLoad(t, tcpURL)
	for range rounds() {
		before := c.property(t, "frontd.service", "MainPID")
		out := c.run(t, "frontd", "upgrade")
		counterpart.Await(t, "another main process", patience, func() error {
			now := c.property(t, "frontd.service", "MainPID")
			if now == before || !strings.Contains(out, "pid "+now+", serves; pid "+before) {
				return fmt.Errorf("main process %s, before %s: %s", now, before, out)
			}
			return nil
		})
		unit.round()
		own.round()
	}
	c.run(t, "systemctl", "reload", "frontd.service") // it is the new one's control socket
	unit.end()
	own.end()
	c.wantProperties(t, "frontd.service", "ActiveState=active", "SubState=running", "NRestarts=0", "NFileDescriptorStore=1")
	counterpart.Await(t, "the old process's end", patience, func() error {
		if list := daemons(c.processes()); len(list) != 1 {
			return fmt.Errorf("daemons: %q", list)
		}
		return nil
	})
	if got := c.property(t, "frontd.service", "StatusText"); !strings.Contains(got, "2 workers, 1 app, ") {
		t.Errorf("status %q", got)
	}

	testPackageUpgrade(t, c)

	// A new program that is none changes nothing.
	c.run(t, "mv", "/usr/bin/frontd", "/usr/bin/frontd.kept")
	defer c.run(t, "mv", "/usr/bin/frontd.kept", "/usr/bin/frontd")
	pid := c.property(t, "frontd.service", "MainPID")
	if out, err := c.feed("#!/bin/sh\necho wrong machine >&2\nexit 7\n", "install", "-m", "0755", "/dev/stdin", "/usr/bin/frontd"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := c.try("/usr/bin/frontd.kept", "upgrade")
	if err == nil || !strings.Contains(out, "exit status 7\nwrong machine") {
		t.Errorf("an upgrade to a script: %v, %q", err, out)
	}
	c.wantHello(t, tcpURL)
	c.wantProperties(t, "frontd.service", "MainPID="+pid)
}

// testPackageUpgrade installs the package over itself: what runs is restarted.
func testPackageUpgrade(t *testing.T, c *container) {
	t.Helper()
	c.run(t, "rm", "-f", "/usr/sbin/policy-rc.d") // which images of containers have, to start nothing
	before := c.property(t, "frontd.service", "MainPID")
	unit, own := c.startLoad(t, socketURL), c.startLoad(t, tcpURL)
	c.run(t, "dpkg", "-i", "/frontd.deb")
	unit.round()
	own.round()
	unit.end()
	own.end()
	if now := c.property(t, "frontd.service", "MainPID"); now == before || now == "0" {
		t.Errorf("main process %s, before %s", now, before)
	}
}

// daemons are frontd itself, of its processes.
func daemons(processes []string) []string {
	return slices.DeleteFunc(slices.Clone(processes), func(p string) bool { return !strings.Contains(p, "frontd serve") })
}

// testUsers has users.conf beside the unit: frontd is root, and hardly so.
func testUsers(t *testing.T, c *container) {
	b, err := os.ReadFile(filepath.Join("systemd", "users.conf"))
	if err != nil {
		t.Fatal(err)
	}
	const dropIn = "/etc/systemd/system/frontd.service.d/users.conf"
	if out, err := c.feed(string(b), "install", "-D", "-m", "0644", "/dev/stdin", dropIn); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.configure(t, "/etc/frontd/frontd.toml", strings.Replace(frontdConfig, "workers = 2", "workers = 2\nuser = \"www-data\"\ngroup = \"frontd\"", 1))
	c.run(t, "systemctl", "daemon-reload")
	c.run(t, "systemctl", "reset-failed", "frontd.service")
	c.run(t, "systemctl", "restart", "frontd.service")
	c.wantHello(t, socketURL)
	before := workers(c.processesOf("www-data"))
	if len(before) != 2 || len(c.processes()) != 0 {
		t.Fatalf("workers of www-data: %q, processes of frontd's user: %q", before, c.processes())
	}
	pid, _, _ := strings.Cut(before[0], " ")
	for _, want := range []string{`CapEff:\s+0000000000000000\n`, `CapPrm:\s+0000000000000000\n`, `CapAmb:\s+0000000000000000\n`, `NoNewPrivs:\s+1\n`} {
		if got := c.run(t, "cat", "/proc/"+pid+"/status"); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("a worker: no %s in\n%s", want, got)
		}
	}
	if got := c.run(t, "cat", "/proc/"+c.property(t, "frontd.service", "MainPID")+"/status"); !regexp.MustCompile(`CapEff:\s+00000000000004e0\n`).MatchString(got) {
		t.Errorf("frontd has other rights than kill, setgid, setuid, net_bind_service:\n%s", got)
	}
	l := c.startLoad(t, socketURL)
	c.run(t, "systemctl", "reload", "frontd.service")
	l.round()
	l.end()
	for _, p := range workers(c.processesOf("www-data")) {
		if slices.Contains(before, p) {
			t.Errorf("%s has outlived the reload", p)
		}
	}
	c.run(t, "rm", dropIn)
	c.configure(t, "/etc/frontd/frontd.toml", frontdConfig)
	c.run(t, "systemctl", "daemon-reload")
	c.run(t, "systemctl", "restart", "frontd.service")
	if left := c.processesOf("www-data"); len(left) > 0 {
		t.Errorf("left running: %q", left)
	}
}

// testWatchdog stops frontd as a machine would that swaps to death.
func testWatchdog(t *testing.T, c *container) {
	put := func(text string) {
		t.Helper()
		if out, err := c.feed(text, "install", "-D", "-m", "0644", "/dev/stdin", "/run/systemd/system/frontd.service.d/test.conf"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		c.run(t, "systemctl", "daemon-reload")
		c.run(t, "systemctl", "restart", "frontd.service")
	}
	put("[Service]\nWatchdogSec=5\nTimeoutAbortSec=2\n")
	pid := c.property(t, "frontd.service", "MainPID")
	c.run(t, "kill", "-STOP", pid)
	counterpart.Await(t, "another frontd", patience, func() error {
		now := c.property(t, "frontd.service", "MainPID")
		if state := c.property(t, "frontd.service", "ActiveState"); now == pid || now == "0" || state != "active" {
			return fmt.Errorf("%s, main process %s, before %s", state, now, pid)
		}
		return nil
	})
	c.wantHello(t, socketURL)
	c.wantHello(t, tcpURL)
	c.wantProperties(t, "frontd.service", "NRestarts=1")
	c.wantJournal(t, "frontd.service", "Watchdog timeout")
	put("") // and the counter begins again
	c.run(t, "systemctl", "reset-failed", "frontd.service")
}
