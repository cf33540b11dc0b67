package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// A webServer is a real one, configured by the snippet that the project gives
// to its users.
type webServer struct {
	name    string
	snippet string
	port    [2]string // what is replaced for the port, and by what: %d
	whole   func(t testing.TB, dir, snippet string) string
	args    func(dir, file string) []string
}

const snippetSocket = "/run/frontd/fcgi.sock"

var webServers = []webServer{
	{
		"nginx", "nginx/frontd.conf", [2]string{"listen 8080;", "listen 127.0.0.1:%d;"}, wholeNginx,
		func(dir, file string) []string { return []string{"-c", file, "-p", dir} },
	},
	{
		"apache2", "apache/frontd.conf", [2]string{"Define FRONTD_PORT 8080", "Define FRONTD_PORT %d"}, wholeApache,
		func(_, file string) []string { return []string{"-DFOREGROUND", "-f", file} },
	},
	{
		"caddy", "caddy/Caddyfile", [2]string{":8080 {", "http://:%d {\n\tbind 127.0.0.1"},
		func(_ testing.TB, _, snippet string) string { return "{\n\tadmin off\n}\n" + snippet },
		func(_, file string) []string { return []string{"run", "--adapter", "caddyfile", "--config", file} },
	},
	{
		"lighttpd", "lighttpd/frontd.conf", [2]string{"frontd_port = 8080", "frontd_port = %d\nserver.bind = \"127.0.0.1\""},
		func(_ testing.TB, dir, snippet string) string {
			return fmt.Sprintf("%s\nserver.upload-dirs = ( %q )\n", snippet, dir)
		},
		func(_, file string) []string { return []string{"-D", "-f", file} },
	},
}

func wholeNginx(t testing.TB, dir, snippet string) string {
	params, err := os.ReadFile("../../configs/nginx/frontd_fastcgi_params")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "frontd_fastcgi_params"), string(params))
	return fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr notice;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %[1]s/body; fastcgi_temp_path %[1]s/fcgi;
  proxy_temp_path %[1]s/proxy; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
%[2]s
}`, dir, snippet)
}

func wholeApache(t testing.TB, dir, snippet string) string {
	modules := ""
	for _, m := range []string{"mpm_event", "authz_core", "setenvif", "headers", "proxy", "proxy_fcgi", "proxy_http"} {
		path := "/usr/lib/apache2/modules/mod_" + m + ".so"
		counterpart.Need(t, path)
		modules += fmt.Sprintf("LoadModule %s_module %s\n", m, path)
	}
	return fmt.Sprintf("%[1]sServerRoot %[2]s\nDefaultRuntimeDir %[2]s\nMutex file:%[2]s\nPidFile %[2]s/pid\nServerName test.example\nErrorLog \"|/bin/cat\"\n%[3]s",
		modules, dir, strings.Replace(snippet, "Listen ${", "Listen 127.0.0.1:${", 1))
}

// start runs the web server in front of the socket, and returns its site.
func (s webServer) start(t testing.TB, socket string) site {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../configs", s.snippet))
	if err != nil {
		t.Fatal(err)
	}
	port := counterpart.FreePort(t)
	text := strings.Replace(string(b), s.port[0], fmt.Sprintf(s.port[1], port), 1)
	text = strings.ReplaceAll(text, snippetSocket, socket)
	if strings.Contains(text, s.port[0]) || !strings.Contains(text, socket) {
		t.Fatalf("%s has no %q or no %q to replace", s.snippet, s.port[0], snippetSocket)
	}
	return s.run(t, port, text)
}

// run runs the web server with a configuration for this port.
func (s webServer) run(t testing.TB, port int, text string) site {
	t.Helper()
	program := counterpart.Find(t, s.name)
	dir := counterpart.Dir(t)
	unprivileged := unprivileged(t, dir)
	file := filepath.Join(dir, "config")
	write(t, file, s.whole(t, dir, text))
	cmd := exec.Command(program, s.args(dir, file)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.SysProcAttr = unprivileged
	p := counterpart.Start(t, cmd)
	counterpart.AwaitDial(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port), p)
	return site{t, fmt.Sprintf("http://127.0.0.1:%d", port), newClient(t)}
}

const nobody = 65534

// unprivileged gives dir to the user that web servers run as, if we may.
func unprivileged(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// open lets the web server's user connect to the socket.
func open(t testing.TB, path string) {
	t.Helper()
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
}

// runPool runs frontd pool until the test ends, and returns its socket.
func runPool(t testing.TB, dir string, workers int, args ...string) string {
	t.Helper()
	socket := filepath.Join(dir, "pool.sock")
	p := counterpart.Start(t, command(t, dir, append([]string{"pool", "-l", "unix:" + socket, "-w", itoa(workers)}, args...)...))
	for slot := range workers {
		p.AwaitLine(fmt.Sprintf("worker ready.*slot=%d", slot), patience)
	}
	open(t, socket)
	return socket
}

// backends are what stands behind the web servers.
var backends = []struct {
	name  string
	pages pages
	start func(t testing.TB) (socket string)
}{
	{"pool demo", demoPages(), func(t testing.TB) string { return runPool(t, counterpart.Dir(t), 2, "demo") }},
	{"pool flask", plainPages, func(t testing.TB) string {
		needFlask(t)
		dir := counterpart.Dir(t)
		copyApp(t, "flask", dir)
		return runPool(t, dir, 2, "wsgi:app:app", "--threads", "4")
	}},
	{"serve", demoPages(), func(t testing.TB) string {
		dir := counterpart.Dir(t)
		socket := filepath.Join(dir, "fcgi.sock")
		r := launch(t, dir, "-w", "2", "-l", "fcgi+unix:"+socket)
		r.AwaitLine("msg=listening", patience)
		r.awaitServing("demo", 2)
		open(t, socket)
		return socket
	}},
}

func demoPages() pages {
	p := plainPages
	p.fields = true
	return p
}

// The web servers that people have, as the project tells to configure them,
// before workers of their own and before frontd.
func TestBehindWebServers(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			socket := b.start(t)
			for _, s := range webServers {
				t.Run(s.name, func(t *testing.T) {
					site := s.start(t, socket)
					site.check(b.pages)
					a, err := ask(t.Context(), site.client, http.MethodGet, site.url+"/no/such/page", "", nil)
					if err != nil || a.status != http.StatusNotFound {
						t.Errorf("a page that is not there: %d: %v", a.status, err)
					}
				})
			}
		})
	}
}
