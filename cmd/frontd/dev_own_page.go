package main

import (
	"html"
	"io"
	"mime"
	"net/http"
	"strconv"
)

// A refreshing has an application's own page of an exception, as Django's with DEBUG,
// load itself again when a change of the files has been tried, as frontd's pages do: a
// script of its own is added behind the page. A page with a Content-Security-Policy,
// which may forbid it, and one that is encoded stay as they are.
type refreshing struct {
	http.ResponseWriter
	news  string // where to hear of it
	added string // what goes behind the answer
}

// Unwrap is for http.ResponseController.
func (w *refreshing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *refreshing) WriteHeader(status int) {
	h := w.Header()
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if status == http.StatusInternalServerError && kind == "text/html" &&
		h.Get("Content-Security-Policy") == "" && h.Get("Content-Encoding") == "" {
		w.added = `<script data-news="` + html.EscapeString(w.news) +
			`">new EventSource(document.currentScript.dataset.news).onmessage = () => location.reload();</script>` + "\n"
		if n, err := strconv.Atoi(h.Get("Content-Length")); err == nil {
			h.Set("Content-Length", strconv.Itoa(n+len(w.added)))
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// end completes an answer that came to its end.
func (w *refreshing) end() {
	if w.added != "" {
		io.WriteString(w.ResponseWriter, w.added) // a browser that left meanwhile is no news
	}
}
