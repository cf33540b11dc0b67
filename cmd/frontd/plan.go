package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/supervisor"
)

// serveFlags are what the command line of serve may say.
type serveFlags struct {
	file    string
	listen  []string
	workers int
	threads int
	dev     bool
	control string
}

func (f *serveFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.file, "config", "c", "", "configuration `FILE`")
	fl.StringArrayVarP(&f.listen, "listen", "l", nil, "`ADDRESS` to listen on, may be repeated (default 127.0.0.1:8080)")
	fl.IntVarP(&f.workers, "workers", "w", 0, "worker processes (default: as many as CPUs)")
	fl.IntVar(&f.threads, "threads", 0, "requests a worker serves at once (default: as the application's kind does)")
	fl.BoolVar(&f.dev, "dev", false, "development: show errors to the client, one worker by default")
	fl.StringVar(&f.control, "control", "", "control socket `PATH`")
}

// load makes the configuration of the file, the flags and APP.
func (f *serveFlags) load(cmd *cobra.Command, args []string) (*config.Config, string, error) {
	var c *config.Config
	var why string
	switch {
	case f.file != "" && len(args) > 0:
		return nil, "", usagef(cmd, "both -c FILE and APP %q: the file names its applications", args[0])
	case f.file != "":
		var errs config.Errors
		if c, errs = loadFile(f.file); len(errs) > 0 {
			return nil, "", &usageError{err: errs}
		}
	default:
		var err error
		if c, why, err = appConfig(cmd, args); err != nil {
			return nil, "", err
		}
	}
	if err := f.apply(cmd, c); err != nil {
		return nil, "", err
	}
	unfold(c)
	return c, why, nil
}

func loadFile(path string) (*config.Config, config.Errors) {
	return config.Load(path, os.LookupEnv)
}

// appConfig is the configuration of one application at every URL.
func appConfig(cmd *cobra.Command, args []string) (*config.Config, string, error) {
	spec := ""
	switch {
	case len(args) == 1:
		spec = args[0]
	case len(args) > 1 && strings.HasPrefix(args[0], "exec:"):
		spec = args[0]
		for _, word := range args[1:] {
			spec += " '" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	case len(args) > 1:
		return nil, "", usagef(cmd, "one APP is served, not %d: %q (several are for a configuration file)", len(args), args)
	}
	hosted, err := app.Parse(spec, "")
	if err != nil {
		return nil, "", &usageError{err: err}
	}
	c := config.Default()
	a := config.DefaultApp()
	a.Name, a.Kind = appName(hosted), config.Kind(hosted.Kind)
	a.Target, a.Command, a.Directory = hosted.Target, hosted.Args, hosted.Dir
	if hosted.Kind == app.FCGI {
		if a.Address, err = config.ParseAddress(hosted.Target); err != nil {
			return nil, "", &usageError{err: err}
		}
		if _, err := os.Stat(filepath.Join(hosted.Dir, "index.php")); err == nil {
			a.Set["directory"] = config.Pos{}
			hosted.Why = hosted.Dir + " has index.php: the document root of the PHP at " + hosted.Target
		}
	}
	c.Apps = []*config.App{a}
	c.Routes = []*config.Route{{Set: config.Set{}, Path: config.Path{Text: "/"}, App: a.Name}}
	return c, hosted.Why, nil
}

// appName is what an application without a name is called.
func appName(a app.App) string {
	name := string(a.Kind)
	switch a.Kind {
	case app.WSGI:
		name, _, _ = strings.Cut(a.Target, ":")
		name, _, _ = strings.Cut(name, ".")
	case app.PHP, app.CGI, app.Go, app.Folder:
		name = filepath.Base(a.Target)
	case app.Exec:
		name = filepath.Base(a.Args[0])
	}
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, name)
	if clean = strings.Trim(clean, "-"); clean == "" {
		return string(a.Kind)
	}
	return clean
}

// apply lets the flags have the last word.
func (f *serveFlags) apply(cmd *cobra.Command, c *config.Config) error {
	if len(f.listen) > 0 {
		c.Server.Listen = nil
		for _, s := range f.listen {
			a, err := config.ParseAddress(s)
			if err != nil {
				return &usageError{err, cmd}
			}
			c.Server.Listen = append(c.Server.Listen, a)
		}
	}
	if f.control != "" {
		c.Server.Control = f.control
	}
	for _, flag := range []struct {
		name string
		n    int
	}{{"workers", f.workers}, {"threads", f.threads}} {
		if cmd.Flags().Changed(flag.name) && flag.n < 1 {
			return usagef(cmd, "--%s %d: want 1 or more", flag.name, flag.n)
		}
	}
	for _, a := range c.Apps {
		if f.workers > 0 {
			a.Workers = f.workers
		} else if f.dev && a.Workers == 0 {
			a.Workers = 1
		}
		if f.threads > 0 {
			a.Threads = f.threads
			a.Set["threads"] = config.Pos{}
		}
	}
	return nil
}

// settings makes the front's of the configuration's.
func settings(c *config.Config, l config.Limits, spool, dev bool) front.Settings {
	s := front.DefaultSettings()
	s.MaxBody = l.MaxBody
	if l.MaxBody == 0 {
		s.MaxBody = -1
	}
	s.ResponseBuffer, s.ResponseFile = l.ResponseBuffer, l.ResponseFile
	s.QueueTimeout = l.Queue.Timeout
	s.RequestTimeout, s.FirstByteTimeout, s.Slow = l.Timeout.Request, l.Timeout.FirstByte, l.Timeout.Slow
	s.BodyMinRate = c.Server.BodyRate
	s.Spool, s.ShowErrors = spool, dev
	return s
}

func numCPU() int { return runtime.NumCPU() }

func checkCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "check [-c FILE]", Short: "Check a configuration, every error at once", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return check(cmd.OutOrStdout(), cmd.ErrOrStderr(), file) },
	}
	cmd.Flags().StringVarP(&file, "config", "c", "frontd.toml", "configuration `FILE`")
	return cmd
}

// check prints what is wrong with a configuration, in the file's order, and
// goes beyond its text: what it names has to exist.
func check(stdout, stderr io.Writer, file string) error {
	c, errs := loadFile(file)
	for _, e := range errs {
		fmt.Fprintln(stderr, e.Error())
	}
	if len(errs) > 0 {
		return &saidError{exitFailed}
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(stderr, "warning: %v\n", w)
	}
	errs = append(c.CheckFiles(), checkStages(c)...)
	for _, a := range c.Apps {
		key := "app." + a.Name
		told := slices.ContainsFunc(errs, func(e config.Error) bool { return e.Key == key || strings.HasPrefix(e.Key, key+".") })
		if err := checkIdentity(a); err != nil {
			pos, set := a.Set["user"]
			if !set {
				pos = a.Set["group"]
			}
			errs = append(errs, config.Error{File: file, Pos: pos, Key: key + ".user", Reason: err.Error()})
		}
		if err := checkApp(a); err != nil && !told {
			errs = append(errs, config.Error{File: file, Pos: a.Pos, Key: key, Reason: err.Error()})
		}
	}
	for _, e := range errs {
		fmt.Fprintln(stderr, e.Error())
	}
	if len(errs) > 0 {
		return &saidError{exitFailed}
	}
	_, err := fmt.Fprintf(stdout, "%s: ok, %s, %s\n", file, count(len(c.Apps), "app"), count(len(c.Routes), "route"))
	return err
}

// checkApp asks whether an application could be started: its program, its
// interpreter, and whether its user gets at them.
func checkApp(a *config.App) error {
	path, err := self()
	if err != nil {
		return err
	}
	cmd, err := hostedApp(a).Command(app.Options{Threads: threadsOf(a), Python: a.Python, Self: path, SelfArgs: []string{appworkerName}})
	if errors.Is(err, app.ErrNotHosted) || errors.Is(err, app.ErrFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	spec := supervisor.Spec{Name: a.Name, Path: cmd.Path, Args: workerArgs(cmd), Dir: cmd.Dir, Env: slices.Concat(baseEnv(), cmd.Env)}
	if confine(&spec, a) != nil {
		return nil // checkIdentity has said it
	}
	return supervisor.New(supervisor.Options{Launcher: []string{path, launchName}}).Preflight(&spec)
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Write, show or describe a configuration", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configShowCommand(), &cobra.Command{
		Use: "init [FILE]", Short: "Write a commented configuration (default frontd.toml, - for standard output)",
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return configInit(cmd.OutOrStdout(), args) },
	}, &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	})
	return cmd
}

func configInit(stdout io.Writer, args []string) error {
	name := "frontd.toml"
	if len(args) > 0 {
		name = args[0]
	}
	if name == "-" {
		_, err := stdout.Write(config.InitFile())
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err) // an existing one is never replaced
	}
	_, err = f.Write(config.InitFile())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "wrote %s; check it with: frontd check -c %s\n", name, name)
	return err
}
