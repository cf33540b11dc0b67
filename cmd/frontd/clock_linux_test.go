package main

import (
	"net/http"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// clockIsOurs is a file that a machine has whose clock nobody else goes by.
const clockIsOurs = "/clock-is-ours"

// A clock that is set, by years, ends no request and no worker, and holds up nothing:
// neither bounds of time nor starts. TestMachine runs it: this machine's clock is
// not only ours.
func TestClockIsSet(t *testing.T) {
	if _, err := os.Stat(clockIsOurs); err != nil {
		t.Skip("sets the clock of the whole machine: TestMachine has one for it, with FRONTD_LONG=1")
	}
	dir := counterpart.Dir(t)
	layMisbehave(t, dir)
	r := serve(t, dir, configure(t, dir, jsonLog+`
[app.wild]
kind = "go"
target = "./misbehave"
workers = 2
threads = 4
recycle = { age = "24h" }
queue = { size = 10, timeout = "1h" }
timeout = { request = "1h", stop = "1s" }
[app.demo]
kind = "demo"
workers = 1
threads = 1
queue = { size = 10, timeout = "1h" }
timeout = { request = "1h" }
[[route]]
path = "= /hang"
app = "wild"
timeout.request = "1s"
[[route]]
path = "= /flood"
app = "wild"
[[route]]
app = "demo"
`)...)
	before := r.awaitServing("wild", 2)
	const years = 3 * 365 * 24 * time.Hour
	for _, by := range []time.Duration{years, -2 * years, time.Hour, -time.Hour} {
		demo := r.awaitServing("demo", 1)
		release := r.hold() // the only worker: who asks next waits
		waits := r.ask("/hello")
		r.awaitQueue(1)
		mark := r.Mark()
		setClock(t, by)
		// Each of these takes a second of its own, in which what the clock has set off happens.
		if a := r.get("/hang"); a.status != http.StatusGatewayTimeout {
			t.Errorf("%v: over its time, answered with %d", by, a.status)
		}
		r.AwaitLineAfter(mark, `"msg":"worker gone","app":"wild"`, patience)
		release()
		if a := <-waits; a.status != http.StatusOK {
			t.Errorf("%v: who waited is answered with %d %.100q", by, a.status, a.body)
		}
		if now := r.awaitServing("demo", 1); !slices.Equal(now[:1], demo[:1]) {
			t.Errorf("%v: the workers of demo were %v and are %v", by, demo, now)
		}
		now := r.awaitServing("wild", 2)
		if same := slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) }); !same {
			t.Errorf("%v: the workers were %v and are %v: more than the one with the request has gone", by, before, now)
		}
		before = now
		if err := syscall.Kill(now[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		before = r.replaced("wild", now[:1], 2)
		if a := r.get("/flood?bytes=0"); a.status != http.StatusOK {
			t.Errorf("%v: then %d", by, a.status)
		}
	}
	if n := r.Count(`recycled|queue-timeout`); n > 0 {
		t.Errorf("%d lines of the log tell of what has not happened", n)
	}
}

// setClock moves the clock of the machine.
func setClock(t *testing.T, by time.Duration) {
	t.Helper()
	tv := syscall.NsecToTimeval(time.Now().Add(by).UnixNano())
	if err := syscall.Settimeofday(&tv); err != nil {
		t.Fatal(err)
	}
}
