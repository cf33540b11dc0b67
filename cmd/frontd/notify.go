package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// statusPause is how often systemctl status gets a new line, where it changed.
const statusPause = 5 * time.Second

// tell tells the service manager something (sd_notify(3)), with descriptors
// for its store. While another frontd is the service's main process it says
// nothing: NotifyAccess=main would have systemd complain.
func (d *daemon) tell(state string, files ...*os.File) {
	if !d.speaks.Load() {
		return
	}
	if err := notify(os.Getenv("NOTIFY_SOCKET"), state, files); err != nil {
		d.log.Warn("systemd was not told", "state", state, "error", err)
	}
}

// notify sends one datagram to the service manager; without an address there
// is none.
func notify(address, state string, files []*os.File) error {
	if address == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = syscall.UnixRights(fds...)
	}
	// Not WriteMsgUnix, which refuses a socket that is connected.
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	ctl := raw.Write(func(fd uintptr) (done bool) {
		err = syscall.Sendmsg(int(fd), []byte(state), rights, nil, 0)
		return err != syscall.EAGAIN
	})
	return errors.Join(ctl, err)
}

// tellFailure says why frontd does not start, or ends: the number is what
// "systemctl show -p StatusErrno" has.
func (d *daemon) tellFailure(err error) {
	state := "STATUS=failed: " + oneLine(err.Error())
	var errno syscall.Errno
	if errors.As(err, &errno) {
		state += fmt.Sprintf("\nERRNO=%d", int(errno))
	}
	d.tell(state)
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }

// tellStopping also asks for the time that the stop may take, where that is
// more than the unit grants (TimeoutStopSec=).
func (d *daemon) tellStopping(within time.Duration) {
	d.tell(fmt.Sprintf("%s\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%d", sd.SdNotifyStopping, (within + stopSlack).Microseconds()))
}

// stopSlack is what a stop may take beyond shutdown_timeout: killing what is left.
const stopSlack = 10 * time.Second

// tellStatus keeps the line of systemctl status up to date until ctx ends.
func (d *daemon) tellStatus(ctx context.Context) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	tick := time.NewTicker(statusPause)
	defer tick.Stop()
	last, said := d.workload(), ""
	for {
		now := d.workload()
		if line := now.since(last); line != said {
			d.tell("STATUS=" + line)
			said = line
		}
		last = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// A workload is what there is to say in one line.
type workload struct {
	at      time.Time
	served  uint64
	workers int
	apps    int
	failing []string
}

func (d *daemon) workload() workload {
	w := workload{at: time.Now()}
	for _, a := range d.apps.all() {
		w.apps++
		st := a.pool.Stats()
		w.served += st.Served
		if st.Failing != nil {
			w.failing = append(w.failing, a.name)
		}
		w.workers += a.serving()
	}
	return w
}

// since is the line, with the rate since an earlier workload.
func (w workload) since(before workload) string {
	line := fmt.Sprintf("%s, %s", count(w.workers, "worker"), count(w.apps, "app"))
	if took := w.at.Sub(before.at).Seconds(); took > 0 {
		line += fmt.Sprintf(", %.0f req/s", float64(w.served-min(before.served, w.served))/took)
	}
	if len(w.failing) > 0 {
		line += ", failing: " + strings.Join(w.failing, " ")
	}
	return line
}

func count(n int, what string) string { return fmt.Sprintf("%d %s", n, plural(n, what)) }

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}
