package main

import (
	"testing"
	"time"
)

func TestIdleTime(t *testing.T) {
	for stat, want := range map[string]time.Duration{
		"cpu  1933747 1500496 1096704 200 50 0 82326 1026 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n": 2500 * time.Millisecond,
		"cpu  1 2 3 4\n":            0,
		"cpu  1 2 3 x 5 6 7\n":      0,
		"cpu  1 2 3 4 5 6 7 8 9 10": 0, // cut off
		"":                          0,
	} {
		if got := parseIdleTime(stat); got != want {
			t.Errorf("%q: %v, want %v", stat, got, want)
		}
	}
}
