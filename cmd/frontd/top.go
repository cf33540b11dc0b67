package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/frontd/frontd/internal/terminal"
)

func init() { terminal.Restore() }

// Bounds of --interval: more often nobody can read, less often is no live view.
const (
	minInterval = 100 * time.Millisecond
	maxInterval = 30 * time.Second
)

func topCommand() *cobra.Command {
	var f controlFlag
	var once bool
	interval := time.Second
	cmd := &cobra.Command{
		Use: "top [--interval D] [--once]", Short: "Watch applications and workers live", Args: usageArgs(cobra.NoArgs),
		Long: "Show what each application and worker does, every second: queue, rates, latencies, memory,\n" +
			"and the request that each worker has in hand. Keys restart and scale; ? tells them.\n" +
			"Without a terminal, or with --once, one snapshot is printed as text.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < minInterval || interval > maxInterval {
				return usagef(cmd, "--interval %v: want %v to %v", interval, minInterval, maxInterval)
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			m := newTop(ctx, topDaemon{&f}, interval)
			out, ok := cmd.OutOrStdout().(*os.File)
			if once || !ok || !term.IsTerminal(out.Fd()) || os.Getenv("TERM") == "dumb" {
				return topOnce(ctx, cmd, m)
			}
			m.colour = os.Getenv("NO_COLOR") == ""
			_, err := tea.NewProgram(m, tea.WithAltScreen(), tea.WithContext(ctx), tea.WithOutput(out)).Run()
			if errors.Is(err, tea.ErrInterrupted) {
				return nil // Ctrl-C from outside
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&interval, "interval", interval, "how often to look, `D` from 100ms to 30s")
	cmd.Flags().BoolVar(&once, "once", false, "print one snapshot as text, of the time of one interval")
	return f.add(cmd)
}

// topOnce prints a snapshot. Rates are differences: it looks twice.
func topOnce(ctx context.Context, cmd *cobra.Command, m *topModel) error {
	if _, err := m.daemon.status(ctx); err != nil {
		return err
	}
	t := time.NewTimer(m.interval)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s, err := m.daemon.status(ctx)
	if err != nil {
		return err
	}
	return printStatus(cmd.OutOrStdout(), &s)
}

// A watched is the daemon that top looks at.
type watched interface {
	status(context.Context) (statusReport, error)
	restart(ctx context.Context, app string) error
	scale(ctx context.Context, app string, workers int) error
}

// topDaemon is a daemon behind its control socket.
type topDaemon struct{ *controlFlag }

func (d topDaemon) status(ctx context.Context) (s statusReport, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // a daemon that is stopped answers never
	defer cancel()
	return s, d.call(ctx, http.MethodGet, "/status?watch=1", &s)
}

func (d topDaemon) restart(ctx context.Context, app string) error {
	return d.call(ctx, http.MethodPost, "/restart?app="+url.QueryEscape(app), nil)
}

func (d topDaemon) scale(ctx context.Context, app string, workers int) error {
	return d.call(ctx, http.MethodPost, "/scale?app="+url.QueryEscape(app)+"&workers="+strconv.Itoa(workers), nil)
}
