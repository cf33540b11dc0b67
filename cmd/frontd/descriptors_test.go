package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// askOn asks for /hello on a connection, which is kept, and returns the status.
func askOn(t testing.TB, c net.Conn) int {
	t.Helper()
	if _, err := io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// More connections than there are descriptors keep nobody who is there from the
// workers, nor a person from the control socket; those for whom there is no room
// wait, and are served when others have gone.
func TestMoreConnectionsThanDescriptors(t *testing.T) {
	t.Parallel()
	const limit, connections = 400, 440 // those without room fit into the shortest backlog
	dir := counterpart.Dir(t)
	cmd := command(t, dir, append([]string{"serve", "--control", dir + "/control.sock"}, configure(t, dir, `
[server]
listen = ["127.0.0.1:0"]
header_timeout = "10m"
idle_timeout = "10m"
[log]
format = "json"
`+demoApp(2))...)...)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, limit), cmd.Path}, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	cmd.Path = sh
	r := &running{t: t, dir: dir, control: dir + "/control.sock", Process: counterpart.Start(t, cmd), client: newClient(t)}
	r.url = r.AwaitLine(`msg":"listening".*address":"(http://[^ "]+)`, patience)[1]
	r.awaitServing("demo", 2)

	var all []net.Conn
	for range connections {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
	r.AwaitLine("further connections wait", patience)
	for i, c := range all[:limit/2] {
		if status := askOn(t, c); status != http.StatusOK {
			t.Fatalf("connection %d: %d", i, status)
		}
	}
	if s := r.status(); len(s.Apps) != 1 {
		t.Errorf("status tells of %d applications", len(s.Apps))
	}
	if out, err := command(t, dir, "reload", "--control", r.control).CombinedOutput(); err != nil {
		t.Errorf("reload: %v: %s", err, out)
	}
	last := all[len(all)-1]
	for _, c := range all[:limit/2] {
		c.Close()
	}
	for _, c := range all[limit/2 : limit] {
		c.Close() // some of these were waiting
	}
	if status := askOn(t, last); status != http.StatusOK {
		t.Errorf("the last connection: %d", status)
	}
}

// An accept loop that waits for room ends with its listener, and is felt.
func TestPulseWithoutRoom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newPulse(l, &descriptors{most: 1, log: slog.New(slog.DiscardHandler)}, func() int { return 1 }) // stdin has it
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first, err := p.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Accept()
		ended <- err // received below
	}()
	for range 3 {
		if err := p.feel(t.Context()); err != nil {
			t.Error(err)
		}
	}
	p.Close()
	if err := <-ended; err == nil {
		t.Error("a connection was accepted without room for it")
	}
}
