package main

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/internal/memnet"
	"github.com/frontd/frontd/supervisor"
)

// An only worker that has lost a connection and lives serves on at once: the
// others' requests do not wait for what one of them did to its connection. One
// that says nothing of itself, or does not answer, has to wait.
func TestWorkerIsVouchedFor(t *testing.T) {
	for _, c := range []struct {
		what            string
		answered, lives bool
		want            time.Duration
	}{
		{"it lives", true, true, 0},
		{"it hangs", true, false, vouchTime},
		{"it does not say whether it lives", false, true, vouchTime},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApplication(&config.App{Name: "app", Kind: config.KindDemo, Workers: 1}, 10, false, nil)
				defer a.close()
				a.answers[1] = answer{Capabilities: fcgi.Capabilities{Answered: c.answered}, concurrency: 1}
				a.joined(supervisor.Worker{App: "app", Generation: 1})
				u := a.upstreams[1]
				u.Transport.Dial = func(context.Context) (net.Conn, error) {
					ours, theirs := memnet.Pipe()
					go func() { // it ends when the question has come
						question := make([]byte, 8)
						if _, err := io.ReadFull(theirs, question); err == nil && c.lives {
							theirs.Write([]byte{1, byte(fcgi.TypeGetValuesResult), 0, 0, 0, 0, 0, 0})
						}
					}()
					return ours, nil
				}
				began := time.Now()
				a.pool.Suspect(u)
				if _, err := a.pool.Acquire(t.Context(), fcgi.Turn{}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("it is given a request after %v, want %v", took, c.want)
				}
				a.pool.Release(u)
			})
		})
	}
}
