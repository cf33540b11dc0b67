package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every
// architecture that Go runs on (proc(5), times(2)).
const tick = 10 * time.Millisecond

// A procStat is what is used of /proc/PID/stat.
type procStat struct {
	pid, parent int
	own         time.Duration // utime + stime, threads that ended included
	reaped      time.Duration // cutime + cstime: children that ended and were waited for
}

// parseStat reads /proc/PID/stat (proc(5)). The name in it, in parentheses,
// may hold anything, spaces and parentheses included.
func parseStat(b []byte) (procStat, error) {
	var s procStat
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return s, fmt.Errorf("stat without a name: %.40q", b)
	}
	f := strings.Fields(string(b[end+1:])) // f[0] is field 3
	if len(f) < 15 {
		return s, fmt.Errorf("stat with %d fields after the name", len(f))
	}
	var err error
	number := func(text string) int64 {
		n, e := strconv.ParseInt(text, 10, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("stat: %w", e)
		}
		return n
	}
	s.pid = int(number(strings.TrimSpace(string(b[:open]))))
	s.parent = int(number(f[1]))
	ticks := func(text string) time.Duration {
		n := number(text)
		if (n < 0 || n > maxTicks) && err == nil {
			err = fmt.Errorf("stat: %d ticks of CPU time", n)
		}
		return time.Duration(n) * tick
	}
	s.own = ticks(f[11]) + ticks(f[12])
	s.reaped = ticks(f[13]) + ticks(f[14])
	return s, err
}

// maxTicks is 87 years of a CPU: two of them are still a Duration.
const maxTicks = 1 << 38

// parseKB finds a line such as "Pss:   12 kB" (/proc/PID/smaps_rollup,
// /proc/PID/status) and returns its value in bytes, or -1.
func parseKB(b []byte, name string) int64 {
	for l := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(l, name+":")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) != 2 || f[1] != "kB" {
			return -1
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return -1
		}
		return n << 10
	}
	return -1
}

// descend returns the processes of all that are roots or come from them.
func descend(all []procStat, roots []int) []procStat {
	children := make(map[int][]procStat)
	byPID := make(map[int]procStat)
	for _, s := range all {
		children[s.parent] = append(children[s.parent], s)
		byPID[s.pid] = s
	}
	var tree []procStat
	seen := make(map[int]bool)
	queue := roots
	for len(queue) > 0 {
		pid := queue[0]
		queue = queue[1:]
		s, alive := byPID[pid]
		if !alive || seen[pid] {
			continue
		}
		seen[pid] = true
		tree = append(tree, s)
		for _, c := range children[pid] {
			queue = append(queue, c.pid)
		}
	}
	return tree
}

// A treeUsage is what a side's processes have used up to now, and hold.
type treeUsage struct {
	cpu       time.Duration
	rss, pss  int64 // bytes; pss is -1 where it cannot be read
	processes int
}
