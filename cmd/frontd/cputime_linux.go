package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// cpuTime is what a process and its ended children have used, user and
// system; 0 if it is gone. proc_pid_stat(5) counts it in USER_HZ, which is 100
// on every architecture that Go runs on.
func cpuTime(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return parseCPUTime(string(stat))
}

// parseCPUTime adds up the fields utime, stime, cutime and cstime: 14 to 17.
// The second is a name in parentheses that may hold anything.
func parseCPUTime(stat string) time.Duration {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 15 {
		return 0
	}
	var ticks int64
	for _, s := range f[11:15] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}

// idleTime is how long all CPUs together have had nothing to do since the boot,
// or waited for a disk; 0 if it is not known.
func idleTime() time.Duration {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0
	}
	defer f.Close()
	var line [256]byte // the first: ten numbers at most
	n, _ := f.Read(line[:])
	return parseIdleTime(string(line[:n]))
}

// parseIdleTime adds up idle and iowait, in USER_HZ: proc_stat(5).
func parseIdleTime(stat string) time.Duration {
	line, _, whole := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	if !whole || len(f) < 6 || f[0] != "cpu" {
		return 0
	}
	var ticks int64
	for _, s := range f[4:6] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}
