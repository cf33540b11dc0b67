package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// canPreload is whether a template's workers can be children of ours.
const canPreload = true

const prSetChildSubreaper = 36 // of prctl(2)

// adoptOrphans has the kernel make us the parent of descendants whose parents
// end, as process 1 is of all others: for good, and of whatever our workers
// leave behind, which is reaped too.
func (e *engine) adoptOrphans() error {
	e.adoption.Do(func() {
		if os.Getpid() == 1 {
			return // we are the parent of all orphans
		}
		if e.adoptErr = prctl(prSetChildSubreaper, 1); e.adoptErr == nil {
			e.running.Go(func() { reapOrphans(e.quit, e.owns) }) // close waits for it
		}
	})
	return e.adoptErr
}

// fork has the template make a process.
func (t *template) fork(ctx context.Context, stdin *os.File) (_ *child, err error) {
	e := t.group.sup.engine
	if err := e.adoptOrphans(); err != nil {
		return nil, fmt.Errorf("become the parent of what a template forks: %w", err)
	}
	c := &child{engine: e}
	outs, err := c.makePipes()
	if err != nil {
		return nil, err
	}
	defer outs[0].Close()
	defer outs[1].Close()
	defer func() {
		if err != nil {
			c.closePipes()
		}
	}()
	if stdin == nil {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		defer null.Close()
		stdin = null
	}
	report, err := t.order(stdin, outs[0], outs[1])
	if err != nil {
		return nil, err
	}
	defer report.Close()
	report.SetDeadline(time.Now().Add(t.plan.spec.StartTimeout))
	defer context.AfterFunc(ctx, func() { report.SetDeadline(time.Unix(1, 0)) })()
	pid, err := born(report)
	if err != nil {
		return nil, err
	}
	if err := c.adopt(t.plan.spec, pid); err != nil {
		return nil, err
	}
	report.Write([]byte("go")) // if it has ended meanwhile, run tells
	return c, nil
}

// order asks for a process with the given descriptors 0, 1 and 2, and returns
// our end of the socket for its report.
func (t *template) order(files ...*os.File) (*net.UnixConn, error) {
	ours, theirs, err := socketPair(syscall.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	err = syscall.SetsockoptInt(int(ours.Fd()), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
	conn, connErr := net.FileConn(ours)
	ours.Close()
	if err := errors.Join(err, connErr); err != nil {
		return nil, err
	}
	report := conn.(*net.UnixConn)
	var fds []int
	for _, f := range append(files, theirs) {
		fds = append(fds, int(f.Fd()))
	}
	t.orders.SetWriteDeadline(time.Now().Add(t.plan.spec.StartTimeout))
	_, _, err = t.orders.WriteMsgUnix([]byte("fork"), syscall.UnixRights(fds...), nil)
	if err == nil {
		return report, nil
	}
	report.Close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", errTemplateGone, err)
}

// born waits for the report of a new process and returns its number, which
// the kernel has vouched for.
func born(report *net.UnixConn) (int, error) {
	b, oob := make([]byte, 4<<10), make([]byte, 256)
	n, oobn, _, _, err := report.ReadMsgUnix(b, oob)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return 0, errUnborn
	case err != nil:
		return 0, fmt.Errorf("wait for the template: %w", err)
	}
	if text, ok := parseWord(string(b[:n]), "error"); ok {
		return 0, fmt.Errorf("the template: %s", text)
	}
	if string(b[:n]) != "up" {
		return 0, fmt.Errorf("the template's worker said %q, want up", b[:n])
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) == 0 {
		return 0, fmt.Errorf("a report without its sender: %w", errors.Join(err, syscall.EPROTO))
	}
	cred, err := syscall.ParseUnixCredentials(&messages[0])
	if err != nil {
		return 0, fmt.Errorf("who reports: %w", err)
	}
	return int(cred.Pid), nil
}

// adopt takes a process for our child, as spawn does the one it starts. The
// process waits meanwhile.
func (c *child) adopt(spec *Spec, pid int) (err error) {
	e := c.engine
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		return fmt.Errorf("process %d is not in a group of its own: %d, %v", pid, group, err)
	}
	if !isChild(pid) || !e.own(pid) {
		return fmt.Errorf("process %d is no new child of ours", pid)
	}
	if c.proc, err = os.FindProcess(pid); err != nil {
		e.disown(pid)
		return err
	}
	if e.guard != nil {
		e.guard.add(pid)
	}
	if err = c.openLeaf(spec); err == nil && c.leaf != nil {
		if err = writeCgroup(c.leaf.path, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			err = fmt.Errorf("move into the control group: %w", err)
		}
	}
	if err != nil {
		c.signal(syscall.SIGKILL)
		c.reap() // it never was a worker
		c.dropLeaf()
	}
	return err
}

// isChild reports whether a process is our child, dead or alive.
func isChild(pid int) bool {
	var info [128]byte // siginfo_t
	_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(pid),
		uintptr(unsafe.Pointer(&info)), syscall.WEXITED|syscall.WNOHANG|wNoWait, 0, 0)
	return errno == 0
}
