package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// launch starts a worker's process: fd 0 is stdin, 1 and 2 are pipes to us,
// and there is no other.
func (e *engine) launch(spec *Spec, stdin *os.File) (process, int, error) {
	path, err := spec.executable() // again, for it may have gone or come since
	if err != nil {
		return nil, 0, err
	}
	if stdin == nil {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, 0, err
		}
		defer null.Close()
		stdin = null
	}
	c := &child{engine: e}
	if err := c.start(spec, path, stdin); err != nil {
		return nil, 0, fmt.Errorf("start %s in %s: %w", path, filepath.Join(spec.Dir, "."), err)
	}
	return c, c.proc.Pid, nil
}

// start runs the program, or leaves nothing behind.
func (c *child) start(spec *Spec, path string, stdin *os.File) (err error) {
	outs, err := c.makePipes()
	if err != nil {
		return err
	}
	defer outs[0].Close()
	defer outs[1].Close()
	defer func() {
		if err != nil {
			c.closePipes()
		}
	}()
	attr := &os.ProcAttr{
		Dir: spec.Dir, Env: c.engine.environ(spec),
		Files: []*os.File{stdin, outs[0], outs[1]},
		Sys:   workerAttr(spec.Credential),
	}
	if err := c.openLeaf(spec); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			c.dropLeaf()
		}
	}()
	if canLaunch && len(c.engine.launcher) > 0 && (c.leaf != nil || spec.confined() || spec.Credential != nil) {
		return c.startConfined(spec, path, attr)
	}
	return c.spawn(path, spec.Args, attr)
}

// spawn starts a process from the thread that starts all.
func (c *child) spawn(path string, args []string, attr *os.ProcAttr) (err error) {
	e := c.engine
	done := make(chan struct{})
	e.jobs <- func() {
		defer close(done)
		if c.proc, err = os.StartProcess(path, args, attr); err != nil {
			return
		}
		e.own(c.proc.Pid)
		if e.guard != nil {
			e.guard.add(c.proc.Pid)
		}
	}
	<-done
	if err == nil {
		adjustOOMScore(strconv.Itoa(c.proc.Pid), os.Getpid())
	}
	return err
}

// startConfined starts the launcher and lets it become the program.
func (c *child) startConfined(spec *Spec, path string, attr *os.ProcAttr) error {
	order := newLaunchOrder(spec, path, attr.Env, c.engine.cgroup)
	if c.leaf != nil {
		order.Cgroup = c.leaf.path
	}
	ours, theirs, err := socketPair(syscall.SOCK_STREAM)
	if err != nil {
		return err
	}
	launcher := c.engine.launcher
	attr.Files = append(attr.Files, theirs)
	attr.Dir, attr.Sys.Credential = "/", nil
	attr.Env = []string{} // the worker's would rule a process with our rights
	if c.engine.guard != nil {
		attr.Env = append(attr.Env, c.engine.guard.mark())
	}
	err = c.spawn(launcher[0], launcher, attr)
	theirs.Close()
	if err != nil {
		ours.Close()
		return fmt.Errorf("launcher: %w", err)
	}
	if err := order.give(ours, spec.StartTimeout); err != nil {
		c.signal(syscall.SIGKILL)
		c.reap() // it never was a worker
		return err
	}
	return nil
}

// openLeaf makes the control group of the process, where there are any.
func (c *child) openLeaf(spec *Spec) (err error) {
	if cg := c.engine.cgroup; cg != nil {
		c.leaf, err = cg.leaf(spec, c.engine.leaves.Add(1))
	}
	return err
}

// dropLeaf ends a control group that has come to hold no worker.
func (c *child) dropLeaf() {
	if c.leaf != nil {
		c.leaf.kill()
		c.leaf.remove()
	}
}

func (e *engine) environ(spec *Spec) []string {
	if e.guard == nil {
		return spec.Env
	}
	env := make([]string, 0, len(spec.Env)+1)
	return append(append(env, spec.Env...), e.guard.mark())
}
