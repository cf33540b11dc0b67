package main

import "testing"

func TestCrowding(t *testing.T) {
	type seen struct {
		waiting bool
		used    float64
		times   int
		want    bool
		why     string
	}
	for name, looks := range map[string][]seen{
		"a crowd that stays": {
			{true, 1, crowdLooks - 1, false, "it may be a moment"},
			{true, 1, 1000, true, "the workers need the CPUs, whatever frontd would like"},
			{false, 0.2, calmLooks - 1, true, "the crowd may come back"},
			{true, 0.2, 1, true, "it has"},
			{false, 0.2, calmLooks - 1, true, "counted anew"},
			{false, 0.2, 1, false, "it has not"},
		},
		"moments": {
			{true, 0.1, 1, false, "once"}, {false, 0.1, 1, false, "and over"}, {true, 0.1, 1, false, "once more"},
		},
		"frontd itself is short of CPU": {
			{true, 0.9, crowdLooks - 1, false, "it may be a moment"},
			{true, 0.9, 1, true, "a crowd"},
			{false, 0.95, 1, false, "nobody waits for a worker any more, and all of the half is used"},
			{false, 0.95, 1000, false, "all of them"},
			{true, 0.95, crowdLooks - 1, false, "a moment"},
			{true, 0.95, 1, true, "the next crowd"},
		},
		"no crowd": {{false, 1, 1000, false, "a busy frontd without one keeps all"}},
	} {
		t.Run(name, func(t *testing.T) {
			var c crowding
			for _, s := range looks {
				for n := range s.times {
					if got := c.look(s.waiting, s.used); got != s.want {
						t.Fatalf("look %d of %q: halved %t, want %t", n+1, s.why, got, s.want)
					}
				}
			}
		})
	}
}
