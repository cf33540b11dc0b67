package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/frontd/frontd/config"
)

// The hand-over to a new binary, as both sides see it. The elder is the frontd
// that serves, the heir the process that it starts; between them is a pair of
// sockets, on which each message is a JSON object in a line.
//
//	elder                                    heir
//	starts the program, with its sockets
//	                                         reads the configuration, starts its workers
//	                                         {"state":"ready", ...}
//	{"state":"serve"}
//	                                         accepts
//	                                         {"state":"serving"}
//	tells systemd MAINPID, tells nobody
//	of incidents any more
//	{"state":"yours"}
//	stops accepting, drains, exits           owns the sockets' files, speaks to systemd, tells
//	the connection ends                      owns the incidents
//
// Until "serving" every failure, of either side, leaves the elder as it was.
// The end of the connection before "serve" ends the heir; after it TERM does, and
// what it has accepted is answered.
type handoverMessage struct {
	State   string            `json:"state"`
	PID     int               `json:"pid,omitempty"`
	Version string            `json:"version,omitempty"`
	Failing map[string]string `json:"failing,omitempty"` // apps without a worker that serves: why
	Took    []string          `json:"took,omitempty"`    // names of the sockets in use
}

const (
	stateReady   = "ready"
	stateServe   = "serve"
	stateServing = "serving"
	stateYours   = "yours"

	// elderVariable tells the heir its descriptors: "CONNECTION STDERR".
	elderVariable = "FRONTD_ELDER"

	heirConn    = 3 // first of exec.Cmd.ExtraFiles
	heirStderr  = 4
	heirSockets = 5

	heirSlack   = 30 * time.Second // beyond timeout.start of the slowest application
	heirAnswer  = 10 * time.Second // for what takes no time
	heirEnd     = 10 * time.Second // for its workers to stop, when it is not wanted
	heirSaidMax = 8 << 10          // bytes of its standard error that an answer has
)

// What becomes of a daemon. It is decided once.
const (
	fateOpen int32 = iota
	fateStopping
	fateHandedOver
)

// An upgradeReport is what frontd upgrade tells.
type upgradeReport struct {
	PID     int    `json:"pid"` // of the frontd that serves now
	Version string `json:"version"`
	Before  int    `json:"pid_before"` // of the one that goes when its last request has ended
}

// upgrade hands over to a new process of the program that frontd was started
// as: the path is looked up anew. If it fails, this frontd serves as before.
func (d *daemon) upgrade(ctx context.Context) (upgradeReport, error) {
	report := upgradeReport{Before: os.Getpid()}
	if os.Getpid() == 1 {
		return report, errors.New("process 1 cannot hand over: its end is the container's; start a new container beside this one")
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	d.upgrading.Lock()
	defer d.upgrading.Unlock()
	if d.fate.Load() == fateHandedOver {
		return report, errHandedOver
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	if d.life.Err() != nil {
		return report, errStops
	}
	h, err := d.startHeir()
	if err != nil {
		return report, err
	}
	ready, err := h.inherit(ctx, d)
	if err != nil {
		return report, h.abandon(err, d.configNow().Server.ShutdownTimeout+stopSlack)
	}
	d.log.Info("handed over to a new frontd", "pid", h.cmd.Process.Pid, "version", ready.Version)
	for _, a := range d.apps.all() {
		if was := a.scaledConfig(); was != nil {
			d.log.Warn("a number of workers holds no more: the new frontd has what the configuration says", "app", a.name, "scaled", workersText(was))
		}
	}
	report.PID, report.Version = h.cmd.Process.Pid, ready.Version
	d.heir = h.cmd.Process
	close(d.handed)
	return report, nil
}

// upgradeLogged is upgrade for those outside.
func (d *daemon) upgradeLogged(ctx context.Context) (upgradeReport, error) {
	d.log.Info("upgrading", "program", d.program)
	r, err := d.upgrade(ctx)
	switch {
	case errors.Is(err, errHandedOver):
		d.log.Info("not upgraded again", "note", err)
	case err != nil:
		d.log.Error("upgrade failed, what served before still serves", "error", err)
	}
	return r, err
}

// A socket is one that is handed over, in the order of descriptors.
type socket struct {
	address  config.Address
	listener net.Listener
}

// sockets are all that frontd listens at.
func (d *daemon) sockets() []socket {
	var list []socket
	for _, door := range d.allDoors() {
		list = append(list, socket{door.address, door.listener})
	}
	if n := d.numbersNow(); n != nil {
		list = append(list, socket{n.address, n.listener})
	}
	return append(list, socket{config.Address{Net: "unix", Addr: d.control.path}, d.control.listener})
}

// inherit leads the heir to where it serves, and us to where we need not.
func (h *heir) inherit(ctx context.Context, d *daemon) (ready handoverMessage, err error) {
	within := d.patience()
	ready, err = h.await(ctx, stateReady, within)
	if err != nil {
		return ready, err
	}
	for _, a := range d.apps.all() {
		if why, fails := ready.Failing[a.name]; fails && a.notUp() == nil {
			return ready, fmt.Errorf("app %s serves here and does not start in the new frontd: %s", a.name, why)
		}
	}
	if err := h.out.Encode(handoverMessage{State: stateServe}); err != nil {
		return ready, err
	}
	h.serves = true
	// It accepts from now on: that who asked has gone is no reason to lose what it has in hand.
	if _, err := h.await(context.WithoutCancel(ctx), stateServing, heirAnswer); err != nil {
		return ready, err
	}
	if !d.fate.CompareAndSwap(fateOpen, fateHandedOver) {
		return ready, errStops // and so is the heir to do
	}
	for _, s := range d.sockets() {
		if l, ok := s.listener.(*config.UnixListener); ok && slices.Contains(ready.Took, s.address.SocketName()) {
			l.SetUnlinkOnClose(false)
		}
	}
	d.tell(fmt.Sprintf("MAINPID=%d", h.cmd.Process.Pid))
	d.speaks.Store(false)
	d.incidents.handOver()
	h.out.Encode(handoverMessage{State: stateYours}) // if it has died since, nobody is left to tell
	return ready, nil
}

// patience is how long an heir may take to be ready.
func (d *daemon) patience() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var slowest time.Duration
	for _, a := range d.config.Apps {
		slowest = max(slowest, d.config.AppLimits(a).Timeout.Start)
	}
	return slowest + heirSlack
}

func upgradeCommand() *cobra.Command {
	var f controlFlag
	return f.add(&cobra.Command{
		Use: "upgrade", Short: "Hand over to a new process of the program, without losing a request",
		Long: "Start the program that the daemon was started as, which may have been replaced, and hand\n" +
			"the listening sockets over to it when its workers serve. The old process answers what it\n" +
			"has in hand and goes. If the new one fails, the old one serves on, and this command says why.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r upgradeReport
			if err := f.call(cmd.Context(), http.MethodPost, "/upgrade", &r); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "frontd %s, pid %d, serves; pid %d answers its last requests and goes\n", r.Version, r.PID, r.Before)
			return err
		},
	})
}
