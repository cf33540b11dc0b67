package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/frontd/frontd/incident"
)

// incidentsFlags say where incidents are read from, and how they are shown.
type incidentsFlags struct {
	control   controlFlag
	directory string
	json      bool
}

func incidentsCommand() *cobra.Command {
	var f incidentsFlags
	cmd := &cobra.Command{
		Use: "incidents [list|show ID|clear] [--json]", Short: "Show what went wrong in applications",
		Long: "Incidents are uncaught exceptions, crashes, timeouts and broken answers of applications, each kept\n" +
			"once, with how often it came. They are asked of the daemon, or read from the folder of one that has\n" +
			"stopped. ID is an incident's, or that of one of the latest requests that it came with.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.list(cmd) },
	}
	pf := cmd.PersistentFlags()
	pf.StringVar(&f.control.path, "control", "", "control socket `PATH` (default: of the only daemon running)")
	pf.StringVar(&f.directory, "directory", "", "read the `FOLDER` of a daemon that has stopped")
	pf.BoolVar(&f.json, "json", false, "as JSON")
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List incidents, the latest first", Args: usageArgs(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error { return f.list(cmd) }},
		&cobra.Command{Use: "show ID", Short: "Show all that is known of one", Args: usageArgs(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error { return f.show(cmd, args[0]) }},
		&cobra.Command{Use: "clear", Short: "Forget all of them", Args: usageArgs(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error { return f.clear(cmd) }},
	)
	return cmd
}

func (f *incidentsFlags) list(cmd *cobra.Command) error {
	var list []incident.Summary
	var err error
	if f.directory != "" {
		list, err = incident.ListDirectory(f.directory)
	} else {
		err = f.control.call(cmd.Context(), http.MethodGet, "/incidents", &list)
	}
	if err != nil {
		return err
	}
	if f.json {
		return writeJSON(cmd.OutOrStdout(), list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "no incidents")
		return err
	}
	return printIncidents(cmd.OutOrStdout(), list, time.Now())
}

func (f *incidentsFlags) show(cmd *cobra.Command, id string) error {
	i := new(incident.Incident)
	var err error
	if f.directory != "" {
		i, err = incident.ReadDirectory(f.directory, id)
	} else {
		err = f.control.call(cmd.Context(), http.MethodGet, "/incidents/"+url.PathEscape(id), i)
	}
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.json {
		return writeJSON(out, i)
	}
	return i.WriteText(out, isTerminal(out))
}

func (f *incidentsFlags) clear(cmd *cobra.Command) error {
	if f.directory != "" {
		return usagef(cmd, "clear asks a daemon; the folder of one that has stopped can be removed")
	}
	var n cleared
	if err := f.control.call(cmd.Context(), http.MethodDelete, "/incidents", &n); err != nil {
		return err
	}
	if f.json {
		return writeJSON(cmd.OutOrStdout(), n)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d incidents forgotten\n", n.Count)
	return err
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func printIncidents(w io.Writer, list []incident.Summary, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tAPP\tKIND\tCOUNT\tLAST\tWHAT")
	for _, s := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s ago\t%s\n", s.ID, s.App, s.Kind, s.Count, ago(now.Sub(s.Last)), incident.Printable(s.Title, 100))
	}
	return tw.Flush()
}

// ago is a duration to about two digits.
func ago(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d >= time.Minute:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return fmt.Sprintf("%ds", int(max(d, 0).Seconds()))
}
