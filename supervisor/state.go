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
