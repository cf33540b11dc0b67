package main

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// frontdFile: no access log on any side; a queue that holds every connection,
// so that a full one is a wait and not a refusal, as it is with the peers.
const frontdFile = `[server]
listen = ["$ADDRESS"]
control = "$DIR/control.sock"
max_body = 0
[server.queue]
size = 4096
timeout = "60s"
[log]
access = false
level = "warn"
[app.bench]
workers = $WORKERS
`

func frontdServe(app string) func(*stage) (string, error) {
	return func(s *stage) (string, error) { return "", s.serveFile(frontdFile, app) }
}

// frontdOne has one worker, so that all requests share one FastCGI connection,
// and places for all of them: a slow reader takes one.
func frontdOne(s *stage) (string, error) {
	return "", s.serveFile(strings.Replace(frontdFile, "$WORKERS", "1", 1), "kind = \"go\"\ntarget = \"$APPS/role:worker\"\nthreads = 1000")
}

func (s *stage) serveFile(text, app string) error {
	file, err := s.write("frontd.toml", text+app+"\n",
		"$WORKERS", fmt.Sprint(workers), "$PYTHON", findProgram("/usr/bin/python3|python3"))
	if err != nil {
		return err
	}
	return s.run(nil, s.rig.frontd, "serve", "-c", file)
}

const frontdWSGI = `kind = "wsgi"
target = "app:application"
directory = "$APPS"
python = "$PYTHON"
`

func frontdPHP(s *stage) (string, error) {
	_, err := frontdServe("kind = \"php\"\ntarget = \"$APPS/php\"\nenv = { PHPRC = \"$APPS\" }")(s)
	return ".php", err
}

// pool starts frontd's workers behind the stage's socket.
func (s *stage) pool(app string) error {
	app = strings.ReplaceAll(app, "$SELF", s.rig.self)
	words := []string{"pool", app, "-l", "unix:" + s.socket(), "-w", fmt.Sprint(workers)}
	if strings.HasPrefix(app, "wsgi:") {
		return s.runIn(s.rig.dir, nil, s.rig.frontd, words...)
	}
	return s.run(nil, s.rig.frontd, words...)
}

// netFCGI starts workers of net/http/fcgi that share the stage's socket.
func (s *stage) netFCGI() error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.socket(), Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false) // the workers have it
	defer l.Close()
	f, err := l.File()
	if err != nil {
		return err
	}
	defer f.Close()
	for range workers {
		if err := s.run(f, s.rig.self, rolePrefix+"netfcgi"); err != nil {
			return err
		}
	}
	return nil
}

func gofastPool(s *stage) (string, error) {
	if err := s.pool("exec:'$SELF' role:worker"); err != nil {
		return "", err
	}
	return "", s.run(nil, s.rig.self, rolePrefix+"gofast", s.address, s.socket())
}

// caddyFile names no SCRIPT_NAME, for the application is at the root. The
// admin endpoint is off: it would be a fixed port.
const caddyFile = `{
	admin off
	auto_https off
	log {
		level ERROR
	}
}
http://$ADDRESS {
	bind 127.0.0.1
	reverse_proxy unix/$SOCKET {
		transport fastcgi {
			env SCRIPT_NAME ""
			env PATH_INFO {http.request.uri.path}
		}
	}
}
`

func (s *stage) caddy() (string, error) {
	// Any name of host: the requests are the same bytes for every side.
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return "", err
	}
	file, err := s.write("Caddyfile", strings.ReplaceAll(caddyFile, "http://$ADDRESS", "http://:"+port))
	if err != nil {
		return "", err
	}
	return "", s.run(nil, findProgram("caddy"), "run", "--adapter", "caddyfile", "--config", file)
}

func caddyNetFCGI(s *stage) (string, error) {
	if err := s.netFCGI(); err != nil {
		return "", err
	}
	return s.caddy()
}

func caddyPool(s *stage) (string, error) {
	if err := s.pool("exec:'$SELF' role:worker"); err != nil {
		return "", err
	}
	return s.caddy()
}

// userLine lets nginx's workers reach what root's other programs made.
func userLine() string {
	if os.Getuid() == 0 {
		return "user root;\n"
	}
	return ""
}
