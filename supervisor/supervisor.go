// Package supervisor keeps worker processes running. It knows no HTTP and no FastCGI.
package supervisor

import (
	"context"
	"errors"
)

// Options says whom a Supervisor tells what.
type Options struct {
	// Events, if not nil, is told what happens to workers: in order for one
	// worker, from several goroutines for several. It must not block for
	// long and must not call back into the Supervisor or its groups.
	Events func(Event)

	// Output, if not nil, gets what workers write, line by line without the
	// line's end; stream is "stdout" or "stderr". line is valid during the call.
	Output func(w Worker, stream string, line []byte)

	// Rand is the source of jitter, in [0, 1). nil: math/rand/v2.
	Rand func() float64

	// Guard is the argv of a program whose body is GuardMain.
	Guard []string
}

// ErrStopped is what is asked of a group or a Supervisor that stops.
var ErrStopped = errors.New("supervisor: stopped")

// A Supervisor runs groups of workers.
type Supervisor struct{}

// New returns a Supervisor.
func New(o Options) *Supervisor { return &Supervisor{} }

// Start makes the listeners of a group and begins to start its workers.
func (s *Supervisor) Start(spec Spec) (*Group, error) { return nil, errors.ErrUnsupported }

// Stop stops all groups at once; when ctx ends it kills what is left.
func (s *Supervisor) Stop(ctx context.Context) error { return errors.ErrUnsupported }

// A Group is the workers of one application.
type Group struct{}

// Replace puts new workers in the place of the running ones.
func (g *Group) Replace(ctx context.Context, spec Spec) error { return errors.ErrUnsupported }

// Scale changes how many workers run.
func (g *Group) Scale(ctx context.Context, n int) error { return errors.ErrUnsupported }

// Kill kills w's process group if that generation still runs.
func (g *Group) Kill(w Worker, reason string) bool { return false }

// Recycle drains and restarts w if that generation serves.
func (g *Group) Recycle(w Worker, reason string) bool { return false }

// Workers returns the state of each slot.
func (g *Group) Workers() []Status { return nil }

// Stop stops the group's workers; when ctx ends it kills what is left.
func (g *Group) Stop(ctx context.Context) error { return errors.ErrUnsupported }
