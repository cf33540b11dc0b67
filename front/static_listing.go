package front

import (
	"bytes"
	"cmp"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"time"
)

// maxListing bounds the names of a listing; a folder with more says so.
const maxListing = 10_000

var listingTemplate = template.Must(template.New("listing").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Path}}</title>
<style>:root{color-scheme:light dark}body{font:1rem/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.25rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}td{padding:.1rem .5rem;overflow-wrap:anywhere}
td+td{text-align:right;white-space:nowrap;opacity:.75;font-variant-numeric:tabular-nums}</style></head>
<body><h1>{{.Path}}</h1><table>
{{if .Up}}<tr><td><a href="../">../</a></td><td></td><td></td></tr>
{{end}}{{range .Items}}<tr><td><a href="{{.Link}}">{{.Name}}</a></td><td>{{.Size}}</td><td>{{.When}}</td></tr>
{{end}}</table>{{if .More}}<p>There are more.</p>{{end}}</body></html>
`))

type listing struct {
	Path     string
	Up, More bool
	Items    []listed
}

type listed struct {
	Name, Size, When string
	Link             string
	folder           bool
}

// list shows a folder: folders first, by name. What would not be served is not
// named: hidden files, links out of the root, sockets and the like.
func (s *Static) list(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		Fail(w, r, MethodNotAllowed, r.Method+" on a folder")
		return
	}
	f, err := s.root.Open(name)
	if err != nil {
		failFile(w, r, err)
		return
	}
	defer f.Close()
	entries, err := f.ReadDir(maxListing + 1)
	if err != nil && len(entries) == 0 && fileCause(err) == Internal {
		failFile(w, r, err)
		return
	}
	l := listing{Path: ExchangeOf(r).Path, Up: name != ".", More: len(entries) > maxListing}
	for _, e := range entries[:min(len(entries), maxListing)] {
		if info, err := s.root.Stat(path.Join(name, e.Name())); err == nil && e.Name()[0] != '.' {
			l.add(e.Name(), info)
		}
	}
	slices.SortFunc(l.Items, func(a, b listed) int {
		if a.folder != b.folder {
			return map[bool]int{true: -1, false: 1}[a.folder]
		}
		return cmp.Compare(a.Name, b.Name)
	})
	l.write(w, r)
}

func (l *listing) add(name string, info fs.FileInfo) {
	item := listed{Name: name, When: info.ModTime().UTC().Format(time.DateTime)}
	switch {
	case info.IsDir():
		item.Name, item.folder = name+"/", true
	case info.Mode().IsRegular():
		item.Size = strconv.FormatInt(info.Size(), 10)
	default:
		return
	}
	// "./" before it, or "a:b" would be a scheme.
	item.Link = "./" + (&url.URL{Path: item.Name}).EscapedPath()
	l.Items = append(l.Items, item)
}

func (l *listing) write(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if err := listingTemplate.Execute(&body, l); err != nil {
		Fail(w, r, Internal, err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(body.Bytes()) // a client that left meanwhile is no news here
	}
}
