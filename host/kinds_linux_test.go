package host

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frontd/frontd/internal/counterpart"
)

// TestPHP runs php-cgi: what was said about its settings in package app.
func TestPHP(t *testing.T) {
	counterpart.Find(t, "php-cgi")
	root := t.TempDir()
	for _, name := range []string{"i.php", "upload.jpg"} {
		script(t, root, name, `<?php echo $_SERVER["PHP_SELF"], "|", $_ENV["PHP_TEST_ENV"], "|", file_get_contents("php://input"); error_log("complaint"); echo $undefined;`)
	}
	t.Setenv("PHP_TEST_ENV", "set")
	address, cmd := onFD0(t, "php:"+root)
	run := func(file, body string) (int, string, string) {
		w := ask(t, "tcp", address, "POST", "/i.php", body, map[string]string{
			"SCRIPT_NAME": "/i.php", "SCRIPT_FILENAME": filepath.Join(root, file), "PATH_INFO": "/i.php",
			"CONTENT_TYPE": "text/plain",
		})
		return w.Code, w.Body.String(), w.Header().Get("Test-Stderr")
	}
	code, body, stderr := run("i.php", "hello")
	if code != 200 || !strings.HasSuffix(body, "|set|hello") || !strings.Contains(stderr, "complaint") || !strings.Contains(stderr, "Undefined variable") {
		t.Errorf("script: %d %q, stderr %q", code, body, stderr)
	}
	if code, body, _ := run("upload.jpg/x.php", "hello"); code != 404 || strings.Contains(body, "hello") {
		t.Errorf("a file that is no script was run: %d %q", code, body)
	}
	pid := cmd.Process.Pid
	for range 600 { // php-cgi's own limit is 500
		if code, _, _ := run("i.php", "x"); code != 200 {
			t.Fatalf("status %d", code)
		}
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("php-cgi ended by itself: %v", err)
	}
}

func TestWSGI(t *testing.T) {
	python := counterpart.Find(t, "python3")
	dir := t.TempDir()
	t.Setenv("CACHE_DIRECTORY", t.TempDir())
	script(t, dir, "app.py", "def app(environ, start_response):\n"+
		"    start_response('200 OK', [('Content-Type', 'text/plain')])\n"+
		"    return [environ['PATH_INFO'].encode()]\n")
	address, cmd := onFD0(t, dir, "--python", python)
	if w := ask(t, "tcp", address, "GET", "/x", "", nil); w.Code != 200 || w.Body.String() != "/x" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	terminate(t, cmd)
}

// TestKilledWorkerLeavesNoProgram: SIGKILL gives the worker no chance to
// clean up, so the kernel does.
func TestKilledWorkerLeavesNoProgram(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The program holds the fifo open for writing as long as it lives.
	script(t, dir, "p", fmt.Sprintf("#!/bin/sh\nexec 3>%s\necho alive >&3\nexec sleep 1000\n", fifo))
	address, cmd := onFD0(t, "cgi:"+dir)
	client := exec.Command(counterpart.Find(t, "cgi-fcgi"), "-bind", "-connect", address)
	client.Env = []string{"REQUEST_METHOD=GET", "REQUEST_URI=/p", "SCRIPT_NAME=/p", "SERVER_PROTOCOL=HTTP/1.1"}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = client.Process.Kill()
		_ = client.Wait()
	}()
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, len("alive\n"))
	if _, err := io.ReadFull(f, buf); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if rest, err := io.ReadAll(f); err != nil || len(rest) > 0 { // its end is the program's
		t.Errorf("%q, %v", rest, err)
	}
}
