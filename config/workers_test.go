package config

import (
	"bytes"
	"testing"
	"time"
)

func TestElasticAndRecycle(t *testing.T) {
	c := mustParse(t, `
[app.a]
kind = "demo"
workers = { max = 8, spare = 2 }
surge = 1
ready = "/health?full=1"
recycle = { requests = 50, memory = "64MiB", age = "1h" }
timeout.slow = "5s"
`)
	a := c.App("a")
	if want := (Elastic{Min: 0, Max: 8, Spare: 2, Idle: time.Minute}); a.Elastic != want || a.Workers != 0 {
		t.Errorf("elastic %+v and %d, want %+v", a.Elastic, a.Workers, want)
	}
	if want := (Recycle{50, 64 << 20, time.Hour, 0.1}); a.Recycle != want {
		t.Errorf("recycle %+v, want %+v", a.Recycle, want)
	}
	if a.Surge != 1 || a.Ready != "/health?full=1" {
		t.Errorf("surge %d, ready %q", a.Surge, a.Ready)
	}
	if got := c.Limits(c.Routes[0]).Timeout.Slow; got != 5*time.Second {
		t.Errorf("the route's slow is %v", got)
	}
	// What is shown reads back as the same.
	var shown bytes.Buffer
	if err := c.WriteEffective(&shown); err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, shown.String()).App("a")
	if again.Elastic != a.Elastic || again.Recycle != a.Recycle || again.Ready != a.Ready || again.Surge != a.Surge {
		t.Errorf("shown and read again: %+v\n%s", again, shown.String())
	}
}
