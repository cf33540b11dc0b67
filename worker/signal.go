package worker

import (
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// signals is what the process is told by its supervisor.
type signals struct {
	term chan os.Signal // stop
	dump chan os.Signal // say what the goroutines do
}

func watchSignals() *signals {
	s := &signals{term: make(chan os.Signal, 2), dump: make(chan os.Signal, 1)}
	signal.Notify(s.term, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(s.dump, syscall.SIGQUIT)
	return s
}

func (s *signals) stop() {
	signal.Stop(s.term)
	signal.Stop(s.dump)
}

// maxDump bounds a dump of stacks, in bytes: thousands of goroutines must not
// make a worker that is in trouble already run out of memory.
const maxDump = 16 << 20

// dumpStacks writes the stacks of all goroutines to w, in one write.
func dumpStacks(w io.Writer) {
	for size := 64 << 10; ; size *= 4 {
		buf := make([]byte, min(size, maxDump))
		n := runtime.Stack(buf, true)
		if n < len(buf) || len(buf) == maxDump {
			w.Write(append(buf[:n], '\n'))
			return
		}
	}
}
