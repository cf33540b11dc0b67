package supervisor

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Worker names one process: one generation of one slot of one group, or a
// template, whose Slot is TemplateSlot. It is a value; comparing Generation tells
// a worker from its successor.
type Worker struct {
	App        string
	Slot       int
	Generation uint64 // unique within the group, rising; 0 where no process was ever started
	PID        int    // 0 where no process could be started
	Addr       string // path of its unix socket; "" if the listener is shared
	Started    time.Time
}

func (w Worker) String() string {
	slot := strconv.Itoa(w.Slot)
	if w.Slot == TemplateSlot {
		slot = "template"
	}
	if w.PID == 0 {
		return fmt.Sprintf("%s/%s", w.App, slot)
	}
	return fmt.Sprintf("%s/%s pid %d", w.App, slot, w.PID)
}

// An EventKind says what happened to a worker.
type EventKind uint8

// What happens to a worker. A life is Started, Ready, Stopping, Gone; of these
// Ready and Stopping may be missing. Only its slot's Backoff and Left follow Gone.
const (
	_             EventKind = iota
	EventStarted            // its process runs
	EventReady              // it serves: send it requests
	EventStopping           // it is about to be stopped or killed, see Reason: send it nothing new
	EventGone               // its process has ended, see Exit
	EventFailing            // it could not be started, or ended before it was ready, see Err; comes before its Gone
	EventBackoff            // its slot starts the next one after Delay; comes after Gone or Failing
	EventLeft               // its slot, which had no process, starts none any more

	// Of a template, whose failing to load is told by the workers that wait for it.
	EventTemplateReady // it has loaded and forks workers; Reason is what it has to say to the operator, or ""
	EventTemplateGone  // it has ended, see Exit: the next worker is made by another

	eventKindCount
)

var eventNames = [eventKindCount]string{
	EventStarted: "started", EventReady: "ready", EventStopping: "stopping",
	EventGone: "gone", EventFailing: "failing", EventBackoff: "backoff", EventLeft: "left",
	EventTemplateReady: "template ready", EventTemplateGone: "template gone",
}

func (k EventKind) String() string {
	if k < eventKindCount && eventNames[k] != "" {
		return eventNames[k]
	}
	return fmt.Sprintf("UNKNOWN(%d)", uint8(k))
}

// An Event is one thing that happened to one worker.
type Event struct {
	Kind   EventKind
	Worker Worker
	Exit   *Exit         // Gone and TemplateGone always; Failing unless no process could be started
	Err    error         // Failing: a *StartError
	Delay  time.Duration // Backoff: until the next start
	Reason string        // Stopping: why, e.g. "stop", "10000 requests"
	Trial  bool          // Failing: it was to take another's place, which stays
	Stderr []string      // Gone, Failing, TemplateGone: the worker's last lines on stderr, at most 20
}

// An Exit is the end of a process.
type Exit struct {
	PID    int
	Code   int            // exit status, -1 if it is not known; 0 if Signal is set
	Signal syscall.Signal // what killed it, or 0
	OOM    bool           // the kernel killed it for want of memory, as far as its counters tell
	Killed string         // our own reason, if we sent it KILL
	Lost   bool           // it did not end although KILL was sent: it hangs in the kernel and is given up
	Ready  bool           // it had become ready, and had taken over where it was on trial
	Age    time.Duration  // from its start
	Cause  Cause          // all of this in one word
}

const codeUnknown = -1

// OK reports whether the worker ended itself as FastCGI §7 intends it: with status 0.
func (e *Exit) OK() bool { return e.Code == 0 && e.Signal == 0 && !e.Lost }

// String is like "exit status 3 after 2m5s" or "killed by signal 9 (out of memory) after 1h".
func (e *Exit) String() string {
	var b strings.Builder
	switch {
	case e.Lost:
		b.WriteString("still not dead after KILL, given up")
	case e.Signal != 0:
		fmt.Fprintf(&b, "killed by signal %d", int(e.Signal))
	case e.Code == codeUnknown:
		b.WriteString("exit status unknown")
	default:
		fmt.Fprintf(&b, "exit status %d", e.Code)
	}
	switch {
	case e.OOM:
		b.WriteString(" (out of memory)")
	case e.Killed != "":
		fmt.Fprintf(&b, " (%s)", e.Killed)
	case e.Signal != 0:
		fmt.Fprintf(&b, " (%v)", e.Signal)
	}
	fmt.Fprintf(&b, " after %v", roundAge(e.Age))
	return b.String()
}

// roundAge keeps about three digits: a worker's age is read by people.
func roundAge(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// A StartError is a worker that did not come up, or the template that was to
// make it, which Worker names then. It ends that one process;
// what becomes of its slot is told by the one who returns it.
type StartError struct {
	Worker Worker
	Exit   *Exit    // nil if no process could be started
	Err    error    // why: of the system, of Ready, or a timeout; nil if the process just ended
	Stderr []string // its own last lines on stderr, at most 20
}

func (e *StartError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "worker %v did not start", e.Worker)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Exit != nil {
		fmt.Fprintf(&b, ": %v", e.Exit)
	}
	if len(e.Stderr) > 0 {
		b.WriteString("; its last lines on stderr:\n\t" + strings.Join(e.Stderr, "\n\t"))
	}
	return b.String()
}

func (e *StartError) Unwrap() error { return e.Err }

// A Status is what is known of a slot now.
type Status struct {
	Worker   Worker // of the running process, or else of the last
	State    State
	Restarts int       // processes started in this slot after its first
	LastExit *Exit     // of the process before; nil if there was none
	LastErr  error     // why the last start failed; nil once one became ready
	Until    time.Time // StateBackoff: when the next start is due
	RSS      int64     // resident memory in bytes, of the worker itself without its children; 0 where unknown
	Stderr   []string  // last lines on stderr of the running process, or of the last, at most 20
}
