// Command bench runs frontd and its peers side by side, in one run and by
// turns, and compares what a request costs each of them. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if role, args := roleOf(os.Args); role != "" {
		if err := playRole(role, args); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the command line.
type settings struct {
	plan      plan
	sides     []string
	baselines []string
	frontd    string // a binary; "": built from this module
	json      string
	html      string
	list      bool
	limit     time.Duration
}

func parseFlags(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	sides := f.String("sides", "all", "`NAMES` of sides, with commas; a name may end in *")
	conns := f.String("conns", "1,32,256", "keep-alive connections at once, a `LIST`")
	work := f.String("workloads", "hello,10k,1m,upload,upload100m", "a `LIST`")
	base := f.String("baseline", "frontd-go,frontd-php,frontd-wsgi,frontd-one", "`SIDES` that the ratios are against, one a family")
	f.IntVar(&s.plan.rounds, "rounds", 5, "how often each cell is measured")
	f.DurationVar(&s.plan.duration, "duration", time.Second, "how long a cell is measured")
	f.Int64Var(&s.plan.requests, "requests", 0, "the most requests a cell has; 0: no limit but the duration")
	f.DurationVar(&s.limit, "limit", time.Hour, "how long all of it may take")
	f.StringVar(&s.frontd, "frontd", "", "the frontd `BINARY`; empty: built from this module")
	f.StringVar(&s.json, "json", "", "write all that was measured to `FILE`")
	f.StringVar(&s.html, "html", "", "write a page with plots to `FILE`")
	f.BoolVar(&s.list, "list", false, "list the sides and the workloads, and what is missing here")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	s.sides, s.baselines = words(*sides), words(*base)
	for _, w := range words(*conns) {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > maxConns {
			return nil, fmt.Errorf("-conns %q: want numbers from 1 to %d", w, maxConns)
		}
		s.plan.conns = append(s.plan.conns, n)
	}
	for _, name := range words(*work) {
		w := findWorkload(name)
		if w == nil {
			return nil, fmt.Errorf("-workloads %q: there are %s", name, workloadNames())
		}
		s.plan.workloads = append(s.plan.workloads, w)
	}
	if s.plan.rounds < 1 || s.plan.duration <= 0 || s.plan.requests < 0 || s.limit <= 0 {
		return nil, errors.New("-rounds, -duration and -limit must be positive, -requests not negative")
	}
	return s, nil
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if s.list {
		return listAll(stdout)
	}
	chosen, err := chooseSides(s.sides)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("over the -limit of %v", s.limit))
	defer cancel()
	r, err := newRig(ctx, s.frontd, stderr)
	if err != nil {
		return err
	}
	defer r.Close()
	report, err := r.compare(ctx, &s.plan, chosen)
	if report == nil {
		return err
	}
	report.settle(s.baselines)
	writeText(stdout, report)
	return errors.Join(err, writeFiles(report, s))
}

func writeFiles(report *Report, s *settings) error {
	if s.json != "" {
		if err := writeFile(s.json, report.writeJSON); err != nil {
			return err
		}
	}
	if s.html != "" {
		return writeFile(s.html, report.writeHTML)
	}
	return nil
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func listAll(w io.Writer) error {
	fmt.Fprintln(w, "sides:")
	for _, s := range allSides {
		missing := ""
		if m := s.missing(); m != "" {
			missing = "  [skipped: no " + m + "]"
		}
		fmt.Fprintf(w, "  %-18s %-5s %s%s\n", s.name, s.family, s.title, missing)
	}
	fmt.Fprintln(w, "workloads:")
	for _, wl := range allWorkloads {
		fmt.Fprintf(w, "  %-18s %s\n", wl.Name, wl.title)
	}
	return nil
}
