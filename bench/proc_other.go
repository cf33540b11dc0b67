//go:build unix && !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

// cpuOf needs /proc: elsewhere a process's times are not to be had without
// its parent, and sides are trees of processes.
func cpuOf([]int) (time.Duration, []procStat, error) {
	return 0, nil, errors.New("the CPU time of a side can be measured on Linux only")
}

func memoryOf([]procStat) (rss, pss int64) { return 0, -1 }

func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
