package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// All processes stop and go on, as on a machine that was suspended: what was in
// hand is finished, and no worker is blamed for the time. Where the machine is so
// busy that requests have their time while nothing stops, it says nothing of that.
func TestStandstill(t *testing.T) {
	length := 5 * time.Second
	if long() {
		length = 30 * time.Second
	}
	const limit = 4 * time.Second
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(2, fmt.Sprintf("timeout.request = %q", limit)))...)
	var why error
	for range 5 {
		before := r.awaitServing("demo", 2)
		awake, failed := r.stopAll(length)
		after := r.awaitServing("demo", 2)
		if failed == nil && slices.Equal(before, after) {
			return
		}
		why = fmt.Errorf("awake for %v: %w; the workers were %v and are %v", awake, failed, before, after)
		if awake < limit/2 {
			t.Fatal(why)
		}
		t.Log(why)
	}
	counterpart.Unable(t, fmt.Sprint("too busy a machine: ", why))
}

// stopAll stops everything for so long with four requests in hand, and returns
// how long it had those while it went, and why one of them failed.
func (r *running) stopAll(length time.Duration) (awake time.Duration, failed error) {
	r.t.Helper()
	began := time.Now()
	failures := make(chan error, 4)
	pr, pw := [4]*io.PipeReader{}, [4]*io.PipeWriter{}
	for i := range pr {
		pr[i], pw[i] = io.Pipe()
		go func() { // received below
			a, err := ask(r.t.Context(), r.client, http.MethodPost, r.url+"/checksum", "", pr[i])
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("answered with %d %.100q", a.status, a.body)
			}
			failures <- err
		}()
	}
	// Those whose time is over by then make it the caller's loss of time, below.
	err := counterpart.Poll(4*time.Second, func() error {
		s, err := r.tryStatus()
		if err == nil && s.Apps[0].Busy != len(pr) {
			err = fmt.Errorf("%d are in hand", s.Apps[0].Busy)
		}
		return err
	})
	tree := append(descendants(r.t, r.PID()), r.PID())
	signal := func(sig syscall.Signal) {
		for _, pid := range tree {
			if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
				r.t.Fatal(err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	stopped := time.Now()
	<-time.After(length) // this is what is tested, and not a wait for something
	slept := time.Since(stopped)
	signal(syscall.SIGCONT)
	for _, w := range pw {
		w.Close()
	}
	for range pr {
		err = errors.Join(err, <-failures)
	}
	return time.Since(began) - slept, err
}
