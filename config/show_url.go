package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteRoute writes every setting that holds for a route's URLs, each with
// the place it comes from: a line of the file and its section, or the default.
func (c *Config) WriteRoute(w io.Writer, r *Route) error {
	b := bufio.NewWriter(w)
	effective := *r
	app := c.App(r.App)
	effective.Limits, effective.Exception, effective.Stages = c.Limits(r), c.Exception(app, r), c.Stages(r)
	for _, l := range linesOf(routeKeys, "") {
		value := l.text(&effective)
		origin := c.Origin(r, l.name)
		switch {
		case isFieldEdit(l.name):
			c.writeFields(b, r, l.name)
		case origin.Section == "default" && (isNothing(value) || isAnswer(l.name) || isOfFiles(l.name) && r.Root == "" || noWorker(r, l.name)):
		default:
			c.writeOrigin(b, l.name, value, origin)
		}
	}
	if app != nil {
		for _, l := range linesOf(appKeys, "") {
			if _, of := app.Set.at(l.name); isLimit(l.name) || isStage(l.name) || isException(l.name) || app.meaningless(l.name) || l.name == "body" && app.mixes() || !of && isNothing(l.text(app)) {
				continue
			}
			origin := Origin{Section: "default"}
			if pos, ok := app.Set.at(l.name); ok {
				origin = Origin{"app." + app.Name, pos}
			}
			c.writeOrigin(b, "app."+app.Name+"."+l.name, l.text(app), origin)
		}
		if app.mixes() {
			fmt.Fprintf(b, "# app.%s.body: %s  # default\n", app.Name, mixed)
		}
	}
	return b.Flush()
}

func isNothing(value string) bool {
	return value == `""` || value == "{ }" || value == "[]"
}

// noWorker says whether a setting is about workers, which no file needs.
func noWorker(r *Route, name string) bool {
	return r.App == "" && (name == "mount" || name == "sendfile" || isException(name) || isLimit(name) && name != "max_body")
}

func isFieldEdit(name string) bool {
	return strings.HasPrefix(name, "headers.") || strings.HasPrefix(name, "request_headers.")
}

// writeFields writes a key of header fields of all levels, for all of them hold.
func (c *Config) writeFields(b *bufio.Writer, r *Route, name string) {
	for _, l := range linesOf(stageKeys, "") {
		if l.name != name {
			continue
		}
		write := func(section string, s *Stages, set Set) {
			if pos, ok := set.at(name); ok {
				c.writeOrigin(b, name, l.text(s), Origin{section, pos})
			}
		}
		write("server", &c.Server.Stages, c.Server.Set)
		if a := c.App(r.App); a != nil {
			write("app."+a.Name, &a.Stages, a.Set)
		}
		write("route", &r.Stages, r.Set)
	}
}

func (c *Config) writeOrigin(b *bufio.Writer, name, value string, o Origin) {
	place := o.Section
	if o.Pos != (Pos{}) {
		place = fmt.Sprintf("%s:%d %s", c.File, o.Pos.Line, o.Section)
	}
	fmt.Fprintf(b, "%s = %s  # %s\n", name, value, place)
}
