package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Handlers say what files are, by extension: ".py" -> "wsgi". HandlerStatic and
// HandlerOff are no kinds of app.
type Handlers map[string]string

// What a file of a folder may be beside a kind of app.
const (
	HandlerStatic = "static" // sent as it is
	HandlerOff    = "off"    // neither run nor sent: 404
)

// DefaultHandlers are those of a folder that says nothing else.
func DefaultHandlers() Handlers {
	return Handlers{".cgi": string(KindCGI), ".php": string(KindPHP), ".py": string(KindWSGI)}
}

// Over returns base with h's own in the place of base's.
func (h Handlers) Over(base Handlers) Handlers {
	all := maps.Clone(base)
	maps.Copy(all, h)
	return all
}

// handlerWords are all that an extension may be.
var handlerWords = []string{string(KindWSGI), string(KindCGI), string(KindPHP), HandlerStatic, HandlerOff}

var handlers = form[Handlers]{
	read: func(r *reader, n *node) (Handlers, error) {
		if n.kind != table {
			return nil, fmt.Errorf(`%v, want a table: { ".py" = "wsgi" }`, n.kind)
		}
		h, word := Handlers{}, oneOf(handlerWords...)
		for _, e := range n.entries {
			if err := checkExtension(e.name); err != nil {
				r.failf(e.pos, e.value.path, "%v", err)
				continue
			}
			v, err := word.read(r, e.value)
			if err != nil {
				r.fail(e.value.pos, e.value.path, err)
				continue
			}
			h[e.name] = v
		}
		return h, nil
	},
	text: func(h Handlers) string {
		var list []string
		for _, ext := range slices.Sorted(maps.Keys(h)) {
			list = append(list, quote(ext)+" = "+quote(h[ext]))
		}
		if list == nil {
			return "{ }"
		}
		return "{ " + strings.Join(list, ", ") + " }"
	},
	schema: property{
		"type":                 "object",
		"propertyNames":        property{"pattern": `^\\.[^./\\\\]+$`},
		"additionalProperties": property{"type": "string", "enum": handlerWords},
	},
}

// Fallback is the file or program, below a route's folder or its app's, for
// paths that have none. Empty: none.
func (c *Config) Fallback(r *Route) string {
	if a := c.App(r.App); a != nil && !r.Set.Has("fallback") {
		return a.fallback()
	}
	return r.Fallback
}

func (a *App) fallback() string {
	if !a.Set.Has("fallback") && (a.Kind == KindPHP || a.Kind == KindFCGI && a.Set.Has("directory")) {
		return "/index.php"
	}
	return a.Fallback
}

// extension is the end of a file's name.
var extension = parsed(`an extension such as ".php"`, func(_ *reader, s string) (string, error) {
	return s, checkExtension(s)
}, sameText)

func checkExtension(s string) error {
	name, dot := strings.CutPrefix(s, ".")
	if !dot || name == "" {
		return fmt.Errorf("%q is no extension; want a dot and letters, such as \".py\"", s)
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`./\%`, c) }) {
		return errors.New(quote(s) + ": one dot at the beginning, and no slash, space or % in it")
	}
	return nil
}
