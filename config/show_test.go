package config

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

const showFile = `
server.listen = ["https://[::1]:443", "unix:/a b.sock"]
server.tls = { certificate = "c.pem", key = "/k.pem" }
server.trusted_proxies = ["10.0.0.0/8"]
server.body_rate = 1001
server.max_body = "3MiB"
log.file = "/var/log/a\t\"b\".log"
[app.a]
kind = "wsgi"
target = "a:create_app()"
threads = 2
timeout = { request = "1h" }
user = "blog"
umask = "0027"
nice = 5
limits = { open_files = 4096, memory = "1GiB", cpus = 1.5, processes = 64, core = 0 }
output = { file = "a.log" }
[app.a.env]
B = "$$$${X} é"
C = "text:file:x"
PASSWORD = "hunter2"
DATABASE_URL = "postgres://me:hunter2@db/x"
[[route]]
path = '~ ^/[^$]+\.php$'
root = "r"
[[route]]
app = "a"
host = "*.example.com"
max_body = 5
`

// What is shown reads back as what it was, so it can be kept as a file.
func TestWriteEffective(t *testing.T) {
	c := mustParse(t, showFile)
	var b bytes.Buffer
	if err := c.WriteEffective(&b); err != nil {
		t.Fatal(err)
	}
	shown := b.String()
	if strings.Contains(shown, "hunter2") {
		t.Errorf("a secret in\n%s", shown)
	}
	for _, line := range []string{
		"# body: streams what comes at once, spools the rest first  # default\n", `body_rate = 1001`, `shutdown_timeout = "30s"  # default`, `PASSWORD = "********"`,
		`#max_body = "3MiB"  # from above`, `timeout.request = "1h"`, `#timeout.request = "1h"  # from above`,
		`python`, `max_body = 5`, `kind = "wsgi"`,
	} {
		if has := strings.Contains(shown, line); has == (line == "python") {
			t.Errorf("%q in it is %v:\n%s", line, has, shown)
		}
	}
	again := mustParse(t, shown)
	forget(c)
	forget(again)
	if !reflect.DeepEqual(c, again) {
		t.Errorf("read back it differs:\n%s\n%+v\n%+v", shown, c, again)
	}
}

// forget removes what differs between a file and what is shown of it: the
// places, what a default fills, and secrets.
func forget(c *Config) {
	c.Server.Set, c.Log.Set, c.Incidents.Set = nil, nil, nil
	for _, a := range c.Apps {
		a.Set, a.Pos, a.Workers = nil, Pos{}, 0
		for i := range a.Env {
			if a.Env[i].Secret {
				a.Env[i] = Variable{Name: a.Env[i].Name}
			} else if soundsSecret(a.Env[i].Name) || a.Env[i].Value == mask {
				a.Env[i] = Variable{Name: a.Env[i].Name}
			}
		}
	}
	for _, r := range c.Routes {
		r.Set, r.Pos = nil, Pos{}
	}
}

func TestFormatDuration(t *testing.T) {
	for text, want := range map[string]string{"90s": "1m30s", "60s": "1m", "3600s": "1h", "0": "0s", "10m": "10m", "1500ms": "1.5s", "20h10s": "20h0m10s"} {
		c := mustParse(t, "server.shutdown_timeout = \""+text+"\"")
		if got := formatDuration(c.Server.ShutdownTimeout); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		`0`: 0, `1_000`: 1000, `0x10`: 16, `"64KiB"`: 65536, `"1 MiB"`: 1 << 20, `"1GB"`: 1e9, `"2kB"`: 2000, `"7B"`: 7, `"7"`: 7, `"${S}"`: 1 << 30,
	} {
		c := mustParse(t, "server.max_body = "+text, "S", "1GiB")
		if got := c.Server.Limits.MaxBody; got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
		c = mustParse(t, "server.max_body = "+formatSize(want))
		if got := c.Server.Limits.MaxBody; got != want {
			t.Errorf("%d is shown as %s, which is %d", want, formatSize(want), got)
		}
	}
}
