package gcpace

import (
	"runtime/debug"
	"testing"
)

func TestPercentFor(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
		why  string
	}{
		{0, 300, "an empty heap: 12 MiB, three times Go's least"},
		{1 << 20, 300, "a front without connections: 12 MiB all the same"},
		{2 << 20, 200, "under load: 8 MiB"},
		{4<<20 - 1, 200, "12 MiB"},
		{4 << 20, 100, "from here on Go's default"},
		{8 << 30, 100, "a heap that must not grow fivefold"},
	} {
		if got := percentFor(tt.live); got != tt.want {
			t.Errorf("%d bytes alive: GOGC=%d, want %d: %s", tt.live, got, tt.want, tt.why)
		}
	}
}

// An application that sets its own pace keeps it.
func TestOwnPaceIsKept(t *testing.T) {
	p := &pacer{percent: current()}
	p.live[0].Name = "/gc/heap/live:bytes"
	if !p.adjust() {
		t.Fatalf("pace of %d is not taken for its own", p.percent)
	}
	before := debug.SetGCPercent(333)
	defer debug.SetGCPercent(before)
	if p.adjust() || current() != 333 {
		t.Errorf("GOGC is %d after the application set 333", current())
	}
}

func TestOff(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if current() != -1 {
		t.Errorf("collections are off, and GOGC is read as %d", current())
	}
}

// The pace holds the heap to what Start says: 12 MiB, with little alive.
func TestGoal(t *testing.T) {
	for live := uint64(0); live < 4<<20; live += 64 << 10 {
		p := uint64(percentFor(live))
		if goal := max(4<<20*p/100, live+live*p/100); goal < 8<<20 || goal > 12<<20 {
			t.Errorf("%d bytes alive: the next collection is at %d", live, goal)
		}
	}
}
