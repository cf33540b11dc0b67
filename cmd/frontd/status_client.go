package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	var f controlFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status [--json]", Short: "Show applications, workers and queues", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return f.copyJSON(cmd, "/status")
			}
			var s statusReport
			if err := f.call(cmd.Context(), http.MethodGet, "/status", &s); err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), &s)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return f.add(cmd)
}

func workersCommand() *cobra.Command {
	var f controlFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use: "workers [APP] [--json]", Short: "Show each worker and what it has in hand", Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			target := "/workers"
			if len(args) > 0 {
				target += "?app=" + url.QueryEscape(args[0])
			}
			if asJSON {
				return f.copyJSON(cmd, target)
			}
			var list []appWorker
			if err := f.call(cmd.Context(), http.MethodGet, target, &list); err != nil {
				return err
			}
			return printWorkers(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return f.add(cmd)
}

// copyJSON prints what the daemon answers as it is: a newer daemon's fields
// are not lost by an older command.
func (f *controlFlag) copyJSON(cmd *cobra.Command, target string) error {
	var whole any
	if err := f.call(cmd.Context(), http.MethodGet, target, &whole); err != nil {
		return err
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(whole)
}

func printStatus(w io.Writer, s *statusReport) error {
	var b strings.Builder
	fmt.Fprintf(&b, "frontd %s, pid %d, up %v", s.Version, s.PID, seconds(s.Uptime))
	if s.Stopping {
		b.WriteString(", stopping")
	}
	fmt.Fprintf(&b, ", %s\n", strings.Join(s.Listen, " "))
	for i := range s.Apps {
		printApp(&b, &s.Apps[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printApp(w io.Writer, a *appReport) {
	fmt.Fprintf(w, "\n%s  %s %s\n", a.Name, a.Kind, printable(a.Target))
	fmt.Fprintf(w, "  queue %d of %d, in hand %d, served %d, refused %d\n", a.Queue, a.Size, a.Busy, a.Served, a.Refused)
	if a.Rate != nil {
		fmt.Fprintf(w, "  %s\n", describeRate(a.Rate))
	}
	if a.Failing != "" {
		fmt.Fprintf(w, "  failing: %s\n", strings.ReplaceAll(visibleText(a.Failing), "\n", "\n    "))
	}
	if t := a.Template; t != nil {
		fmt.Fprintf(w, "  template %d, up %v, RSS %s\n", t.PID, seconds(t.Uptime), mebibytes(t.RSS))
	}
	if len(a.Workers) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  PID\tSTATE\tUP\tREQUESTS\tRSS\tRESTARTS\tSERVING")
	for _, k := range a.Workers {
		fmt.Fprintf(t, "  %d\t%s\t%v\t%d\t%s\t%d\t%s\n", k.PID, k.State, seconds(k.Uptime), k.Served,
			mebibytes(k.RSS), k.Restarts, serving(&k))
	}
	t.Flush() // to a strings.Builder: it never fails
}

func printWorkers(w io.Writer, list []appWorker) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "APP\tPID\tSLOT\tSTATE\tUP\tREQUESTS\tRSS\tCPU\tRESTARTS\tSERVING")
	for _, k := range list {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%v\t%d\t%s\t%s\t%d\t%s\n", k.App, k.PID, k.Slot, k.State, seconds(k.Uptime),
			k.Served, mebibytes(k.RSS), cpuText(k.CPU), k.Restarts, serving(&k.workerReport))
	}
	return t.Flush()
}

// serving tells what a worker has in hand: the oldest, and how many more.
func serving(k *workerReport) string {
	if len(k.InFlight) == 0 {
		if k.LastExit != "" {
			return "(before: " + printable(k.LastExit) + ")"
		}
		return ""
	}
	f := k.InFlight[0]
	s := fmt.Sprintf("%s %s for %v", printable(f.Method), printable(f.URI), f.Age.Round(time.Millisecond))
	if n := len(k.InFlight) - 1; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}

// printable replaces what a client could move a terminal's cursor with.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func describeRate(r *rateReport) string {
	s := fmt.Sprintf("%.1f requests/s", r.Requests)
	if r.Requests > 0 {
		s += fmt.Sprintf(", p50 %s, p99 %s", latency(r.P50), latency(r.P99))
	}
	if r.Failed > 0 {
		s += fmt.Sprintf(", %.1f failures/s", r.Failed)
	}
	return s
}

// latency is a duration in seconds with the two or three digits that its
// estimate is worth.
func latency(s float64) string {
	switch {
	case s < 0.01:
		return fmt.Sprintf("%.1fms", s*1000)
	case s < 1:
		return fmt.Sprintf("%.0fms", s*1000)
	}
	return fmt.Sprintf("%.1fs", s)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func cpuText(s float64) string { return fmt.Sprintf("%.1fs", s) }

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}
