package configs_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

const (
	startTimeout = time.Minute
	nobody       = 65534
)

// startServer runs the real program with the snippet, in the foreground and
// without privileges, and returns the URL it serves.
func startServer(t *testing.T, s webServer) (base string) {
	t.Helper()
	program, err := exec.LookPath(s.name)
	if err != nil {
		if os.Getenv("FRONTD_NOSKIP") == "1" {
			t.Fatalf("%s is not installed", s.name)
		}
		t.Skipf("%s is not installed", s.name)
	}
	dir, err := os.MkdirTemp("", "frontd-"+s.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := listenFrontd(t, dir)
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // elsewhere than on Linux somebody may take the port in between
		port := counterpart.FreePort(t)
		config := filepath.Join(dir, "config")
		if err := os.WriteFile(config, []byte(s.config(t, dir, substitute(t, s, port, socket))), 0o644); err != nil {
			t.Fatal(err)
		}
		if runServer(t, exec.Command(program, s.args(config)...), dir, s) {
			return fmt.Sprintf("http://127.0.0.1:%d", port)
		}
	}
	t.Fatalf("%s did not start", s.name)
	return ""
}

// substitute replaces what an administrator would: the port and the socket.
func substitute(t *testing.T, s webServer, port int, socket string) string {
	t.Helper()
	b, err := os.ReadFile(s.snippet)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if !strings.Contains(text, s.port) || !strings.Contains(text, frontdSocket) {
		t.Fatalf("%s has no %q or no %q to replace", s.snippet, s.port, frontdSocket)
	}
	text = strings.Replace(text, s.port, fmt.Sprintf(s.portBy, port), 1)
	return strings.ReplaceAll(text, frontdSocket, socket)
}

// runServer starts the program and waits until its log says that it listens.
// It is false if the program ended instead.
func runServer(t *testing.T, cmd *exec.Cmd, dir string, s webServer) bool {
	t.Helper()
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	ready, logged := make(chan bool, 1), make(chan struct{})
	go func() {
		// Received by <-logged: the pipe ends with the last process that has it.
		defer close(logged)
		defer r.Close()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			t.Logf("%s: %s", s.name, lines.Text())
			if s.ready.MatchString(lines.Text()) {
				select {
				case ready <- true:
				default: // it said so before
				}
			}
		}
	}()
	stop := func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group: Apache's children and its log
		<-logged
		cmd.Wait()
	}
	select {
	case <-ready:
		t.Cleanup(stop)
		return true
	case <-logged:
	case <-time.After(startTimeout):
	}
	stop()
	return false
}
