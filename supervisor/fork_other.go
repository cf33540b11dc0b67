//go:build !linux

package supervisor

import (
	"context"
	"os"
)

// canPreload is whether a template's workers can be children of ours: nothing
// but Linux gives a process the orphans among its descendants.
const canPreload = false

// fork is never asked for: Start and Prepare refuse.
func (t *template) fork(context.Context, *os.File) (*child, error) { return nil, errNoPreload }
