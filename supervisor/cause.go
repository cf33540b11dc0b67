package supervisor

import "maps"

// A Cause says in one stable word why a process ended. It is for counters;
// people read Exit.
type Cause string

// Causes of a worker's end. Those of the first group are found out here, the
// others are given by whoever asked for the end.
const (
	CauseSignal      Cause = "signal"       // a signal that was not ours: a crash
	CauseExit        Cause = "exit"         // it ended by itself, with whatever status
	CauseOOM         Cause = "oom"          // the kernel killed it for want of memory
	CauseStartFailed Cause = "start-failed" // it could not be started, or ended before it was ready
	CauseReplaced    Cause = "replaced"     // Replace put others in its place
	CauseScaled      Cause = "scaled"       // Scale wanted fewer
	CauseStopped     Cause = "stopped"      // its group was stopped

	CauseRequests Cause = "recycled-requests"
	CauseAge      Cause = "recycled-age"
	CauseMemory   Cause = "recycled-memory"
	CauseTimeout  Cause = "request-timeout"
	CauseSilent   Cause = "unresponsive" // it was asked whether it lives and did not answer
)

// Causes are all of them.
var Causes = []Cause{
	CauseSignal, CauseExit, CauseOOM, CauseStartFailed, CauseReplaced, CauseScaled, CauseStopped,
	CauseRequests, CauseAge, CauseMemory, CauseTimeout, CauseSilent,
}

// cause is why a process ended, where asked is what was asked of it, "" if nothing.
func (e *Exit) cause(asked Cause) Cause {
	switch {
	case asked != "":
		return asked
	case !e.Ready:
		return CauseStartFailed
	case e.OOM:
		return CauseOOM
	case e.Signal != 0:
		return CauseSignal
	}
	return CauseExit
}

// Ended returns how many processes of the group have ended so far, by cause;
// each of Causes is there.
func (g *Group) Ended() map[Cause]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	counts := make(map[Cause]uint64, len(Causes))
	for _, c := range Causes {
		counts[c] = 0
	}
	maps.Copy(counts, g.ended)
	return counts
}

func (g *Group) count(c Cause) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended == nil {
		g.ended = make(map[Cause]uint64)
	}
	g.ended[c]++
}
