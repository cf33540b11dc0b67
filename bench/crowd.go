package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// How slow the clients of a crowd are: a KiB a second of an answer that never
// comes to its end.
const (
	crowdPath   = "/endless"
	crowdPiece  = 1 << 10
	crowdPeriod = time.Second

	crowdSettles = 20 * time.Second       // for all buffers on the way to fill up
	crowdLook    = 200 * time.Millisecond // between two looks whether they have
	crowdIdle    = 0.05                   // of one CPU: below it the side moves no bulk any more
)

// A crowd is clients that read slowly, all at once, beside those that are measured.
type crowd struct {
	conns []net.Conn
	stop  chan struct{}
	ended sync.WaitGroup
	lost  atomic.Int64 // that were cut off
}

// gather starts the crowd of a side, and returns when it holds up all that can be held up.
func (s *stage) gather(ctx context.Context, n int) error {
	s.crowd = &crowd{stop: make(chan struct{})}
	for range n {
		if err := s.crowd.join(s.address); err != nil {
			return fmt.Errorf("slow reader: %w", err)
		}
	}
	return s.settle(ctx)
}

func (c *crowd) join(address string) error {
	nc, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return err
	}
	c.conns = append(c.conns, nc)
	nc.(*net.TCPConn).SetReadBuffer(4 << 10) // or the kernel would hold megabytes for it
	nc.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: bench.local\r\n\r\n", crowdPath); err != nil {
		return err
	}
	if _, err := nc.Read(make([]byte, 1)); err != nil {
		return err
	}
	nc.SetDeadline(time.Time{})
	c.ended.Add(1)
	go c.read(nc)
	// disperse receives its end, by c.ended.
	return nil
}

func (c *crowd) read(nc net.Conn) {
	defer c.ended.Done()
	tick := time.NewTicker(crowdPeriod)
	defer tick.Stop()
	buf := make([]byte, crowdPiece)
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		if _, err := nc.Read(buf); err != nil {
			select {
			case <-c.stop:
			default:
				c.lost.Add(1)
			}
			return
		}
	}
}

// settle returns when the side has come to rest: every buffer between it and
// its slow clients is full.
func (s *stage) settle(ctx context.Context) error {
	until := time.Now().Add(crowdSettles)
	tick := time.NewTicker(crowdLook)
	defer tick.Stop()
	before, _, err := cpuOf(s.roots())
	for err == nil {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		var now time.Duration
		if now, _, err = cpuOf(s.roots()); err != nil {
			break
		}
		if float64(now-before) < crowdIdle*float64(crowdLook) {
			return nil
		}
		if before = now; time.Now().After(until) {
			return errors.New("the side does not come to rest beside its slow readers")
		}
	}
	return err
}

func (c *crowd) disperse() {
	if c == nil {
		return
	}
	close(c.stop)
	for _, nc := range c.conns {
		nc.Close()
	}
	c.ended.Wait()
}
