package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/internal/counterpart"
)

// A reload opens what is new in listen and closes what is not there any more.
// What has stayed notices nothing, nor does a request that came by a listener
// that goes.
func TestReloadChangesListeners(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	first, second := filepath.Join(dir, "first.sock"), filepath.Join(dir, "second.sock")
	configured := func(addresses, more string) []string {
		return configure(t, dir, strings.Replace(jsonLog, `"127.0.0.1:0"`, addresses, 1)+demoApp(1)+more)
	}
	const stays = `"127.0.0.1:0"`
	r := serve(t, dir, configured(stays+`, "unix:`+first+`"`, "")...)
	reload := func(addresses, more string) (string, error) {
		configured(addresses, more)
		return r.command("reload")
	}
	r.awaitServing("demo", 1)
	load := startLoad(t, r.client, 2, http.MethodGet, r.url+"/hello", "", "hello\n")
	is := func(path string) {
		t.Helper()
		a, err := ask(t.Context(), unixClient(t, path), http.MethodGet, "http://frontd/hello", "", nil)
		if err != nil || a.body != "hello\n" {
			t.Errorf("at %s: %+v, %v", path, a, err)
		}
	}
	is(first)
	under, err := net.Dial("unix", first)
	if err != nil {
		t.Fatal(err)
	}
	defer under.Close()
	if _, err := io.WriteString(under, "GET /stream?n=20&interval=50 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	streamed := bufio.NewReader(under)
	for line := ""; line != "chunk 1 of 20\n"; {
		if line, err = streamed.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}

	if out, err := reload(stays+`, "unix:`+second+`"`, ""); err != nil {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	is(second)
	answer, err := io.ReadAll(streamed)
	if err != nil || !strings.Contains(string(answer), "chunk 20 of 20") {
		t.Errorf("the answer under way at the listener that goes ends with %.100q, %v", answer, err)
	}
	r.AwaitLine(`"msg":"does not listen any more","address":"unix:`+first+`"`, patience)
	if _, err := os.Lstat(first); err == nil {
		t.Error("the socket of the listener that has gone is left behind")
	}

	// An address that is taken refuses the whole reload.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	out, err := reload(fmt.Sprintf(`%s, "unix:%s", "%v"`, stays, first, taken.Addr()), "")
	if want := "frontd.toml:3:1: server.listen: "; err == nil || !strings.Contains(out, want) || !strings.Contains(out, "address already in use") {
		t.Errorf("an address in use: %v, %q; want %s and the reason", err, out, want)
	}
	// So does an application that does not come up: what was opened is closed.
	out, err = reload(stays+`, "unix:`+first+`"`, "[app.broken]\nkind = \"exec\"\ntarget = \"false\"\nworkers = 1\n")
	if err == nil || !strings.Contains(out, "app broken: not started") {
		t.Errorf("an application that does not start: %v, %s", err, out)
	}
	if _, err := os.Lstat(first); err == nil {
		t.Error("a reload that was refused has left a socket")
	}
	is(second)

	if s := r.status(); len(s.Listen) != 2 || s.Listen[1] != "unix:"+second {
		t.Errorf("status says %q", s.Listen)
	}
	load.awaitMore(t, 20)
	load.clean(t, "GET")
}

// A listener that stays takes over what has changed of its settings, with the
// connections that wait in it; what only a restart takes over is told each time.
func TestReloadChangesManner(t *testing.T) {
	t.Parallel()
	dir := counterpart.Dir(t)
	socket := filepath.Join(dir, "web.sock")
	configured := func(server string) []string {
		log := strings.Replace(jsonLog, `"10s"`, `"10m"`, 1) // as long as a request that began before may be needed
		return configure(t, dir, strings.Replace(log, `["127.0.0.1:0"]`, `["127.0.0.1:0", "unix:`+socket+`"]`+"\n"+server, 1)+demoApp(2))
	}
	r := serve(t, dir, configured(`header_timeout = "10m"`)...)
	r.awaitServing("demo", 2)
	load := startLoad(t, r.client, 4, http.MethodGet, r.url+"/hello", "", "hello\n")
	local := startLoad(t, unixClient(t, socket), 2, http.MethodGet, "http://frontd/hello", "", "hello\n")
	mode := func(want os.FileMode) {
		t.Helper()
		if fi, err := os.Lstat(socket); err != nil || fi.Mode().Perm() != want {
			t.Errorf("the socket has %v, %v, want %v", fi, err, want)
		}
	}
	half := func() net.Conn { // a head that does not end
		t.Helper()
		c := r.dial()
		if _, err := io.WriteString(c, "GET /hello HTTP/1.1\r\nHost:"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	mode(0o660)
	before := half()
	for _, c := range []struct{ server, says string }{
		{`header_timeout = "50ms"`, ""},
		{"header_timeout = \"50ms\"\nsocket_mode = \"0600\"", ""},
		{"header_timeout = \"50ms\"\nsocket_mode = \"0600\"\nengine = \"net/http\"\nidle_timeout = \"61s\"\ncgroup = \"/nowhere\"", "server.cgroup"},
		{"header_timeout = \"50ms\"\nsocket_mode = \"0640\"\ncgroup = \"/nowhere\"", "server.cgroup"}, // it waits still
	} {
		load.awaitMore(t, 20)
		local.awaitMore(t, 20)
		configured(c.server)
		out, err := r.command("reload")
		if err != nil || (c.says == "") != (out == "") || !strings.Contains(out, c.says) {
			t.Fatalf("reload with %s: %v\n%q", c.server, err, out)
		}
		late := half()
		late.SetReadDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(late); err != nil || !strings.Contains(string(b), " 408 ") {
			t.Errorf("with %s a head that does not end is answered with %q, %v", c.server, b, err)
		}
	}
	mode(0o640)
	r.AwaitLine(`"msg":"settings have changed that wait for a restart","settings":"server.cgroup"`, patience)
	// Who came before has the time that there was then; net/http drops one that has no whole head.
	if testedEngine() == front.NetEngine {
		before.Close()
	} else if _, err := io.WriteString(before, " x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Error(err)
	}
	before.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(before); testedEngine() != front.NetEngine && (err != nil || !strings.HasSuffix(string(b), "hello\n")) {
		t.Errorf("a request that began before has the answer %q, %v", b, err)
	}
	load.awaitMore(t, 20)
	local.awaitMore(t, 20)
	load.clean(t, "GET")
	local.clean(t, "GET by the unix socket")
	r.Signal(syscall.SIGTERM)
	r.AwaitExit(patience)
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is left behind")
	}
}
