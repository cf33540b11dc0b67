package supervisor

import "fmt"

// A State is where a slot stands.
type State uint8

// States of a slot, as its users see them.
const (
	StateStarting State = iota // its process starts, or waits for its turn to
	StateServing               // it is ready
	StateStopping              // it drains, or was told to end
	StateBackoff               // it waits for the next start
	StateGone                  // it is no more
	stateCount
)

var stateNames = [stateCount]string{
	StateStarting: "starting", StateServing: "serving", StateStopping: "stopping",
	StateBackoff: "backoff", StateGone: "gone",
}

func (s State) String() string {
	if s < stateCount {
		return stateNames[s]
	}
	return fmt.Sprintf("UNKNOWN(%d)", uint8(s))
}

// A phase is where a slot stands, as its loop needs to tell it apart.
type phase uint8

const (
	phaseQueued      phase = iota // waits for one of the group's turns to start
	phaseForking                  // a template makes the process, or loads before
	phaseStarting                 // the process runs, Ready has not answered
	phaseProved                   // Ready has answered, others on the same trial have not
	phaseServing                  // it has taken over
	phaseDraining                 // Drain runs
	phaseTerminating              // TERM was sent
	phaseKilling                  // KILL was sent
	phaseBackoff                  // no process, waits for the time of the next start
	phaseGone                     // no process, and there will be none
	phaseCount
)

var phaseStates = [phaseCount]State{
	phaseQueued: StateStarting, phaseForking: StateStarting, phaseStarting: StateStarting, phaseProved: StateStarting, phaseServing: StateServing,
	phaseDraining: StateStopping, phaseTerminating: StateStopping, phaseKilling: StateStopping,
	phaseBackoff: StateBackoff, phaseGone: StateGone,
}

var phaseNames = [phaseCount]string{
	phaseQueued: "queued", phaseForking: "forking", phaseStarting: "starting", phaseProved: "proved", phaseServing: "serving", phaseDraining: "draining",
	phaseTerminating: "terminating", phaseKilling: "killing", phaseBackoff: "backoff", phaseGone: "gone",
}

func (p phase) String() string { return phaseNames[p] }

// An input is what can happen to a slot.
type input uint8

const (
	inTurn         input = iota // one of the group's turns to start is ours
	inForked                    // the template has made the process, or has not
	inReady                     // Ready returned nil
	inUnready                   // Ready returned an error
	inStartTimeout              // Ready took longer than StartTimeout
	inExited                    // the process ended and its output is read
	inDrained                   // Drain returned
	inDeadline                  // Drain, or the process after TERM, took longer than StopTimeout
	inLost                      // the process did not end after KILL
	inRetry                     // the time of the next start has come
	inPassed                    // the trial was stood by all
	inKill                      // asked to be killed and start anew
	inStop                      // asked to stop gracefully for good
	inHalt                      // asked to be killed for good
	inputCount
)

var inputNames = [inputCount]string{
	inTurn: "turn", inForked: "forked", inReady: "ready", inUnready: "unready", inStartTimeout: "start timeout",
	inExited: "exited", inDrained: "drained", inDeadline: "deadline", inLost: "lost", inRetry: "retry",
	inPassed: "passed", inKill: "kill", inStop: "stop", inHalt: "halt",
}

func (i input) String() string { return inputNames[i] }

// A message is an input with what came along.
type message struct {
	input  input
	made   made   // forked
	err    error  // unready
	exit   Exit   // exited
	cause  Cause  // stop, halt, kill
	reason string // stop, halt, kill
}

// An action carries a slot through one input into its next phase.
type action func(s *slot, m message) phase

// never marks what cannot happen: the channel it would come from is nil in
// that phase. TestEveryCombination checks that it is.
func never(s *slot, _ message) phase {
	if impossible != nil {
		impossible(s)
	}
	return s.phase
}

// impossible is told of a never that happened. Tests make it panic.
var impossible func(*slot)

// ignore marks what can happen and changes nothing: it is under way already.
// For stop and halt, that the process is the slot's last was noted by next.
func ignore(s *slot, _ message) phase { return s.phase }

// table is the whole behaviour of a slot: each phase × each input, in the
// order of their constants. A slot without a process never sees kill:
// it is for a generation, and it has none.
var table = [phaseCount][inputCount]action{}

func init() { // not a literal: the actions lead back to the table
	table = [phaseCount][inputCount]action{
		phaseQueued: {
			inTurn: (*slot).launch,
			inStop: (*slot).leave, inHalt: (*slot).leave,
			inForked: never, inReady: never, inUnready: never, inStartTimeout: never, inExited: never, inDrained: never,
			inDeadline: never, inLost: never, inRetry: never, inPassed: never, inKill: never,
		},
		phaseForking: {
			inForked: (*slot).take,
			// What is being made is not known yet: it ends as soon as it is.
			inStop: (*slot).abandon, inHalt: (*slot).abandon,
			inTurn: never, inReady: never, inUnready: never, inStartTimeout: never, inExited: never, inDrained: never,
			inDeadline: never, inLost: never, inRetry: never, inPassed: never, inKill: never,
		},
		phaseStarting: {
			inReady: (*slot).prove, inUnready: (*slot).condemn, inStartTimeout: (*slot).condemn,
			inExited: (*slot).bury,
			// Nothing is in its hands yet: there is nothing to drain.
			inStop: (*slot).terminate,
			inKill: (*slot).kill, inHalt: (*slot).kill,
			inTurn: never, inForked: never, inDrained: never, inDeadline: never, inLost: never, inRetry: never, inPassed: never,
		},
		phaseProved: {
			inPassed: (*slot).serve,
			inExited: (*slot).bury,
			inStop:   (*slot).terminate, // as above
			inKill:   (*slot).kill, inHalt: (*slot).kill,
			inTurn: never, inForked: never, inReady: never, inUnready: never, inStartTimeout: never, inDrained: never,
			inDeadline: never, inLost: never, inRetry: never,
		},
		phaseServing: {
			inExited: (*slot).bury,
			inStop:   (*slot).drain,
			inKill:   (*slot).kill, inHalt: (*slot).kill,
			inTurn: never, inForked: never, inReady: never, inUnready: never, inStartTimeout: never, inDrained: never,
			inDeadline: never, inLost: never, inRetry: never, inPassed: never,
		},
		phaseDraining: {
			inDrained: (*slot).terminate, inDeadline: (*slot).terminate,
			inExited: (*slot).bury,
			inStop:   ignore,
			inKill:   (*slot).kill, inHalt: (*slot).kill,
			inTurn: never, inForked: never, inReady: never, inUnready: never, inStartTimeout: never, inLost: never, inRetry: never,
			inPassed: never,
		},
		phaseTerminating: {
			inDeadline: (*slot).kill,
			inExited:   (*slot).bury,
			inStop:     ignore,
			inKill:     (*slot).kill, inHalt: (*slot).kill,
			inTurn: never, inForked: never, inReady: never, inUnready: never, inStartTimeout: never, inDrained: never,
			inLost: never, inRetry: never, inPassed: never,
		},
		phaseKilling: {
			inExited: (*slot).bury, inLost: (*slot).bury,
			inStop: ignore, inHalt: ignore, inKill: ignore,
			inTurn: never, inForked: never, inReady: never, inUnready: never, inStartTimeout: never, inDrained: never,
			inDeadline: never, inRetry: never, inPassed: never,
		},
		phaseBackoff: {
			inRetry: (*slot).queue,
			inStop:  (*slot).leave, inHalt: (*slot).leave,
			inTurn: never, inForked: never, inReady: never, inUnready: never, inStartTimeout: never, inExited: never,
			inDrained: never, inDeadline: never, inLost: never, inPassed: never, inKill: never,
		},
		phaseGone: { // the loop has ended: nobody takes inputs
			inTurn: never, inForked: never, inReady: never, inUnready: never, inStartTimeout: never, inExited: never,
			inDrained: never, inDeadline: never, inLost: never, inRetry: never, inPassed: never,
			inKill: never, inStop: never, inHalt: never,
		},
	}
}
