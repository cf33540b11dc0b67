package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An ErrorPage is an app's own page for what frontd answers in its place.
type ErrorPage struct {
	Status int    // 400 to 599; 0 is every 5xx that has none of its own
	File   string // absolute; .html, .htm, .txt or .json
}

const errorPageDoc = `the app's own page for what frontd answers in its place: a file (.html, .txt or .json) for every 5xx, or files by status, { 503 = "busy.html" }; in it {status}, {incident} and {request} are replaced; with --dev frontd shows its own`

// errorPages is a file, or a table of them by status.
var errorPages = form[[]ErrorPage]{
	read: func(r *reader, n *node) ([]ErrorPage, error) {
		if n.kind == text {
			file, err := r.errorPage(n)
			return []ErrorPage{{0, file}}, err
		}
		if n.kind != table {
			return nil, fmt.Errorf(`%v, want a file's path, or a table: { 503 = "busy.html" }`, n.kind)
		}
		var list []ErrorPage
		for _, e := range n.entries {
			status, err := strconv.Atoi(e.name)
			if err != nil || status < 400 || status > 599 {
				r.failf(e.pos, e.value.path, "%q is no status of an error, 400 to 599", e.name)
				continue
			}
			file, err := r.errorPage(e.value)
			if err != nil {
				r.fail(e.value.pos, e.value.path, err)
				continue
			}
			list = append(list, ErrorPage{status, file})
		}
		slices.SortFunc(list, func(a, b ErrorPage) int { return a.Status - b.Status })
		return list, nil
	},
	text: func(list []ErrorPage) string {
		if len(list) == 1 && list[0].Status == 0 {
			return quote(list[0].File)
		}
		var entries []string
		for _, p := range list {
			entries = append(entries, fmt.Sprintf("%d = %s", p.Status, quote(p.File)))
		}
		if entries == nil {
			return "{ }"
		}
		return "{ " + strings.Join(entries, ", ") + " }"
	},
	schema: property{"anyOf": []property{{"type": "string"}, {"type": "object", "propertyNames": property{"pattern": "^[45][0-9][0-9]$"}, "additionalProperties": property{"type": "string"}}}},
}

func (r *reader) errorPage(n *node) (string, error) {
	file, err := path("a file's path").read(r, n)
	if err != nil {
		return "", err
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".html", ".htm", ".txt", ".json":
		return file, nil
	}
	return "", fmt.Errorf("%q: want a name that ends in .html, .htm, .txt or .json", file)
}

// PagesOf returns the error pages that hold on a route.
func (c *Config) PagesOf(r *Route) []ErrorPage {
	if a := c.App(r.App); a != nil && !r.Set.Has("error_page") {
		return a.ErrorPages
	}
	return r.ErrorPages
}
