package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
)

func configShowCommand() *cobra.Command {
	var file, method string
	cmd := &cobra.Command{
		Use: "show [URL] [-c FILE] [--method M]", Short: "Print the effective settings, of all or of one URL with where each is set; secrets masked",
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				switch _, err := os.Stat("frontd.toml"); {
				case !errors.Is(err, os.ErrNotExist):
					file = "frontd.toml"
				case len(args) > 0:
					return usagef(cmd, "no frontd.toml here; want -c FILE")
				}
			}
			c := config.Default()
			if file != "" {
				var errs config.Errors
				if c, errs = loadFile(file); len(errs) > 0 {
					return &usageError{err: errs}
				}
			}
			if len(args) == 0 {
				return c.WriteEffective(cmd.OutOrStdout())
			}
			u, err := parseShown(args[0])
			if err != nil {
				return &usageError{err, cmd}
			}
			return showURL(cmd.OutOrStdout(), c, strings.ToUpper(method), u)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` (default frontd.toml, where there is one; else what holds without any)")
	cmd.Flags().StringVar(&method, "method", http.MethodGet, "the request's `METHOD`")
	return cmd
}

// parseShown reads "http://host/path", "host/path" or "/path".
func parseShown(s string) (*url.URL, error) {
	if !strings.HasPrefix(s, "/") && !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("not a URL: %w", err)
	}
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	return u, nil
}

// showURL says which route takes a URL, why the ones before it do not, what
// it makes of it, and what holds there.
func showURL(w io.Writer, c *config.Config, method string, u *url.URL) error {
	st := newStager(c)
	var routes []front.Route
	for _, rc := range c.Routes {
		rt := front.Route{Host: rc.Host, Path: rc.Path.String(), MountPrefix: rc.Mount, Internal: rc.Internal}
		if rc.App != "" || rc.Root != "" {
			rt.Handler = http.NotFoundHandler() // it is not called
		}
		rt.Methods = c.Stages(rc).Methods
		st.answers(rc, &rt)
		routes = append(routes, rt)
	}
	if err := st.err(); err != nil {
		return &usageError{err: err}
	}
	e, err := front.Explain(routes, method, u)
	if err != nil {
		return &usageError{err: err}
	}
	for i, why := range e.Why {
		fmt.Fprintf(w, "# %s:%d route %q: %s\n", c.File, c.Routes[i].Pos.Line, c.Routes[i].Path, why)
	}
	if e.Taken < 0 {
		fmt.Fprintf(w, "# no route takes it: %d\n", front.NoRoute.Status())
		return nil
	}
	for _, line := range outcome(e, method, u) {
		fmt.Fprintf(w, "# %s\n", line)
	}
	return c.WriteRoute(w, c.Routes[e.Taken])
}

func outcome(e front.Explanation, method string, u *url.URL) []string {
	switch {
	case e.Location != "":
		return []string{fmt.Sprintf("answered with %d to %s", e.Status, e.Location)}
	case e.Status == http.StatusMethodNotAllowed:
		return []string{fmt.Sprintf("%s is answered with %d: it is not one of its methods", method, e.Status)}
	case e.Status != 0:
		return []string{fmt.Sprintf("answered with %d", e.Status)}
	case e.Path != u.Path && u.Path != "":
		to := e.Path
		if e.Query != "" {
			to += "?" + e.Query
		}
		return []string{"rewritten to " + to}
	}
	return nil
}
