package supervisor

import (
	"bufio"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
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
// environment of workers, "@PID PATH" the control group in which workers are and
// the supervisor's number, by which it names their groups there, "+PGID" a
// process group that lives and "-PGID" one that does not. Its end is the supervisor's.
func GuardMain() {
	// Whoever wants us to stop wants the supervisor to; then it tells us.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	orders := readGuardLines(os.Stdin)
	for pgid := range orders.groups {
		syscall.Kill(-pgid, syscall.SIGKILL)
	}
	if orders.cgroup != "" {
		killLeaves(orders.cgroup, orders.daemon)
	}
	if orders.token == "" {
		return
	}
	limit := time.After(sweepLimit)
	pause := time.NewTicker(sweepPause)
	defer pause.Stop()
	for killMarked(guardVariable+"="+orders.token) > 0 {
		select {
		case <-limit:
			return
		case <-pause.C:
		}
	}
}

// orders are what a guard knows at the end.
type orders struct {
	token  string
	cgroup string // "": none
	daemon int    // the supervisor's process
	groups map[int]bool
}

// readGuardLines reads until the end and returns what holds then. A line that
// was cut off by the supervisor's death, or that makes no sense, is left out:
// half a number would be somebody else's process group.
func readGuardLines(r io.Reader) orders {
	o := orders{groups: map[int]bool{}}
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return o
		}
		kind, rest := line[0], line[1:max(1, len(line)-1)]
		switch kind {
		case '=':
			o.token = rest
		case '@':
			number, path, _ := strings.Cut(rest, " ")
			if pid, err := strconv.Atoi(number); err == nil && pid > 0 && strings.HasPrefix(path, "/") {
				o.daemon, o.cgroup = pid, path
			}
		case '+', '-':
			o.group(kind == '+', rest)
		}
	}
}

// group notes that a process group lives, or does not.
func (o *orders) group(lives bool, number string) {
	pgid, err := strconv.Atoi(number)
	switch {
	case err != nil || pgid <= 1: // kill(-1) is everybody, kill(0) ourselves
	case lives:
		o.groups[pgid] = true
	default:
		delete(o.groups, pgid)
	}
}
