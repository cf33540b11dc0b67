package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/frontd/frontd/internal/counterpart"
)

// All processes stop and go on, as on a machine that was suspended: what was in
// hand is finished, and no worker is blamed for the time.
func TestStandstill(t *testing.T) {
	length := 5 * time.Second
	if os.Getenv("FRONTD_LONG") == "1" {
		length = 30 * time.Second
	}
	dir := counterpart.Dir(t)
	r := serve(t, dir, configure(t, dir, jsonLog+demoApp(2, `timeout.request = "4s"`))...)
	before := r.awaitServing("demo", 2)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { // Wait below
			a, err := ask(t.Context(), r.client, http.MethodPost, r.url+"/sleep?ms=1500", "", nil)
			if err != nil || a.status != http.StatusOK {
				t.Errorf("answered with %d %.100q, %v", a.status, a.body, err)
			}
		})
	}
	counterpart.Await(t, "all to be in hand", patience, func() error {
		s, err := r.tryStatus()
		if err == nil && s.Apps[0].Busy != 4 {
			err = fmt.Errorf("%d are", s.Apps[0].Busy)
		}
		return err
	})
	tree := append(descendants(t, r.PID()), r.PID())
	signal := func(sig syscall.Signal) {
		for _, pid := range tree {
			if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
				t.Fatal(err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	<-time.After(length) // this is what is tested, and not a wait for something
	signal(syscall.SIGCONT)
	all.Wait()
	if after := r.awaitServing("demo", 2); !slices.Equal(before, after) {
		t.Errorf("the workers were %v and are %v", before, after)
	}
}
