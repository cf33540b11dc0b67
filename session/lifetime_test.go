package session

import (
	"testing"
	"time"
)

func TestTimeouts(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: k=1")
	for range 20 { // 10 hours
		b.clock = b.clock.Add(30 * time.Minute)
		b.want("used within idle", `{"k":1}`)
		b.request()
	}
	idle := *b
	b.clock = b.clock.Add(30*time.Minute + b.s.grain)
	b.want("idle", empty)
	b.clock = b.clock.Add(-time.Minute)
	b.want("just before", `{"k":1}`)
	for range 5 {
		b.request()
		b.clock = b.clock.Add(28 * time.Minute)
	}
	b.want("after its lifetime", empty)
	b.clock = idle.clock
	n := b.load()
	b.clock = b.clock.Add(time.Hour) // it ends while the worker has it
	b.commit(n, "Set: late=1")
	if b.last == "" {
		t.Error("an ended session came back under its old cookie")
	}
	b.want("begun anew", `{"late":1}`)
}

func TestUseIsNotedSeldom(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	b.request("Set: k=1")
	before := string(b.store.values[b.load().key])
	b.clock = b.clock.Add(b.s.grain - time.Second)
	if b.request(); string(b.store.values[b.load().key]) != before {
		t.Error("a mere read was written at once")
	}
	b.clock = b.clock.Add(time.Second)
	if b.request(); string(b.store.values[b.load().key]) == before {
		t.Error("the use was not noted")
	}
}

// A clock that was wrong for a while gives no session a longer life than it has, once
// it is used again: neither beyond its last use nor beyond its beginning.
func TestClockIsSetBack(t *testing.T) {
	b := &browser{site: newSite(t, nil)}
	right := b.clock
	b.clock = right.Add(1000 * 24 * time.Hour) // until somebody sees it
	b.request("Set: k=1")
	b.clock = right
	b.want("used after that", `{"k":1}`)
	b.request()
	b.clock = b.clock.Add(b.s.Idle + b.s.grain)
	b.want("idle since", empty)
	b.clock = right
	for end := right.Add(b.s.Lifetime); b.clock.Before(end); b.clock = b.clock.Add(b.s.Idle / 2) {
		b.want("used within idle", `{"k":1}`)
		b.request()
	}
	b.want("after its lifetime", empty)
}
