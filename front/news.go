package front

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
)

//go:embed news.js
var newsScript string

// NewsScript has a page of an error load itself again when there is news: its
// body's data-news is the path of an event stream.
func NewsScript() template.JS { return template.JS(newsScript) }

// NewsPolicy is what a Content-Security-Policy has to allow for it.
func NewsPolicy() string {
	sum := sha256.Sum256([]byte(newsScript))
	return "connect-src 'self'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var newsPolicy = pagePolicy + "; " + NewsPolicy()

// newsFuncs are for the templates that have it.
var newsFuncs = template.FuncMap{"newsScript": NewsScript}
