package main

import (
	"fmt"
	"io"
	"path"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
	"github.com/frontd/frontd/incident"
)

// route puts the chain of a configuration in force.
func (d *daemon) route(c *config.Config) error {
	ch, err := d.chain(c)
	if err == nil {
		d.enforce(ch)
	}
	return err
}

// chain makes the chain of a configuration.
func (d *daemon) chain(c *config.Config) (*chain, error) {
	var routes []front.Route
	var roots folders
	stages := newStager(c)
	sessions := chainSessions{daemon: d, roots: &roots}
	for _, rc := range c.Routes {
		rt, err := d.routeOf(c, rc, &roots)
		if err != nil {
			roots.close()
			return nil, fmt.Errorf("route %s: %w", rc.Path, err)
		}
		stages.apply(rc, &rt)
		rt.Errors = d.incidents.policy(c, c.App(rc.App), rc)
		rt.Settings.ShowErrors = d.dev || c.Exception(c.App(rc.App), rc).Show
		if rt.Settings.ErrorPages, err = errorPagesOf(c, rc); err != nil {
			roots.close()
			return nil, fmt.Errorf("route %s: %w", rc.Path, err)
		}
		if rc.App != "" {
			if rt.Sessions, err = sessions.of(c, c.App(rc.App), rc); err != nil {
				roots.close()
				return nil, fmt.Errorf("route %s: %w", rc.Path, err)
			}
		}
		routes = append(routes, rt)
	}
	if err := stages.err(); err != nil {
		roots.close()
		return nil, err
	}
	general := settings(c, c.Server.Limits, false, d.dev)
	h, err := front.New(front.Config{
		Routes: routes, Settings: &general, Log: d.log.Logger, AccessLog: d.log.access,
		Observe: d.traffic.observe, Incident: d.incidents.failed, Keep: d.incidents.keep(),
		Proxies: front.Proxies{Trusted: c.Server.TrustedProxies},
	})
	if err != nil {
		roots.close()
		return nil, err
	}
	policies := map[string]*incident.Policy{}
	for _, ac := range c.Apps {
		policies[ac.Name] = d.incidents.policy(c, ac, nil)
	}
	return &chain{
		handler: h, roots: roots, apps: appNames(c), policies: policies, idle: make(chan struct{}, 1),
	}, nil
}

// enforce puts a chain in force, and returns the one before: nil at first.
func (d *daemon) enforce(ch *chain) *chain {
	before := d.chained.Swap(ch)
	d.traffic.set.Keep(ch.apps)
	for name, policy := range ch.policies {
		if a := d.apps.get(name); a != nil {
			a.setPolicy(policy)
		}
	}
	if before != nil {
		before.retire()
	}
	return before
}

// folders are those that a chain has open, and its parts in stores of sessions.
type folders []io.Closer

func (f folders) close() {
	for _, c := range f {
		c.Close() // of a folder: nothing is lost; a store tells the log
	}
}

// open opens one for files whose path in a URL begins with prefix.
func (f *folders) open(folder, prefix string) (*front.Static, error) {
	files, err := front.NewStatic(folder, prefix)
	if err == nil {
		*f = append(*f, files)
	}
	return files, err
}

func (d *daemon) routeOf(c *config.Config, rc *config.Route, roots *folders) (front.Route, error) {
	rt := front.Route{Host: rc.Host, Path: rc.Path.String(), App: rc.App, MountPrefix: rc.Mount, Internal: rc.Internal}
	if rc.Authorizer != "" {
		rt.Authorizer = d.apps.get(rc.Authorizer).gateway
	}
	for _, folder := range rc.Sendfile {
		files, err := roots.open(folder, "")
		if err != nil {
			return rt, err
		}
		rt.Sendfile = append(rt.Sendfile, front.FileRoot{Folder: folder, Files: files})
	}
	if rc.App == "" {
		rt.Settings = settings(c, c.Limits(rc), false, d.dev)
		if rc.Root == "" {
			return rt, nil // it redirects or returns
		}
		return filesRoute(rc, rt, roots, nil)
	}
	rt, programs, err := d.appRoute(c, rc, rt, roots)
	if err != nil || rc.Root == "" {
		return rt, err
	}
	return filesRoute(rc, rt, roots, programs)
}

// appRoute completes a route to an application. The folder is that whose programs it
// runs, nil if it finds its way by itself.
func (d *daemon) appRoute(c *config.Config, rc *config.Route, rt front.Route, roots *folders) (front.Route, *front.Folder, error) {
	ac := c.App(rc.App)
	if ac.Kind == config.KindFolder {
		return d.folderRoute(c, rc, rt, roots)
	}
	a := d.apps.get(rc.App)
	rt.Settings = settings(c, c.Limits(rc), ac.Body == "spool", d.dev)
	a.keeper.watchSlow(rt.Settings.Slow)
	h, root, err := a.handler(ac, c.Fallback(rc))
	if root != nil && err == nil {
		*roots = append(*roots, root)
	}
	rt.Handler = a.draft.gate(h)
	return rt, root, err
}

// filesRoute puts a route's files before its application, if it has one. The text of
// its programs is no file to send: whoever names the folder of a PHP site as root, as
// uWSGI's check-static and others have it, would publish its passwords.
func filesRoute(rc *config.Route, rt front.Route, roots *folders, programs *front.Folder) (front.Route, error) {
	files, err := roots.open(rc.Root, filePrefix(rc.Path))
	if err != nil {
		return rt, err
	}
	setFiles(files, rc)
	files.Next = rt.Handler
	if programs != nil {
		files.Source = programs.IsSource
	}
	rt.Handler = files
	return rt, nil
}

// filePrefix is what of a URL's path is no part of a file's: the prefix of a
// prefix, the folder of an exact path, nothing of an expression's.
func filePrefix(p config.Path) string {
	switch p.Match {
	case config.MatchPrefix:
		return p.Text
	case config.MatchExact:
		return path.Dir(p.Text)
	}
	return ""
}
