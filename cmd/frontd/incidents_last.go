package main

import (
	"sync"
	"time"

	"github.com/frontd/frontd/incident"
	"github.com/frontd/frontd/supervisor"
)

// Bounds of what is remembered of answers that were none: how long a worker
// may take from one to its end, and how many.
const (
	lastWithin = 5 * time.Second
	maxLast    = 64
)

// lastAnswers are the incidents of answers that were none, by the worker that
// gave them. Perl's FCGI ends the request of a die before the process ends: that
// is one mishap, and told once.
type lastAnswers struct {
	mu   sync.Mutex // guards the field below
	list []lastAnswer
}

type lastAnswer struct {
	pid   int
	id    string // of the incident
	clean *incident.Redactor
	at    time.Time
}

func (l *lastAnswers) note(a lastAnswer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= maxLast {
		l.list = append(l.list[:0], l.list[1:]...)
	}
	l.list = append(l.list, a)
}

// take returns the latest of a process that has ended at a time.
func (l *lastAnswers) take(pid int, at time.Time) (last lastAnswer, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.list[:0]
	for _, a := range l.list {
		if a.pid != pid {
			kept = append(kept, a)
		} else if at.Sub(a.at) < lastWithin {
			last, ok = a, true
		}
	}
	clear(l.list[len(kept):])
	l.list = kept
	return last, ok
}

// endOfLast adds a worker's end to the incident of its last answer, where the
// end itself says nothing: a status, and no word of why.
func (in *incidents) endOfLast(e supervisor.Event, requests uint64, said string) (id string, ok bool) {
	last, ok := in.last.take(e.Worker.PID, time.Now())
	if !ok || e.Exit.Cause != supervisor.CauseExit || incident.Parse(said) != nil {
		return "", false
	}
	end := workerEnd(e, requests)
	in.kept.Add(last.id, last.clean, func(i *incident.Incident) {
		if i.Worker == nil || i.Worker.PID == end.PID {
			i.Worker = end
		}
	})
	return last.id, true
}
