package main

import "testing"

func TestCrowding(t *testing.T) {
	type seen struct {
		waiting bool
		used    float64
		idle    float64
		times   int
		want    bool
		why     string
	}
	for name, looks := range map[string][]seen{
		"a crowd that stays": {
			{true, 1, 0, crowdLooks - 1, false, "it may be a moment"},
			{true, 1, 0, 1000, true, "the workers need the CPUs, whatever frontd would like"},
			{false, 0.2, 0, calmLooks - 1, true, "the crowd may come back"},
			{true, 0.2, 0, 1, true, "it has"},
			{false, 0.2, 0, calmLooks - 1, true, "counted anew"},
			{false, 0.2, 0, 1, false, "it has not"},
		},
		"moments": {
			{true, 0.1, 0, 1, false, "once"}, {false, 0.1, 0, 1, false, "and over"}, {true, 0.1, 0, 1, false, "once more"},
		},
		"frontd itself is short of CPU": {
			{true, 0.9, 0, crowdLooks - 1, false, "it may be a moment"},
			{true, 0.9, 0, 1, true, "a crowd"},
			{false, 0.95, 0, 1, false, "nobody waits for a worker any more, and all of the half is used"},
			{false, 0.95, 0, 1000, false, "all of them"},
			{true, 0.95, 0, crowdLooks - 1, false, "a moment"},
			{true, 0.95, 0, 1, true, "the next crowd"},
		},
		"an application waits for its database, and others are served": {
			{true, 0.5, 0.4, crowdLooks - 1, false, "it may be a moment"},
			{true, 0.5, 0.4, 100, true, "the half is enough"},
			{true, 0.95, 0, 100, true, "the workers use the other"},
			{true, 0.95, 0.3, 1, false, "nobody uses the other"},
			{true, 0.95, 0, calmLooks - 1, false, "not at once again: nobody needed it"},
			{true, 0.95, 0, 1, true, "somebody may now"},
			{true, 0.95, 0.3, 1, false, "nobody does"},
			{false, 0.95, 0, calmLooks, false, "the crowd is over"},
			{true, 0.95, 0, crowdLooks - 1, false, "another one"},
			{true, 0.95, 0, 1, true, "is not that one"},
		},
		"no crowd": {{false, 1, 0, 1000, false, "a busy frontd without one keeps all"}},
	} {
		t.Run(name, func(t *testing.T) {
			var c crowding
			for _, s := range looks {
				for n := range s.times {
					if got := c.look(s.waiting, s.used, s.idle); got != s.want {
						t.Fatalf("look %d of %q: halved %t, want %t", n+1, s.why, got, s.want)
					}
				}
			}
		})
	}
}

// Where no request waits nobody looks; the first that waits has it done, and
// those that come before it has begun do not ask twice.
func TestCrowdSleeps(t *testing.T) {
	c := newCrowd()
	c.waits() // somebody looks already
	if len(c.wake) != 0 {
		t.Error("who looks is woken")
	}
	c.asleep.Store(true)
	c.waits()
	c.waits()
	if len(c.wake) != 1 || c.asleep.Load() {
		t.Errorf("%d wait to be seen, asleep %t; want one that wakes who sleeps", len(c.wake), c.asleep.Load())
	}
}
