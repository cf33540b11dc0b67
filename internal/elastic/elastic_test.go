package elastic

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// A moment of a transcript: after a pause, a load, and what is to be done.
type moment struct {
	why   string
	after time.Duration
	load  Load
	want  Decision
}

func TestTranscripts(t *testing.T) {
	const tick = 100 * time.Millisecond
	for _, c := range []struct {
		name    string
		bounds  Bounds
		moments []moment
	}{
		{"from zero and back", Bounds{Max: 4, Idle: time.Minute, Places: 1}, []moment{
			{"nothing is asked for", 0, Load{}, Decision{}},
			{"nor after ten minutes", 10 * time.Minute, Load{}, Decision{}},
			{"the first request starts one at once", 0, Load{Waiting: 1, Peak: 1}, Decision{Start: 1}},
			{"while it starts no other does", tick, Load{Waiting: 1, Peak: 1, Starting: 1}, Decision{}},
			{"it serves", tick, Load{Busy: 1, Peak: 1, Serving: 1}, Decision{}},
			{"and is idle", time.Second, Load{Serving: 1, Free: 1}, Decision{}},
			{"not for long enough", 58 * time.Second, Load{Serving: 1, Free: 1}, Decision{}},
			{"for long enough", time.Second, Load{Serving: 1, Free: 1}, Decision{Stop: 1}},
		}},
		{"a short queue starts nothing", Bounds{Min: 1, Max: 8, Idle: time.Minute, Places: 1}, []moment{
			{"a queue", 0, Load{Busy: 1, Waiting: 5, Peak: 6, Serving: 1}, Decision{}},
			{"gone again", 50 * time.Millisecond, Load{Busy: 1, Peak: 6, Serving: 1}, Decision{}},
			{"another", 50 * time.Millisecond, Load{Busy: 1, Waiting: 5, Peak: 6, Serving: 1}, Decision{}},
			{"one that stays", tick, Load{Busy: 1, Waiting: 5, Peak: 6, Serving: 1}, Decision{Start: 4}},
			{"starting ones count", tick, Load{Busy: 1, Waiting: 5, Peak: 6, Serving: 1, Starting: 5}, Decision{}},
		}},
		{"the rate doubles up to its ceiling", Bounds{Max: 1000, Idle: time.Minute, Places: 1}, []moment{
			{"at first", 0, Load{Waiting: 500}, Decision{Start: 4}},
			{"no more within the second", 900 * time.Millisecond, Load{Waiting: 500, Starting: 4}, Decision{}},
			{"then", tick, Load{Waiting: 500, Starting: 4}, Decision{Start: 8}},
			{"then", time.Second, Load{Waiting: 500, Starting: 12}, Decision{Start: 16}},
			{"then", time.Second, Load{Waiting: 500, Starting: 28}, Decision{Start: 32}},
			{"then", time.Second, Load{Waiting: 500, Starting: 60}, Decision{Start: 32}},
			{"after a rest as at first", time.Minute, Load{Waiting: 500, Starting: 92}, Decision{Start: 4}},
		}},
		{"spare ones stand by while there is work", Bounds{Max: 5, Spare: 2, Idle: 10 * time.Second, Places: 1}, []moment{
			{"no work", 0, Load{}, Decision{}},
			{"work: itself and two", time.Second, Load{Waiting: 1, Peak: 1}, Decision{Start: 3}},
			{"two busy", time.Second, Load{Busy: 2, Peak: 2, Serving: 3, Free: 1}, Decision{}},
			{"still", tick, Load{Busy: 2, Peak: 2, Serving: 3, Free: 1}, Decision{Start: 1}},
			{"the most is the most", time.Second, Load{Busy: 5, Waiting: 9, Peak: 14, Serving: 5}, Decision{}},
			{"work is over", time.Second, Load{Serving: 5, Free: 5}, Decision{}},
			{"for ten seconds: all go, spare ones too", 10 * time.Second, Load{Serving: 5, Free: 5}, Decision{Stop: 5}},
		}},
		{"the minimum is kept, and made good at once", Bounds{Min: 2, Max: 4, Idle: time.Second, Places: 1}, []moment{
			{"idle for long", 0, Load{Serving: 2, Free: 2}, Decision{}},
			{"idle for long", time.Hour, Load{Serving: 2, Free: 2}, Decision{}},
			{"more than the minimum", time.Hour, Load{Serving: 3, Free: 3}, Decision{Stop: 1}},
			{"fewer", time.Hour, Load{Serving: 1, Free: 1}, Decision{Start: 1}},
		}},
		{"only idle ones go", Bounds{Max: 4, Idle: time.Second, Places: 1}, []moment{
			{"begin", 0, Load{Serving: 4, Free: 4}, Decision{}},
			{"one long request each on two", time.Hour, Load{Busy: 2, Peak: 2, Serving: 4, Free: 1}, Decision{Stop: 1}},
		}},
		{"workers of many places", Bounds{Max: 4, Idle: time.Second, Places: 16}, []moment{
			{"sixteen are one's", 0, Load{Waiting: 16}, Decision{Start: 1}},
			{"seventeen", time.Second, Load{Busy: 16, Waiting: 1, Serving: 1}, Decision{}},
			{"are two's", tick, Load{Busy: 16, Waiting: 1, Serving: 1}, Decision{Start: 1}},
		}},
		{"a peak between two looks is seen", Bounds{Max: 4, Idle: time.Minute, Places: 1}, []moment{
			{"begin", 0, Load{Serving: 4, Free: 4}, Decision{}},
			{"three at once, a moment ago", 50 * time.Second, Load{Peak: 3, Serving: 4, Free: 4}, Decision{}},
			{"three stay", 20 * time.Second, Load{Serving: 4, Free: 4}, Decision{Stop: 1}},
			{"for a minute", 40 * time.Second, Load{Serving: 3, Free: 3}, Decision{Stop: 3}},
		}},
		{"a crash loop is not fed, and forgotten with its requests", Bounds{Max: 8, Idle: time.Second, Places: 1}, []moment{
			{"begin", 0, Load{Waiting: 2, Peak: 2}, Decision{Start: 2}},
			{"they wait for their next start", time.Second, Load{Waiting: 2, Peak: 2, Starting: 2}, Decision{}},
			{"nobody waits for them", time.Minute, Load{Starting: 2, Free: 2}, Decision{Stop: 2}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s State
				for i, m := range c.moments {
					time.Sleep(m.after) // virtual
					var got Decision
					if s, got = s.Next(c.bounds, m.load, time.Now()); got != m.want {
						t.Fatalf("%d, %s: %+v, want %+v", i, m.why, got, m.want)
					}
				}
			})
		})
	}
}

// Whatever the load, the number stays within its bounds, what is stopped is
// free, no second starts more than the ceiling of two windows, and in the end,
// without load, the minimum is left.
func TestInvariants(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := Bounds{Min: r.IntN(4), Spare: r.IntN(4), Idle: time.Duration(1+r.IntN(20)) * time.Second, Places: 1 + r.IntN(3)}
		b.Max = max(1, b.Min) + r.IntN(60)
		var s State
		now := time.Unix(1e9, 0)
		serving, starting, requests := b.Min, 0, 0
		recent := map[int64]int{}
		step := func(quiet bool) {
			if requests += r.IntN(21) - 10; requests < 0 || quiet {
				requests = 0
			}
			busy := min(requests, serving*b.Places)
			l := Load{Busy: busy, Waiting: requests - busy, Peak: requests, Serving: serving, Starting: starting}
			l.Free = serving - min(serving, busy)
			var d Decision
			s, d = s.Next(b, l, now)
			if d.Stop > l.Free || d.Start < 0 || d.Stop < 0 {
				t.Fatalf("seed %d: %+v for %+v", seed, d, l)
			}
			serving, starting = serving-d.Stop+starting, d.Start // those that started are ready now
			if n := serving + starting; n > b.Max || n < b.Min {
				t.Fatalf("seed %d: %d workers, want %d to %d", seed, n, b.Min, b.Max)
			}
			if recent[now.Unix()] += d.Start; recent[now.Unix()] > 2*maxRate {
				t.Fatalf("seed %d: %d started within a second", seed, recent[now.Unix()])
			}
			now = now.Add(time.Duration(1+r.IntN(300)) * time.Millisecond)
		}
		for range 500 {
			step(false)
		}
		for until := now.Add(2*b.Idle + time.Second); now.Before(until); {
			step(true)
		}
		if serving+starting != b.Min {
			t.Fatalf("seed %d: %d left without load, want %d", seed, serving+starting, b.Min)
		}
	}
}
