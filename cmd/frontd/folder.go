package main

import (
	"cmp"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/front"
)

// folderIdle is how long the workers of one kind of file are kept without need.
const folderIdle = 60 * time.Second

// folderIndex are the names that stand for a folder, programs first.
var folderIndex = []string{"index.php", "index.py", "index.cgi", "index.html", "index.htm"}

// unfold adds to the configuration, for each application of kind folder, one
// application for each kind of program that its files may be: NAME.wsgi and so
// on, which no file can name. Its workers start with the first request for such
// a file. One that could not be started here, as PHP where there is no php-cgi,
// is left out: most folders do not have every kind.
func unfold(c *config.Config) {
	for _, a := range slices.Clone(c.Apps) {
		if a.Kind != config.KindFolder {
			continue
		}
		for _, kind := range folderKinds(c, a) {
			if part, ok := partOf(a, kind); ok && checkApp(part) == nil {
				c.Apps = append(c.Apps, part)
			}
		}
	}
}

// folderKinds are the kinds of app among the handlers of a folder, sorted.
func folderKinds(c *config.Config, a *config.App) []config.Kind {
	kinds := map[config.Kind]bool{}
	note := func(h config.Handlers) {
		for _, word := range h {
			if word != config.HandlerOff && word != config.HandlerStatic {
				kinds[config.Kind(word)] = true
			}
		}
	}
	note(a.Handlers.Over(config.DefaultHandlers()))
	for _, r := range c.Routes {
		if r.App == a.Name {
			note(r.Handlers)
		}
	}
	return slices.Sorted(maps.Keys(kinds))
}

// partOf makes the application that runs a folder's files of one kind.
func partOf(folder *config.App, kind config.Kind) (*config.App, bool) {
	hosted, ok := app.FolderApp(app.Kind(kind), folder.Target)
	part := *folder
	part.Name = partName(folder, kind)
	part.Kind, part.Target, part.Directory, part.Folder = kind, hosted.Target, hosted.Dir, folder.Target
	part.Set = maps.Clone(folder.Set)
	if part.Set == nil {
		part.Set = config.Set{}
	}
	if kind != config.KindWSGI {
		delete(part.Set, "threads") // those of Python
	}
	if part.Elastic.Max == 0 {
		part.Elastic = config.Elastic{Max: cmp.Or(folder.Workers, numCPU()), Idle: folderIdle}
		part.Workers = 0
	}
	return &part, ok
}

func partName(folder *config.App, kind config.Kind) string { return folder.Name + "." + string(kind) }

// partNames are the applications that a name stands for: those that a folder
// was made into, or the one of that name, which may not exist.
func partNames(c *config.Config, name string) []string {
	folder := c.App(name)
	if folder == nil || folder.Kind != config.KindFolder {
		return []string{name}
	}
	var names []string
	for _, a := range c.Apps {
		if a.Folder != "" && strings.HasPrefix(a.Name, name+".") {
			names = append(names, a.Name)
		}
	}
	return names
}

// hosted are the applications that have workers or a server: all but folders,
// which unfold has made into some.
func hosted(c *config.Config) []*config.App {
	return slices.DeleteFunc(slices.Clone(c.Apps), func(a *config.App) bool { return a.Kind == config.KindFolder })
}

// folderRoute completes a route to a folder.
func (d *daemon) folderRoute(c *config.Config, rc *config.Route, rt front.Route, roots *folders) (front.Route, *front.Folder, error) {
	folder := c.App(rc.App)
	rt.Settings = settings(c, c.Limits(rc), folder.Body == "spool", d.dev)
	programs := map[string]http.Handler{}
	words := rc.Handlers.Over(folder.Handlers.Over(config.DefaultHandlers()))
	for ext, word := range words {
		switch word {
		case config.HandlerStatic:
		case config.HandlerOff:
			programs[ext] = nil
		default:
			programs[ext] = d.partHandler(folder, config.Kind(word), rt.Settings.Slow)
		}
	}
	fallback := strings.TrimPrefix(c.Fallback(rc), "/")
	files, err := front.NewFolder(front.FolderConfig{
		Root: folder.Target, Programs: programs, Index: folderIndex,
		Controller: fallback, Mounted: words[path.Ext(fallback)] != string(config.KindPHP),
	})
	if err != nil {
		return rt, nil, err
	}
	*roots = append(*roots, files)
	rt.Handler = files
	return rt, files, nil
}

// partHandler runs a folder's files of one kind, or says why nobody can.
func (d *daemon) partHandler(folder *config.App, kind config.Kind, slow time.Duration) http.Handler {
	if a := d.apps.get(partName(folder, kind)); a != nil {
		a.keeper.watchSlow(slow)
		return a.draft.gate(a.gateway)
	}
	reason := "nobody runs files of kind " + string(kind)
	if part, ok := partOf(folder, kind); ok {
		if err := checkApp(part); err != nil {
			reason = err.Error()
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front.Fail(w, r, front.StartFailed, reason)
	})
}
