package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// probe is an application that tries what applications do, and what they
// should not be able to do.
const probe = `
import ctypes, os, resource, socket
def application(environ, start_response):
    out = []
    def probe(name, f):
        try: out.append("%s: %s" % (name, f()))
        except Exception as e: out.append("%s: %s" % (name, type(e).__name__))
    probe("callback", lambda: ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)(41))
    probe("resolve", lambda: len(socket.getaddrinfo("localhost", 80)) > 0)
    probe("write", lambda: open("/srv/probe/data", "w").write("x"))
    probe("chown", lambda: os.chown("/srv/probe/data", -1, os.getegid()))
    probe("temporary", lambda: open("/tmp/x", "w").write("x"))
    probe("backlog", lambda: int(open("/proc/sys/net/core/somaxconn").read()) > 0)
    probe("files", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    probe("system", lambda: open("/usr/x", "w"))
    probe("settings", lambda: open("/etc/frontd/x", "w"))
    probe("home", lambda: os.listdir("/root"))
    probe("root", lambda: os.setuid(0))
    probe("processes", lambda: os.path.exists("/proc/1"))
    probe("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    probe("namespace", lambda: ctypes.CDLL(None).unshare(0x10000000))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join(out + [""]).encode()]
`

const probed = `callback: 42
resolve: True
write: 1
chown: None
temporary: 1
backlog: True
files: 1024
system: OSError
settings: OSError
home: PermissionError
root: PermissionError
processes: False
raw: OSError
namespace: -1
`

func testInstance(t *testing.T, c *container) {
	counterpart.Find(t, "python3")
	c.run(t, "install", "-d", "-o", "frontd", "-g", "frontd", "/srv/probe")
	c.configure(t, "/srv/probe/app.py", probe)
	c.configure(t, "/etc/frontd/probe.toml",
		"[server]\nlisten = [\"127.0.0.1:8081\"]\n[app.probe]\nkind = \"wsgi\"\ntarget = \"app\"\ndirectory = \"/srv/probe\"\nworkers = 1\n")
	c.run(t, "systemctl", "start", "frontd@probe.service")
	if got := c.run(t, "curl", "-sS", "--fail", "--max-time", "60", "http://127.0.0.1:8081/"); got != probed {
		t.Errorf("the application says\n%s\nwant\n%s", got, probed)
	}
	if out := c.run(t, "ls", "/var/cache/frontd-probe"); !strings.HasPrefix(out, "wsgi-") {
		t.Errorf("in the cache directory: %q", out)
	}
	c.run(t, "systemctl", "reload", "frontd@probe.service")
	c.run(t, "frontd", "status", "--control", "/run/frontd-probe/control.sock")
	c.run(t, "systemctl", "stop", "frontd@probe.service")
	c.wantJournal(t, "frontd@probe.service", `Deactivated successfully`)
}

func testPool(t *testing.T, c *container) {
	c.configure(t, "/etc/frontd/pool/demo.env", "APP=demo\nWORKERS=2\n")
	c.run(t, "systemctl", "start", "frontd-pool@demo.service")
	const socket = "/run/frontd-pool-demo/fcgi.sock"
	if got := c.run(t, "stat", "-c", "%U %G %a", socket, "/run/frontd-pool-demo"); got != "frontd www-data 660\nfrontd www-data 750\n" {
		t.Errorf("the socket and its folder: %q", got)
	}
	ask := func() {
		t.Helper()
		for _, command := range [][]string{
			{"frontd", "request", "unix:" + socket, "/hello"},
			{"setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", "env", "REQUEST_METHOD=GET", "SCRIPT_NAME=",
				"PATH_INFO=/hello", "REQUEST_URI=/hello", "SERVER_PROTOCOL=HTTP/1.1", "cgi-fcgi", "-bind", "-connect", socket},
		} {
			if command[0] == "setpriv" {
				counterpart.Find(t, "cgi-fcgi")
			}
			if out := c.run(t, command...); !strings.Contains(out, "Status: 200") {
				t.Errorf("%q: %s", command, out)
			}
		}
	}
	ask()
	for range 3 {
		before := workers(c.processes())
		c.run(t, "systemctl", "reload", "frontd-pool@demo.service")
		// It does not wait, and no worker that is idle takes long to go.
		counterpart.Await(t, "new workers", patience, func() error {
			now := workers(c.processes())
			if len(now) != 2 || slices.Contains(before, now[0]) || slices.Contains(before, now[1]) {
				return fmt.Errorf("workers %q, before %q", now, before)
			}
			return nil
		})
		ask()
	}
	c.run(t, "systemctl", "stop", "frontd-pool@demo.service")
	c.wantJournal(t, "frontd-pool@demo.service", `Deactivated successfully`)
	if out, err := c.try("journalctl", "--no-pager", "-u", "frontd-pool@demo.service", "-g", "killed by signal 9"); err == nil {
		t.Errorf("workers did not stop when they were asked to:\n%s", out)
	}
	if left := c.processes(); len(left) > 0 {
		t.Errorf("left running: %q", left)
	}
}
