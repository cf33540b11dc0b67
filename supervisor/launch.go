package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A launchOrder is what a process is told that is to become a worker: what it
// has to set, in its last moments as a program of ours, and what to run. It
// comes through a socket, so that a secret in Env is in nobody's sight, and so
// that nothing of Env is in force while the process still has our rights.
type launchOrder struct {
	Parent          int    // the process that has to be there still
	Cgroup          string // to go into; "" is none
	Path, Dir       string
	Args, Env       []string
	Credential      *syscall.Credential
	NoNewPrivileges bool
	Needs           []string
	Umask           *int
	Nice            int
	Bounds          Bounds
	UserProcesses   bool // Bounds.Processes holds for the user
	DataMemory      bool // Bounds.Memory holds for the process
	OnlyCheck       bool // end where a worker would begin
}

// launchFD is the launcher's end of the socket: what Files of os.ProcAttr has
// in its fourth place.
const launchFD = 3

// checkWait is how long a launcher may take that only tries.
const checkWait = 10 * time.Second

// newLaunchOrder makes the order for a spec. Bounds that a control group holds
// are left to it.
func newLaunchOrder(spec *Spec, path string, env []string, cg *Cgroup) launchOrder {
	return launchOrder{
		Parent: os.Getpid(), Path: path, Dir: spec.Dir, Args: spec.Args, Env: env,
		Credential: spec.Credential, NoNewPrivileges: spec.NoNewPrivileges, Needs: spec.Needs,
		Umask: spec.Umask, Nice: spec.Nice, Bounds: spec.Bounds,
		UserProcesses: spec.Credential != nil && !cg.Has("pids"), DataMemory: !cg.Has("memory"),
	}
}

// give sends the order and waits until the process has become the program, or
// says why it does not. It closes the socket.
func (o launchOrder) give(socket *os.File, within time.Duration) error {
	defer socket.Close()
	socket.SetDeadline(time.Now().Add(within))
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := socket.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("launcher: %w", err)
	}
	said, err := io.ReadAll(io.LimitReader(socket, 64<<10))
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("launcher: %w", err)
	}
	return parseLaunchError(string(said))
}

// parseLaunchError reads "ERRNO TEXT"; nothing at all is no error: exec has
// closed the socket.
func parseLaunchError(said string) error {
	if said == "" {
		return nil
	}
	number, text, _ := strings.Cut(said, " ")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return &launchError{text: said}
	}
	return &launchError{text: text, errno: syscall.Errno(n)}
}

// formatLaunchError is parseLaunchError's reverse.
func formatLaunchError(err error) string {
	var errno syscall.Errno
	errors.As(err, &errno)
	return fmt.Sprintf("%d %v", int(errno), err)
}

// Preflight tries, as the user of the workers, what can be tried without
// starting one. It touches nothing that runs.
func (s *Supervisor) Preflight(spec *Spec) error {
	launcher := s.options.Launcher
	if len(launcher) == 0 || !canLaunch {
		if spec.confined() {
			return errNoLauncher
		}
		return nil
	}
	if spec.Credential == nil {
		return nil
	}
	path, err := spec.executable()
	if err != nil {
		return err
	}
	order := newLaunchOrder(spec, path, nil, s.options.Cgroup)
	order.OnlyCheck = true
	return tryLaunch(launcher, order)
}

// preflight is Preflight, and says for which application.
func (s *Supervisor) preflight(spec *Spec) error {
	if err := s.Preflight(spec); err != nil {
		return fmt.Errorf("app %q: %w", spec.Name, err)
	}
	return nil
}

// tryLaunch runs a launcher that only tries.
func tryLaunch(launcher []string, order launchOrder) error {
	ours, theirs, err := socketPair(syscall.SOCK_STREAM)
	if err != nil {
		return err
	}
	cmd := exec.Command(launcher[0], launcher[1:]...)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		ours.Close()
		return fmt.Errorf("launcher: %w", err)
	}
	err = order.give(ours, checkWait)
	cmd.Process.Kill() // it has said what it had to say
	cmd.Wait()
	return err
}

// socketPair makes two connected sockets, of a kind such as SOCK_STREAM: ours,
// on which deadlines work, and one for a process.
func socketPair(kind int) (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock() // no fork between the two
	fds, err := syscall.Socketpair(syscall.AF_UNIX, kind, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	syscall.SetNonblock(fds[0], true) // for the poller; it fails on no socket
	return os.NewFile(uintptr(fds[0]), "launch"), os.NewFile(uintptr(fds[1]), "launch"), nil
}
