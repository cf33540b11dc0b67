package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// controlFlag is the --control of a command that talks to a daemon.
type controlFlag struct{ path string }

func (f *controlFlag) add(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&f.path, "control", "", "control socket `PATH` (default: of the only daemon running)")
	return cmd
}

// call asks the daemon and decodes its answer into v, if v is not nil.
func (f *controlFlag) call(ctx context.Context, method, target string, v any) error {
	path, err := f.find()
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://frontd"+target, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
			err = dial.Err
			if call, ok := errors.AsType[*os.SyscallError](err); ok {
				err = call.Err
			}
			return fmt.Errorf("no daemon answers at %s: %w", path, err)
		}
		return fmt.Errorf("ask the daemon at %s: %w", path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := json.NewDecoder(resp.Body).Decode(&f); err != nil || f.Error == "" {
			return fmt.Errorf("the daemon at %s answered %s", path, resp.Status)
		}
		return fmt.Errorf("%s", f.Error)
	}
	if v == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// unitSockets are those of frontd.service, of its instances and of pools.
const unitSocket, unitSockets = "/run/frontd/control.sock", "/run/frontd-*/control.sock"

// find returns the socket of the only daemon running, or lists them.
func (f *controlFlag) find() (string, error) {
	if f.path != "" {
		return f.path, nil
	}
	candidates, _ := filepath.Glob(unitSockets) // never malformed
	candidates = append(candidates, unitSocket)
	if base, err := runtimeBase(); err == nil {
		pattern := "*.sock"
		if os.Getenv("RUNTIME_DIRECTORY") != "" {
			pattern = "control.sock"
		}
		found, _ := filepath.Glob(filepath.Join(base, pattern)) // never malformed
		candidates = append(candidates, found...)
	}
	slices.Sort(candidates)
	return theOnly(slices.Compact(candidates))
}

// theOnly returns which of the sockets is answered, if it is one.
func theOnly(candidates []string) (string, error) {
	var alive, others []string
	for _, path := range candidates {
		nc, err := net.DialTimeout("unix", path, time.Second)
		switch {
		case err == nil:
			nc.Close()
			alive = append(alive, path)
		case errors.Is(err, fs.ErrPermission):
			others = append(others, path)
		}
	}
	switch len(alive) {
	case 0:
		if len(others) > 0 {
			return "", fmt.Errorf("no daemon is running as this user; this is another's, whom it may be asked as, or as root: %s", strings.Join(others, ", "))
		}
		return "", fmt.Errorf("no daemon is running as this user; looked for %s", strings.Join(candidates, ", "))
	case 1:
		return alive[0], nil
	}
	return "", fmt.Errorf("several daemons are running, choose one with --control:\n  %s", strings.Join(alive, "\n  "))
}

// controlCommand is a command that asks the daemon to do one thing.
func controlCommand(use, short string, args cobra.PositionalArgs, target func(args []string) string) *cobra.Command {
	var f controlFlag
	return f.add(&cobra.Command{
		Use: use, Short: short, Args: usageArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.call(cmd.Context(), http.MethodPost, target(args), nil)
		},
	})
}

func reloadCommand() *cobra.Command {
	var f controlFlag
	return f.add(&cobra.Command{
		Use: "reload", Short: "Read the configuration again; new workers take over", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report reloadReport
			if err := f.call(cmd.Context(), http.MethodPost, "/reload", &report); err != nil {
				return err
			}
			return report.print(cmd.OutOrStdout())
		},
	})
}

func restartCommand() *cobra.Command {
	return controlCommand("restart APP", "Replace the workers of an application; the old ones stay until the new ones serve", cobra.ExactArgs(1),
		func(args []string) string { return "/restart?app=" + url.QueryEscape(args[0]) })
}

func scaleCommand() *cobra.Command {
	return controlCommand("scale APP N", "Change how many workers an application has", cobra.ExactArgs(2),
		func(args []string) string {
			return "/scale?app=" + url.QueryEscape(args[0]) + "&workers=" + url.QueryEscape(args[1])
		})
}

// stopCommand answers when the daemon is gone: its socket no longer answers.
func stopCommand() *cobra.Command {
	var f controlFlag
	return f.add(&cobra.Command{
		Use: "stop", Short: "Stop the daemon: requests in flight end first", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s statusReport
			if err := f.call(cmd.Context(), http.MethodGet, "/status", &s); err != nil {
				return err
			}
			if err := f.call(cmd.Context(), http.MethodPost, "/stop", nil); err != nil {
				return err
			}
			return awaitExit(cmd.Context(), s.PID)
		},
	})
}

// awaitExit waits for the end of a process that is not our child: there is
// no event for that everywhere, so it is asked for.
func awaitExit(ctx context.Context, pid int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if p, err := os.FindProcess(pid); err != nil || !alive(p) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
