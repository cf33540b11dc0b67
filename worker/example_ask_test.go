package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/worker"
)

// ask serves with s, sends one request as a web server would, prints the
// answer, and stops s as a supervisor would.
func ask(s *worker.Server, role fcgi.Role, data string, params ...string) {
	dir, err := os.MkdirTemp("", "worker")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	// Its end is received below.
	tr := &fcgi.Transport{Dial: func(context.Context) (net.Conn, error) { return net.Dial("unix", l.Addr().String()) }}
	defer tr.Wait()
	defer tr.Close()
	req := &fcgi.Request{Role: role, Params: new(fcgi.Params)}
	if role == fcgi.RoleFilter {
		req.Data = strings.NewReader(data)
	}
	body, client := io.Pipe() // of a client that sends nothing, where it has promised a body
	for _, p := range append([]string{"REQUEST_METHOD=GET"}, params...) {
		name, value, _ := strings.Cut(p, "=")
		req.Params.Add(name, value)
		if name == "CONTENT_LENGTH" {
			req.Stdin = body
		}
	}
	resp, err := tr.RoundTrip(context.Background(), req)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("status", resp.Status)
	for _, name := range []string{"Content-Type", "Variable-User"} {
		if v := resp.Header.Get(name); v != "" {
			fmt.Println(name+":", v)
		}
	}
	for {
		b, err := resp.Next()
		fmt.Print(string(b))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	client.Close()
	resp.Close()
	resp.Wait()
	syscall.Kill(os.Getpid(), syscall.SIGTERM) // s answered, so it is told of signals
	if err := <-served; err != nil {
		log.Fatal(err)
	}
}
