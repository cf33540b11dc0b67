package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// readyTimeout is how long a side may take from its start to its first right answer.
const readyTimeout = 20 * time.Second

// A rig is a private folder and the sides that run in it.
type rig struct {
	dir    string
	self   string // this program, for the roles
	frontd string
	log    io.Writer
	stages []*stage
}

// newRig builds frontd unless a binary is given.
func newRig(ctx context.Context, frontd string, log io.Writer) (*rig, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "frontd-bench-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir, self: self, frontd: frontd, log: log}
	if err := os.Chmod(dir, 0o755); err != nil { // servers of other users read their files here
		return nil, errors.Join(err, r.Close())
	}
	if frontd == "" {
		r.frontd = filepath.Join(dir, "frontd")
		build := exec.CommandContext(ctx, "go", "build", "-o", dir, "github.com/frontd/frontd/cmd/frontd", "github.com/frontd/frontd/cmd/appworker")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("build frontd (run bench within its module, or name a binary with -frontd): %w\n%s", err, out), r.Close())
		}
	} else if r.frontd, err = filepath.Abs(frontd); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := errors.Join(writeApplications(dir), os.Symlink(self, filepath.Join(dir, workerName))); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close ends every side and removes the folder.
func (r *rig) Close() error {
	for _, s := range r.stages {
		s.stop()
	}
	return os.RemoveAll(r.dir)
}

// open starts a side and waits until it answers hello. Another process may
// take the port between its choice and its use, so a failure gets a second try.
func (r *rig) open(ctx context.Context, s *side) (*stage, error) {
	var first error
	for try := range 2 {
		st, err := r.openOnce(ctx, s, try)
		if err == nil {
			r.stages = append(r.stages, st)
			return st, nil
		}
		if first = err; ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

func (r *rig) openOnce(ctx context.Context, s *side, try int) (*stage, error) {
	dir := filepath.Join(r.dir, fmt.Sprintf("%s.%d", s.name, try))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	st := &stage{rig: r, side: s, dir: dir}
	var err error
	if st.address, err = freeAddress(); err == nil {
		if st.suffix, err = s.start(st); err == nil {
			err = st.wait(ctx)
		}
	}
	if err == nil && s.crowd > 0 {
		err = st.gather(ctx, s.crowd)
	}
	if err != nil {
		st.stop()
		return nil, fmt.Errorf("%w%s", err, st.lastWords())
	}
	return st, nil
}
