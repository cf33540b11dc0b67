package main

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A loop that accepts is felt whether or not somebody comes; one that does not
// is missed although the kernel takes its connections.
func TestPulse(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		p := newPulse(l, &descriptors{}, func() int { return 0 })
		asleep, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := p.feel(asleep); err == nil {
			t.Errorf("%s: a loop that does not run is felt", network)
		}
		cancel()

		ended := make(chan struct{})
		go func() {
			defer close(ended) // received below
			for {
				c, err := p.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		for range 3 {
			if err := p.feel(t.Context()); err != nil {
				t.Errorf("%s: %v", network, err)
			}
		}
		p.Close()
		<-ended
		if err := p.feel(t.Context()); err != nil { // the end of Accept was felt
			t.Errorf("%s: %v", network, err)
		}
		if err := p.feel(t.Context()); err != nil {
			t.Errorf("%s: a socket that cannot be reached: %v", network, err)
		}
	}
}
