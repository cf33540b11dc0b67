package main

import "testing"

func TestGCPercent(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
		why  string
	}{
		{0, 1600, "an empty heap: bounded, or the first collection would never come"},
		{1 << 20, 400, "a front without connections"},
		{2 << 20, 200, "under load"},
		{4 << 20, 100, "from here on Go's default"},
		{8 << 30, 100, "a heap that must not grow fivefold"},
	} {
		if got := gcPercent(tt.live); got != tt.want {
			t.Errorf("%d bytes alive: GOGC=%d, want %d: %s", tt.live, got, tt.want, tt.why)
		}
	}
}
