package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// maxTree bounds the processes that are looked at for one worker.
const maxTree = 10_000

// ResidentTree returns the resident memory of a process and all its
// descendants in bytes. What they share is counted for each. 0 is not known.
//
// Where the kernel does not list a thread's children (CONFIG_PROC_CHILDREN),
// it is that of the process alone.
func ResidentTree(pid int) int64 {
	var total int64
	for next := []int{pid}; len(next) > 0 && len(next) < maxTree; next = next[1:] {
		total += residentBytes(next[0])
		next = append(next, childrenOf(next[0])...)
	}
	return total
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) (list []int) {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*/children")) // fails only on a bad pattern
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		for _, f := range bytes.Fields(b) {
			if n, err := strconv.Atoi(string(f)); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}
