package main

import (
	"slices"
	"strings"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/supervisor"
)

// confine adds to an application's order whom its workers run as, and what
// they may take of the machine.
func confine(spec *supervisor.Spec, c *config.App) error {
	id, err := identity(c)
	if err != nil {
		return err
	}
	if !id.Own() {
		spec.Credential = &id.Credential
		spec.NoNewPrivileges = !c.NewPrivileges
		spec.Needs = needs(c)
		// The HOME of frontd's own user is closed to another.
		if c.User != "" && !slices.ContainsFunc(c.Env, func(v config.Variable) bool { return v.Name == "HOME" }) {
			spec.Env = slices.DeleteFunc(spec.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") })
			if id.Home != "" {
				spec.Env = append(spec.Env, "HOME="+id.Home)
			}
		}
	}
	if c.Umask >= 0 {
		spec.Umask = &c.Umask
	}
	spec.Nice = c.Nice
	b := c.Bounds
	spec.Bounds = supervisor.Bounds{
		OpenFiles: b.OpenFiles, Memory: b.Memory, CPUs: b.CPUs, Processes: b.Processes, FileSize: b.FileSize,
	}
	if b.Core >= 0 {
		spec.Bounds.Core = &b.Core
	}
	return nil
}

// identity is whom an application's workers run as, if that can be.
func identity(c *config.App) (supervisor.Identity, error) {
	id, err := supervisor.FindIdentity(c.User, c.Group)
	if err == nil {
		err = id.Allowed()
	}
	return id, err
}

// needs are the files that an application is made of, as far as they are known.
func needs(c *config.App) []string {
	var list []string
	if c.Kind != config.KindDemo && c.Directory != "" {
		list = append(list, c.Directory)
	}
	if c.Kind == config.KindPHP || c.Kind == config.KindCGI {
		list = append(list, c.Target)
	}
	return list
}

// openCgroup finds the control group that was made ours, where an application
// could use it; the log has why there is none, if one wants it.
func openCgroup(c *config.Config, log *logbook) *supervisor.Cgroup {
	cg, err := supervisor.OpenCgroup(c.Server.Cgroup)
	switch {
	case err == nil:
		log.Info("workers run in control groups", "cgroup", cg.String())
	case c.Server.Cgroup != "" || slices.ContainsFunc(c.Apps, wantsCgroup):
		log.Warn("no control groups for workers", "reason", err)
	}
	return cg
}

// sayRoot warns of applications that have the rights of root for want of a
// user: a hole in one of them is a hole in the machine.
func sayRoot(log *logbook, euid int, apps []*config.App) {
	if euid != 0 {
		return
	}
	var names []string
	for _, a := range apps {
		if a.User == "" && a.Kind != config.KindFCGI {
			names = append(names, a.Name)
		}
	}
	if len(names) > 0 {
		log.Warn("applications run as root; the setting user gives each the rights of its own", "apps", strings.Join(names, ", "))
	}
}

func wantsCgroup(a *config.App) bool {
	return a.Bounds.Memory > 0 || a.Bounds.CPUs > 0 || a.Bounds.Processes > 0
}

// sayShortfall tells which limits of an application are held by halves.
func sayShortfall(log *logbook, name string, short []string) {
	if len(short) > 0 {
		log.Warn("limits are not held as meant, for want of a control group", "app", name, "limits", strings.Join(short, "; "))
	}
}

// checkIdentity asks whether the application's user is there and could be it.
func checkIdentity(c *config.App) error {
	if c.Kind == config.KindFCGI {
		return nil
	}
	_, err := identity(c)
	return err
}
