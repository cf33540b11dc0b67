package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// processes reads /proc. A process that ends meanwhile is left out.
func processes() ([]procStat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []procStat
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", name, "stat"))
		if err != nil {
			continue
		}
		s, err := parseStat(b)
		if err != nil {
			return nil, fmt.Errorf("/proc/%s: %w", name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// cpuOf sums the CPU time of the roots and all that comes from them. Children
// that ended count with their parents, in ticks of 10 ms; one that ends while
// this reads may be missed.
func cpuOf(roots []int) (time.Duration, []procStat, error) {
	all, err := processes()
	if err != nil {
		return 0, nil, err
	}
	tree := descend(all, roots)
	if len(tree) == 0 {
		return 0, nil, fmt.Errorf("no process of %v is alive", roots)
	}
	var sum time.Duration
	for _, s := range tree {
		own, err := cpuClock(s.pid)
		if err != nil {
			own = s.own
		}
		sum += own + s.reaped
	}
	return sum, tree, nil
}

// cpuClock reads a process's CPU-time clock, in nanoseconds and with the
// threads that ended: /proc/PID/stat has it in ticks of 10 ms only, and
// /proc/PID/schedstat has the first thread only. The clock's id is what
// clock_getcpuclockid(3) makes of a pid: its complement, shifted, with
// CPUCLOCK_SCHED in the low bits.
func cpuClock(pid int) (time.Duration, error) {
	const cpuclockSched = 2
	id := int32(^pid)<<3 | cpuclockSched
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0, errno
	}
	return time.Duration(ts.Nano()), nil
}

// memoryOf sums what the processes hold. Shared pages count with each in rss,
// once in pss.
func memoryOf(tree []procStat) (rss, pss int64) {
	for _, s := range tree {
		dir := filepath.Join("/proc", strconv.Itoa(s.pid))
		if b, err := os.ReadFile(filepath.Join(dir, "status")); err == nil {
			rss += max(0, parseKB(b, "VmRSS"))
		}
		b, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
		if n := parseKB(b, "Pss"); err != nil || n < 0 || pss < 0 {
			pss = -1
		} else {
			pss += n
		}
	}
	return rss, pss
}

// childAttributes let a side end in order where the harness is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
