package main

import (
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// sparePart and maxSpare, a part of all and a number, are how many descriptors
	// clients do not get: connections to workers, files, new workers and the control
	// socket have these.
	sparePart = 8
	maxSpare  = 1024
	// roomEvery is how often it is looked whether connections have ended.
	roomEvery = 20 * time.Millisecond
	// roomTold is how seldom the log has it.
	roomTold = time.Minute
)

// descriptors are those that the connections of clients may have: with all of
// this process's, idle ones would keep the others from their workers. A system gives the
// lowest one that is free: who gets a high one knows how many are in use.
type descriptors struct {
	most  int // those below; 0: all
	limit int
	log   *slog.Logger

	mu   sync.Mutex // guards the field below
	told time.Time
}

// newDescriptors goes by the limit of this process, which Go has raised as far as it may.
func newDescriptors(log *slog.Logger) *descriptors {
	d := &descriptors{log: log}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > 1<<30 {
		return d
	}
	d.limit = int(l.Cur)
	d.most = d.limit - min(d.limit/sparePart, maxSpare)
	return d
}

// last reports whether the connection has the last descriptor that clients get, or one beyond.
func (d *descriptors) last(c net.Conn) (last bool) {
	sc, ok := c.(syscall.Conn)
	if !ok || d.most == 0 {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) { last = int(fd) >= d.most-1 }) // it fails on a closed one
	return last
}

// await waits until clients may have one more, or closed is. It calls alive again and
// again. Who has no open connection gets one in any case: it may be workers that have
// the others.
func (d *descriptors) await(closed <-chan struct{}, open func() int, alive func()) {
	if d.room() || open() == 0 {
		return
	}
	d.tell()
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	for !d.room() && open() > 0 {
		select {
		case <-tick.C:
			alive()
		case <-closed:
			return
		}
	}
}

// room tries which descriptor is free.
func (d *descriptors) room() bool {
	fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	switch err {
	case nil:
		syscall.Close(fd)
		return fd < d.most
	case syscall.EMFILE, syscall.ENFILE:
		return false
	}
	return true // not known: Accept will tell
}

func (d *descriptors) tell() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); d.told.IsZero() || now.Sub(d.told) >= roomTold {
		d.told = now
		d.log.Warn("clients have all the descriptors that they may: further connections wait until others end",
			"limit", d.limit, "spare", d.limit-d.most)
	}
}
