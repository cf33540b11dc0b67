package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maxFile bounds a configuration file. A thousand apps take a tenth of it.
const maxFile = 4 << 20

// Load reads the configuration at path. env finds environment variables:
// os.LookupEnv. The Config is nil if there are errors, which come all at once.
func Load(path string, env func(name string) (value string, ok bool)) (*Config, Errors) {
	data, err := readFile(path)
	if err != nil {
		return nil, Errors{{File: path, Reason: err.Error()}}
	}
	return Parse(path, data, env)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var perr *os.PathError
		if errors.As(err, &perr) {
			err = perr.Err // the path stands before it anyway
		}
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("more than %d bytes: not a configuration", maxFile)
	}
	return data, nil
}

// Parse reads a configuration that came from name: errors begin with it, and
// relative paths are taken from its folder. Secrets' files are read, nothing else.
func Parse(name string, data []byte, env func(name string) (value string, ok bool)) (*Config, Errors) {
	r := &reader{file: name, env: env, homes: homes()}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, Errors{{File: name, Reason: err.Error()}}
	}
	r.dir = dir
	data = trimMark(data)
	root, broken := parseTree(data, func(pos Pos, key, reason string) {
		r.errs = append(r.errs, Error{name, pos, key, reason})
	})
	r.broken = broken
	c := r.config(root)
	r.check(c)
	if len(r.errs) == 0 {
		if pos, err := confirm(data); err != nil {
			r.failf(pos, "", "not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
		}
	}
	r.errs.sort()
	r.warnings.sort()
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	c.Warnings = r.warnings
	return c, nil
}

// trimMark removes a byte order mark, which some editors add unasked.
func trimMark(data []byte) []byte {
	return []byte(strings.TrimPrefix(string(data), "\ufeff"))
}

// A reader turns the tree of one file into a Config and gathers what is wrong.
type reader struct {
	file     string
	dir      string // absolute
	env      lookup
	homes    map[string]string // key -> the table it belongs to
	broken   bool              // by syntax: what is missing may only be lost
	errs     Errors
	warnings Errors

	// The section being read.
	section string // its path: "app.blog"
	set     Set
}

func (r *reader) fail(pos Pos, key string, err error) {
	r.errs = append(r.errs, Error{r.file, pos, key, err.Error()})
}

func (r *reader) failf(pos Pos, key, format string, args ...any) {
	r.errs = append(r.errs, Error{r.file, pos, key, fmt.Sprintf(format, args...)})
}

func (r *reader) warnf(pos Pos, key, format string, args ...any) {
	r.warnings = append(r.warnings, Error{r.file, pos, key, fmt.Sprintf(format, args...)})
}

// mark notes that the section has the key.
func (r *reader) mark(e entry) {
	r.set[strings.TrimPrefix(e.value.path, r.section+".")] = e.pos
}

func (r *reader) enter(section string, set Set) { r.section, r.set = section, set }

func (r *reader) config(root *node) *Config {
	c := Default()
	c.File = r.file
	c.Server.Set, c.Log.Set, c.Metrics.Set, c.Incidents.Set = Set{}, Set{}, Set{}, Set{}
	c.Mail.Set, c.Webhook.Set = Set{}, Set{}
	for _, e := range root.entries {
		switch e.name {
		case "server":
			r.enter("server", c.Server.Set)
			readSection(r, e, serverKeys, &c.Server)
		case "log":
			r.enter("log", c.Log.Set)
			readSection(r, e, logKeys, &c.Log)
		case "metrics":
			r.enter("metrics", c.Metrics.Set)
			readSection(r, e, metricsKeys, &c.Metrics)
		case "incidents":
			r.enter("incidents", c.Incidents.Set)
			readSection(r, e, incidentKeys, &c.Incidents)
		case "mail":
			r.enter("mail", c.Mail.Set)
			readSection(r, e, mailKeys, &c.Mail)
		case "webhook":
			r.enter("webhook", c.Webhook.Set)
			readSection(r, e, webhookKeys, &c.Webhook)
		case "app":
			c.Apps = r.apps(e)
		case "route":
			c.Routes = r.routes(e)
		default:
			r.enter("", nil)
			r.unknown(e, []string{"server", "log", "metrics", "incidents", "mail", "webhook", "app", "route"})
		}
	}
	return c
}

func readSection[S any](r *reader, e entry, keys []key[S], into *S) {
	if e.value.kind != table {
		r.failf(e.value.pos, e.value.path, "%v, want a table: [%s]", e.value.kind, e.name)
		return
	}
	readTable(r, e.value, keys, into)
}

func (r *reader) apps(e entry) []*App {
	if e.value.kind != table {
		r.failf(e.value.pos, e.value.path, "%v, want a table for each app: [app.NAME]", e.value.kind)
		return nil
	}
	var apps []*App
	for _, in := range e.value.entries {
		if in.value.kind != table {
			r.failf(in.pos, in.value.path, "%v, want a table for each app: [app.NAME]", in.value.kind)
			continue
		}
		if !isAppName(in.name) {
			r.failf(in.pos, in.value.path, "%q is not an app's name: letters, digits, - and _, at most %d", in.name, maxAppName)
			continue
		}
		a := DefaultApp()
		a.Name, a.Pos = in.name, in.pos
		r.enter(in.value.path, a.Set)
		readTable(r, in.value, appKeys, a)
		if a.Directory == "" {
			a.Directory = r.dir
		}
		apps = append(apps, a)
	}
	return apps
}

// maxAppName keeps names fit for metrics, log lines and file names.
const maxAppName = 64

func isAppName(s string) bool {
	bad := func(c rune) bool { return !isWord(c) && c != '-' }
	return s != "" && len(s) <= maxAppName && !strings.ContainsFunc(s, bad)
}

func (r *reader) routes(e entry) []*Route {
	if e.value.kind != array {
		r.failf(e.value.pos, e.value.path, "%v, want a list: each route begins with [[route]]", e.value.kind)
		return nil
	}
	var routes []*Route
	for _, in := range e.value.items {
		if in.kind != table {
			r.failf(in.pos, in.path, "%v, want a table", in.kind)
			continue
		}
		route := defaultRoute()
		route.Pos = in.pos
		r.enter(in.path, route.Set)
		readTable(r, in, routeKeys, route)
		routes = append(routes, route)
	}
	return routes
}

// homes tells for a key that stands in the wrong table which is the right one.
func homes() map[string]string {
	m := map[string]string{}
	add := func(where string, names []string) {
		for _, n := range names {
			m[n] = where
		}
	}
	add("[[route]]", keyNames(routeKeys))
	add("[incidents]", keyNames(incidentKeys))
	add("[mail]", keyNames(mailKeys))
	add("[webhook]", keyNames(webhookKeys))
	add("[metrics]", keyNames(metricsKeys))
	add("[log]", keyNames(logKeys))
	add("[app.NAME]", keyNames(appKeys))
	add("[server]", keyNames(serverKeys))
	return m
}

// DefaultWorkers is what App.Workers of 0 means: the CPUs this process may use.
func DefaultWorkers() int { return processors }

// As the process began: while it serves, it may give processors up for a time.
var processors = runtime.GOMAXPROCS(0)
