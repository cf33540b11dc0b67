package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// sockets returns the sockets below a folder.
func sockets(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type() == os.ModeSocket {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// When frontd is killed, all that it started goes within two seconds, be it in
// a session of its own, and a new one serves at the same addresses at once.
func TestKillDaemon(t *testing.T) {
	t.Parallel()
	needFlask(t)
	counterpart.Find(t, "php-cgi")
	dir := counterpart.Dir(t)
	copyApp(t, "flask", filepath.Join(dir, "flask"))
	copyApp(t, "cgi", filepath.Join(dir, "cgi"))
	layPHP(t, dir)
	args := configure(t, dir, `
[server]
listen = ["127.0.0.1:0", "unix:`+dir+`/web.sock", "fcgi+unix:`+dir+`/fcgi.sock"]
[app.flask]
kind = "wsgi"
target = "app:app"
directory = "flask"
workers = 2
[app.site]
kind = "php"
target = "site"
workers = 2
[app.bin]
kind = "cgi"
target = "cgi"
workers = 1
[[route]]
path = "= /detach.php"
app = "site"
[[route]]
path = "= /detach"
app = "flask"
[[route]]
path = "/"
app = "bin"
`)
	// The CGI program has the same name as Flask's page: asked for by its PATH_INFO.
	r := serve(t, dir, args...)
	r.awaitServing("flask", 2)
	r.awaitServing("site", 2)
	r.awaitServing("bin", 1)
	var left []int
	for _, a := range []fetched{
		r.do(http.MethodPost, "/detach", "text/plain", strings.NewReader("x")),
		r.get("/detach.php"), r.get("/detach/from/cgi"),
	} {
		f := strings.Fields(a.body)
		if a.status != http.StatusOK || len(f) != 2 {
			t.Fatalf("status %d, %q", a.status, a.body)
		}
		pid, err := strconv.Atoi(f[1])
		if err != nil || parentOf(pid) == 0 {
			t.Fatalf("%q left nothing behind: %v", a.body, err)
		}
		left = append(left, pid)
	}
	all := append(descendants(t, r.PID()), left...)
	if len(all) < 8 { // 5 workers, 3 left behind
		t.Fatalf("only %v are frontd's", all)
	}
	start := time.Now()
	r.Signal(syscall.SIGKILL)
	r.AwaitExit(patience)
	counterpart.Await(t, "the end of all its processes", patience, func() error { return alivePIDs(all) })
	t.Logf("%d processes were gone %v after frontd", len(all), time.Since(start).Round(time.Millisecond))

	again := serve(t, dir, args...)
	again.awaitServing("flask", 2)
	if a := again.get("/form?name=n&text=t"); a.status != http.StatusOK {
		t.Errorf("after the new start: status %d, %q", a.status, a.body)
	}
}

// TERM lets what is under way end, and leaves neither process nor socket.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, "-w", "2", "-l", "127.0.0.1:0", "-l", "unix:"+dir+"/web.sock")
	r.awaitServing("demo", 2)
	all := descendants(t, r.PID())
	resp, err := r.client.Get(r.url + "/stream?n=20&interval=50")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := bufio.NewReader(resp.Body)
	if line, err := body.ReadString('\n'); err != nil || line != "chunk 1 of 20\n" {
		t.Fatalf("first line %q: %v", line, err)
	}
	r.Signal(syscall.SIGTERM)
	r.AwaitLine("msg=stopping", patience)
	rest, err := io.ReadAll(body)
	if err != nil || !strings.HasSuffix(string(rest), "chunk 20 of 20\n") {
		t.Errorf("the answer under way ended with %q: %v", rest[max(0, len(rest)-40):], err)
	}
	if code := r.AwaitExit(patience).ExitCode(); code != 0 {
		t.Errorf("exit status is %d, want 0", code)
	}
	if err := alivePIDs(all); err != nil {
		t.Errorf("after frontd's end: %v", err)
	}
	if left := sockets(t, dir); len(left) > 0 {
		t.Errorf("sockets are left: %q", left)
	}
}

// Who tells a stop twice within a moment, as timeout(1) does, means it once: a request
// in hand has its answer. What comes when the stop has begun makes it one at once, and
// no other signal does.
func TestEchoOfTerm(t *testing.T) {
	log := &logbook{Logger: slog.New(slog.DiscardHandler)}
	p, d := &pool{log: log}, &daemon{log: log}
	for _, side := range []struct {
		name   string
		wait   func(context.Context, <-chan os.Signal)
		hasten func(context.Context, func(), <-chan os.Signal)
	}{
		{"serve", func(ctx context.Context, signals <-chan os.Signal) { d.wait(ctx, signals) }, d.hasten},
		{"pool", p.wait, p.hasten},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, atOnce := context.WithCancel(t.Context())
			signals := make(chan os.Signal)
			began, ended := make(chan struct{}), make(chan struct{})
			go func() {
				side.wait(ctx, signals)
				close(began) // received below
				side.hasten(ctx, atOnce, signals)
				close(ended) // received below
			}()
			signals <- syscall.SIGTERM
			time.Sleep(echoTime - 1) // virtual
			signals <- syscall.SIGTERM
			signals <- syscall.SIGINT
			<-began
			signals <- syscall.SIGUSR2
			synctest.Wait()
			if ctx.Err() != nil {
				t.Errorf("%s: an echo, or USR2, made the stop one at once", side.name)
			}
			signals <- syscall.SIGTERM
			<-ended
		})
	}
}

// A second TERM does not wait for anybody.
func TestSecondTerm(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	r := serve(t, dir, "-w", "1")
	r.awaitServing("demo", 1)
	all := descendants(t, r.PID())
	resp, err := r.client.Get(r.url + "/events?interval=1000") // without an end
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.Signal(syscall.SIGTERM)
	r.AwaitLine("msg=stopping", patience)
	if r.Exited() {
		t.Error("the first TERM did not wait for the request under way")
	}
	start := time.Now()
	r.Signal(syscall.SIGTERM)
	r.AwaitExit(patience)
	t.Logf("ended %v after the second TERM", time.Since(start).Round(time.Millisecond))
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("an answer that was cut off looks complete")
	}
	// The 200 was sent; but it is not the client who left.
	r.AwaitLine(`"GET /events\?interval=1000 HTTP/1.1" 200 .* cause=shutting-down `, patience)
	if err := alivePIDs(all); err != nil {
		t.Errorf("after frontd's end: %v", err)
	}
	if left := sockets(t, dir); len(left) > 0 {
		t.Errorf("sockets are left: %q", left)
	}
}

// A pool that is killed leaves no worker, and its socket is taken over.
func TestKillPool(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	address := "unix:" + dir + "/pool.sock"
	start := func() *counterpart.Process {
		p := counterpart.Start(t, command(t, dir, "pool", "demo", "-l", address, "-w", "2"))
		p.AwaitLine("worker ready.*slot=0", patience)
		p.AwaitLine("worker ready.*slot=1", patience)
		return p
	}
	ask := func() *exec.Cmd { return command(t, dir, "request", address, "/hello") }
	p := start()
	all := descendants(t, p.PID())
	if out, err := ask().CombinedOutput(); err != nil || !strings.Contains(string(out), "hello") {
		t.Fatalf("request: %v\n%s", err, out)
	}
	p.Signal(syscall.SIGKILL)
	p.AwaitExit(patience)
	counterpart.Await(t, "the end of its workers", patience, func() error { return alivePIDs(all) })
	p = start()
	if out, err := ask().CombinedOutput(); err != nil || !strings.Contains(string(out), "hello") {
		t.Errorf("request after the new start: %v\n%s", err, out)
	}
	p.Signal(syscall.SIGTERM)
	if code := p.AwaitExit(patience).ExitCode(); code != 0 {
		t.Errorf("exit status is %d, want 0", code)
	}
	if left := sockets(t, dir); len(left) > 0 {
		t.Errorf("sockets are left: %q", left)
	}
}
