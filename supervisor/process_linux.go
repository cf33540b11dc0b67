package supervisor

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

func workerAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: cred}
}

// Of waitid(2); package syscall does not have them all.
const (
	pPID    = 1
	wNoWait = 0x01000000
)

// reap waits for the process. It looks first and reaps later: as long as the
// dead process is there, no other gets its number, neither as a process nor
// as a group, so what it left behind can be killed by that number.
func (c *child) reap() (*os.ProcessState, error) {
	var info [128]byte // siginfo_t
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(c.proc.Pid),
			uintptr(unsafe.Pointer(&info)), syscall.WEXITED|wNoWait, 0, 0)
		if errno != syscall.EINTR {
			break
		}
	}
	c.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.disown(c.proc.Pid) // while nobody else can have its number
	state, err := c.proc.Wait()
	c.reaped = true
	return state, err
}

// residentBytes is the resident memory of a process, 0 if it is not known.
func residentBytes(pid int) int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	fields := bytes.Fields(b)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// An oomWatch tells whether the kernel's out-of-memory killer was at work of
// late. It is a likelihood: the counter says that a process was killed, not
// which. Of our own cgroup it is exact enough; where that cannot be read, the
// machine's counter has to do.
type oomWatch struct {
	mu     sync.Mutex
	path   string // "" until the first sample; "-" if there is no counter
	older  int64  // a sample or two ago
	recent int64
}

func (w *oomWatch) sample() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.path == "" {
		w.path = oomCounterPath()
		w.recent = readOOMCounter(w.path)
	}
	w.older, w.recent = w.recent, readOOMCounter(w.path)
}

// happened takes one kill off the count: two workers that die need two.
func (w *oomWatch) happened() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if readOOMCounter(w.path) <= w.older {
		return false
	}
	w.older++
	w.recent = max(w.recent, w.older)
	return true
}

// oomCounterPath finds the counter: that of our own cgroup (version 2), which
// includes the cgroups below it, or else the machine's.
func oomCounterPath() string {
	b, err := os.ReadFile("/proc/self/cgroup")
	for line := range bytes.Lines(b) {
		if group, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("0::")); ok && err == nil {
			path := filepath.Join("/sys/fs/cgroup", string(group), "memory.events")
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	return "/proc/vmstat"
}

// readOOMCounter returns the oom_kill line of a file, -1 if there is none.
func readOOMCounter(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	return parseOOMCounter(b)
}

func parseOOMCounter(b []byte) int64 {
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			if n, err := strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// orphanGrace is how long a dead child must have lain before process 1 takes
// it for an orphan: its owner, if it has one in this program, is faster.
const orphanGrace = time.Second

// reapOrphans does process 1's duty, and that of who adopts orphans, which is to
// reap all that died and whose parents did so before. Our own children are left
// to whoever started them.
func reapOrphans(quit <-chan struct{}, owned func(pid int) bool) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	seen := map[zombie]bool{}
	var again *time.Timer // nil while no dead child lies about
	for {
		select {
		case <-died:
		case <-timerC(again):
			again = nil
		case <-quit:
			return
		}
		if again != nil {
			continue // a pass is due
		}
		seen = reapSeen(seen, owned)
		if len(seen) > 0 {
			again = time.NewTimer(orphanGrace)
		}
	}
}

// A zombie is a dead child; start tells it from a later one of its number.
type zombie struct {
	pid   int
	start string
}

// reapSeen reaps the dead children that were seen in the pass before, and
// returns the others. Those that are owned are none of its business.
func reapSeen(seen map[zombie]bool, owned func(pid int) bool) map[zombie]bool {
	fresh := map[zombie]bool{}
	for _, z := range zombies(os.Getpid()) {
		if owned(z.pid) {
			continue
		}
		if seen[z] {
			syscall.Wait4(z.pid, nil, syscall.WNOHANG, nil)
		} else {
			fresh[z] = true
		}
	}
	return fresh
}

// zombies lists the dead children of a process.
func zombies(parent int) []zombie {
	var list []zombie
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // fails only on a bad pattern
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it went meanwhile
		}
		// "pid (name) state ppid … starttime": the name may hold anything.
		i := bytes.LastIndexByte(b, ')')
		f := bytes.Fields(b[i+1:])
		if len(f) < 20 || string(f[0]) != "Z" || string(f[1]) != strconv.Itoa(parent) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		list = append(list, zombie{pid, string(f[19])})
	}
	return list
}
