package supervisor

import (
	"fmt"
	"slices"
)

// A Tally counts the workers of a group that are meant to stay: not those that
// are leaving, and not new ones that have not taken over yet.
type Tally struct {
	Serving  int
	Starting int      // no longer or not yet serving, to be so soon
	Backoff  []Worker // those that wait for their next start
	Leaving  int      // processes that end and are not meant to stay
}

// Count returns how many there are.
func (g *Group) Count() Tally {
	g.mu.Lock()
	defer g.mu.Unlock()
	var t Tally
	for _, s := range g.slots {
		state, w := s.state()
		switch stays := slices.Contains(g.serving, s); {
		case !stays && state == StateStopping:
			t.Leaving++
		case !stays:
		case state == StateServing:
			t.Serving++
		case state == StateBackoff:
			t.Backoff = append(t.Backoff, w)
		default:
			t.Starting++
		}
	}
	return t
}

// Grow starts n more workers and does not wait for them.
func (g *Group) Grow(n int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.serving)+n > maxWorkers {
		return fmt.Errorf("app %q: more than %d workers", g.name, maxWorkers)
	}
	// All in one: between the plan and the list a Change could take over, and
	// one of the old plan would be meant to stay.
	added, err := g.addLocked(g.plan, nil, n)
	if err != nil {
		return err
	}
	g.serving = append(slices.Clip(g.serving), added...)
	return nil
}

// Dismiss drains and stops w for good, and does not wait for that. It reports
// whether it did: false if w is not one that is meant to stay.
func (g *Group) Dismiss(w Worker, reason string) bool {
	s := g.staying(w)
	if s == nil {
		return false
	}
	g.mu.Lock()
	was := len(g.serving)
	g.serving = slices.DeleteFunc(slices.Clone(g.serving), func(o *slot) bool { return o == s })
	gone := len(g.serving) < was
	g.mu.Unlock()
	if gone {
		s.stop(ending{cause: CauseScaled, reason: reason})
	}
	return gone
}

func (s *slot) state() (State, Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.State, s.status.Worker
}
