package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/frontd/frontd/internal/counterpart"
)

// openTerminal makes a pseudo-terminal of 80 by 24 cells (pty(7)).
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		counterpart.Unable(t, fmt.Sprint("no pseudo-terminals here: ", err))
	}
	t.Cleanup(func() { master.Close() })
	ioctl := func(request uintptr, arg unsafe.Pointer) {
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(arg)); e != 0 {
			t.Fatalf("ioctl %#x: %v", request, e)
		}
	}
	var number, locked int32
	size := [4]uint16{24, 80}
	ioctl(syscall.TIOCGPTN, unsafe.Pointer(&number))
	ioctl(syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	ioctl(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// On a real terminal top draws, takes keys, and leaves the terminal as it was.
func TestTopOnATerminal(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, dir, "demo", "-w", "2")
	before := r.awaitServing("demo", 2)
	master, slave := openTerminal(t)
	cmd := command(t, dir, "top", "--interval", "100ms", "--control", r.control)
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(10*patience, func() { cmd.Process.Kill() }).Stop()
	slave.Close() // the last of it is the program's: its end ends the reading
	var mu sync.Mutex
	var screen strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read) // received below
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			mu.Lock()
			screen.Write(b[:n])
			mu.Unlock()
			if err != nil {
				return // EIO: nobody has the other side any more
			}
		}
	}()
	drawn := func() string {
		mu.Lock()
		defer mu.Unlock()
		return screen.String()
	}
	await := func(want string) {
		t.Helper()
		counterpart.Await(t, want+" on the screen", patience, func() error {
			if s := drawn(); !strings.Contains(s, want) {
				return fmt.Errorf("drawn so far: %q", s)
			}
			return nil
		})
	}
	await("CRASHED")
	await("demo")
	master.WriteString("r")
	await("restart demo: new workers")
	master.WriteString("y")
	await("restart demo: done")
	if after := r.awaitServing("demo", 2); after[0] == before[0] || after[1] == before[1] {
		t.Errorf("workers %v after a restart of %v", after, before)
	}
	master.WriteString("?")
	await("this page; any key leaves it")
	master.WriteString("xq")
	if err := cmd.Wait(); err != nil {
		t.Errorf("top ended with %v", err)
	}
	<-read
	s := drawn()
	if !strings.Contains(s, "\x1b[?1049h") || strings.LastIndex(s, "\x1b[?1049l") < strings.LastIndex(s, "\x1b[?1049h") || strings.LastIndex(s, "\x1b[?25h") < strings.LastIndex(s, "\x1b[?25l") {
		t.Errorf("the terminal is not as it was: %q", s[max(0, len(s)-300):])
	}
}

// A command that draws nothing asks the terminal nothing: one that cannot answer
// would hold it up, and what it does answer would be the shell's next input.
func TestCommandsDoNotAskTheTerminal(t *testing.T) {
	master, slave := openTerminal(t)
	cmd := command(t, t.TempDir(), "version")
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "CI=") // CI would keep the question back too
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(2*patience, func() { cmd.Process.Kill() }).Stop()
	slave.Close()
	said, _ := io.ReadAll(master) // EIO: nobody has the other side any more
	if err := cmd.Wait(); err != nil {
		t.Errorf("version ended with %v", err)
	}
	if s := string(said); !strings.HasPrefix(s, "frontd ") || strings.Contains(s, "\x1b") {
		t.Errorf("the terminal got %q, want the version and nothing else", s)
	}
}
