package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// rss is a process's resident memory in bytes, as the kernel counts it.
func rss(t testing.TB, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// A trickle is a connection that moves one byte a second, until the test ends.
type trickle struct {
	nc   net.Conn
	stop chan struct{}
	done chan struct{}
}

// startTrickle sends the head and then calls move each second. It returns
// when the first byte was moved.
func startTrickle(t testing.TB, r *running, head string, move func(net.Conn) error) *trickle {
	t.Helper()
	nc := r.dial()
	if err := nc.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, head); err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	if err := move(nc); err != nil {
		t.Fatalf("the first byte: %v", err)
	}
	nc.SetDeadline(time.Time{})
	s := &trickle{nc, make(chan struct{}), make(chan struct{})}
	go func() {
		// end receives its end, by done.
		defer close(s.done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := move(nc); err != nil {
					t.Errorf("a slow client was cut off: %v", err)
					return
				}
			case <-s.stop:
				return
			}
		}
	}()
	t.Cleanup(s.end)
	return s
}

func (s *trickle) end() {
	close(s.stop)
	<-s.done
	s.nc.Close()
}

func readOne(nc net.Conn) error {
	_, err := nc.Read(make([]byte, 1))
	return err
}

func writeOne(nc net.Conn) error {
	_, err := nc.Write([]byte("x"))
	return err
}

// latencies asks n times, one after the other, and returns the p99.
func latencies(t testing.TB, r *running, n int) time.Duration {
	t.Helper()
	var all []time.Duration
	for range n {
		start := time.Now()
		if a := r.get("/form?name=n&text=t"); a.status != http.StatusOK {
			t.Fatalf("status %d, %q", a.status, a.body)
		}
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}

// Clients that read or send a byte a second hold up nobody else, and what
// they have not taken yet is not held in memory: neither in frontd, nor in a
// worker that serves many at once.
func TestSlowClients(t *testing.T) {
	for _, c := range []struct {
		name, app, config string
		clients, size     int
	}{
		{"multiplexed", "demo", demoApp(2), 8, 100 << 20},
		// One request at a time: answers are taken off the worker, bodies are
		// collected first, so that the slow do not hold it.
		{"one at a time", "app", `
[app.app]
kind = "wsgi"
target = "app:app"
workers = 2
body = "spool"
[[route]]
path = "/"
app = "app"
`, 4, 40 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			needFlask(t)
			dir := counterpart.Dir(t)
			copyApp(t, "flask", dir)
			r := serve(t, dir, configure(t, dir, strings.Replace(jsonLog, "[log]", "body_rate = 0\n[log]", 1)+c.config)...)
			pids := append(r.awaitServing(c.app, 2), r.PID())
			// The memory that any load takes, once: for big answers and bodies.
			r.site().checkBody("/checksum", bulk, false)
			r.site().checkDownload("/download", bulk)
			before := map[int]int64{}
			quiet := latencies(t, r, 300)
			for _, pid := range pids {
				before[pid] = rss(t, pid)
			}
			for range c.clients {
				startTrickle(t, r, fmt.Sprintf("GET /download?bytes=%d HTTP/1.1\r\nHost: x\r\n\r\n", c.size), readOne)
				startTrickle(t, r, "POST /checksum HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n", writeOne)
			}
			slow := latencies(t, r, 300)
			prompt(t, fmt.Sprintf("p99 (%v without slow clients)", quiet), slow, max(10*quiet, 200*time.Millisecond))
			// The bytes had all the time of those requests to pile up, and some more.
			until := time.After(2 * time.Second)
			for done := false; !done; {
				latencies(t, r, 20)
				select {
				case <-until:
					done = true
				default:
				}
			}
			for _, pid := range pids {
				grown := rss(t, pid) - before[pid]
				if grown > memoryFactor*16<<20 {
					t.Errorf("process %d (frontd is %d) grew by %d KiB, want at most %d MiB for %d clients with %d MiB each", pid, r.PID(), grown>>10, memoryFactor*16, c.clients, c.size>>20)
				}
				t.Logf("process %d: from %d KiB by %+d KiB", pid, before[pid]>>10, grown>>10)
			}
			t.Logf("p99 %v, with slow clients %v", quiet, slow)
		})
	}
}
