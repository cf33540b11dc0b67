package supervisor

import (
	"bufio"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const (
	sweepLimit = 2 * time.Second       // how long the guard hunts for descendants
	sweepPause = 10 * time.Millisecond // /proc tells nobody when a process is gone
)

// GuardMain is the whole body of the guard process: it returns when the
// supervisor is gone and all it knows of has been killed, after 2 seconds at
// most, and then the process is to exit. Standard input is the pipe from the
// supervisor, with a line for each thing to know: "=TOKEN", the mark in the
// environment of workers, "+PGID" a process group that lives and "-PGID" one
// that does not. Its end is the supervisor's.
func GuardMain() {
	// Whoever wants us to stop wants the supervisor to; then it tells us.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	token, groups := readGuardLines(os.Stdin)
	for pgid := range groups {
		syscall.Kill(-pgid, syscall.SIGKILL)
	}
	if token == "" {
		return
	}
	limit := time.After(sweepLimit)
	pause := time.NewTicker(sweepPause)
	defer pause.Stop()
	for killMarked(guardVariable+"="+token) > 0 {
		select {
		case <-limit:
			return
		case <-pause.C:
		}
	}
}

// readGuardLines reads until the end and returns what holds then. A line that
// was cut off by the supervisor's death, or that makes no sense, is left out:
// half a number would be somebody else's process group.
func readGuardLines(r io.Reader) (token string, groups map[int]bool) {
	groups = map[int]bool{}
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return token, groups
		}
		kind, rest := line[0], line[1:max(1, len(line)-1)]
		if kind == '=' {
			token = rest
			continue
		}
		pgid, err := strconv.Atoi(rest)
		if err != nil || pgid <= 1 { // kill(-1) is everybody, kill(0) ourselves
			continue
		}
		switch kind {
		case '+':
			groups[pgid] = true
		case '-':
			delete(groups, pgid)
		}
	}
}
