package embedded

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// A gate lets one process at a time at the file. It is two locks: FILE.lock is
// held by who has the file, FILE.want by who waits for it, and the holder
// looks at the latter after each write. The kernel ends both with their process.
type gate struct {
	lock, want *os.File
	entering   chan error // not nil: a wait that was given up goes on; guarded by Store.open
}

// gatePatience bounds the wait for another process to give the file up: one
// that is alive does so within [upkeepEvery].
const gatePatience = 5 * time.Second

var errHeld = errors.New("another process holds it and does not give it up")

func newGate(file string) (g *gate, err error) {
	g = new(gate)
	if g.lock, err = os.OpenFile(file+".lock", os.O_RDWR|os.O_CREATE, fileMode); err != nil {
		return nil, err
	}
	if g.want, err = os.OpenFile(file+".want", os.O_RDWR|os.O_CREATE, fileMode); err != nil {
		g.lock.Close()
		return nil, err
	}
	return g, nil
}

// enter returns when this process has the file to itself.
func (g *gate) enter(ctx context.Context) error {
	if g.entering == nil {
		if flock(g.lock, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return nil
		}
		entering := make(chan error, 1)
		g.entering = entering
		go func() { entering <- g.wait() }()
		// Received below, now or by the next who enters, or ended with the process.
	}
	t := time.NewTimer(gatePatience)
	defer t.Stop()
	select {
	case err := <-g.entering:
		g.entering = nil
		return err
	case <-t.C:
		return errHeld
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gate) wait() error {
	if err := flock(g.want, syscall.LOCK_EX); err != nil {
		return err
	}
	defer flock(g.want, syscall.LOCK_UN)
	return flock(g.lock, syscall.LOCK_EX)
}

func (g *gate) leave() { flock(g.lock, syscall.LOCK_UN) }

// wanted reports whether another process waits.
func (g *gate) wanted() bool {
	if flock(g.want, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return true
	}
	flock(g.want, syscall.LOCK_UN)
	return false
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return err
		}
	}
}

func (g *gate) close() error { return errors.Join(g.lock.Close(), g.want.Close()) }
