package config

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// firstPassed is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstPassed = 3

// listenSystemd returns a socket that systemd passed. One socket may be asked
// for once: the descriptor is taken. The environment is left as it is.
func listenSystemd(name string) (net.Listener, error) {
	fd, err := passedSocket(name, os.Getpid(), os.Getenv)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // the listener has its own descriptor
	takenMu.Lock()
	taken[fd] = true
	takenMu.Unlock()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is not a listening socket: %w", fd, err)
	}
	return l, nil
}

var (
	takenMu sync.Mutex // guards the next
	taken   = make(map[int]bool)
)

// CloseUnused closes the sockets that systemd passed and nobody listens at, and
// returns their names: their clients would wait for ever. Call it once, when
// all listeners are open.
func CloseUnused() []string {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // malformed is none
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	takenMu.Lock()
	defer takenMu.Unlock()
	var unused []string
	for fd := firstPassed; fd < firstPassed+n; fd++ {
		if taken[fd] {
			continue
		}
		taken[fd] = true
		name := fmt.Sprintf("descriptor %d", fd)
		if i := fd - firstPassed; i < len(names) {
			name = names[i]
		}
		os.NewFile(uintptr(fd), name).Close()
		unused = append(unused, name)
	}
	return unused
}

// passedSocket finds the descriptor of that name, as sd_listen_fds_with_names(3) does.
func passedSocket(name string, pid int, env func(string) string) (int, error) {
	if env("LISTEN_PID") != strconv.Itoa(pid) {
		return 0, fmt.Errorf("systemd passed no socket to this process (LISTEN_PID is %q)", env("LISTEN_PID"))
	}
	n, err := strconv.Atoi(env("LISTEN_FDS"))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("systemd passed no socket (LISTEN_FDS is %q)", env("LISTEN_FDS"))
	}
	names := strings.Split(env("LISTEN_FDNAMES"), ":")
	for i := range min(n, len(names)) {
		if names[i] == name {
			return firstPassed + i, nil
		}
	}
	return 0, fmt.Errorf("systemd passed no socket of this name, only %s: see FileDescriptorName= in the .socket unit", quoteList(names))
}
