package demo

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxForm bounds a POSTed form, in bytes; uploads have a page of their own.
const maxForm = 1 << 20

type pair struct{ Name, Value string }

func (s *site) index(w http.ResponseWriter, r *http.Request) {
	data := struct {
		Request, Header, Params []pair
		HasParams               bool
	}{
		Request: []pair{
			{"Method", r.Method},
			{"URL", s.mount(r) + r.URL.String()},
			{"Protocol", r.Proto},
			{"Host", r.Host},
			{"Remote address", r.RemoteAddr},
			{"Content-Length", lengthText(r.ContentLength)},
			{"Worker", s.Worker},
		},
		Header:    headerPairs(r.Header),
		HasParams: s.Params != nil,
	}
	if s.Params != nil {
		for name, value := range s.Params(r) {
			data.Params = append(data.Params, pair{name, value})
		}
		sortPairs(data.Params)
	}
	s.show(w, r, http.StatusOK, "index", data)
}

func lengthText(n int64) string {
	if n < 0 {
		return "not known"
	}
	return strconv.FormatInt(n, 10)
}

func headerPairs(h http.Header) []pair {
	var pairs []pair
	for name, values := range h {
		for _, v := range values {
			pairs = append(pairs, pair{name, v})
		}
	}
	sortPairs(pairs)
	return pairs
}

// sortPairs sorts by name and leaves equal names in their order.
func sortPairs(pairs []pair) {
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
}

func (s *site) form(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuseBody(w, err)
		return
	}
	data := struct {
		Method string
		Fields []pair
	}{r.Method, nil}
	for name, values := range r.Form {
		for _, v := range values {
			data.Fields = append(data.Fields, pair{name, v})
		}
	}
	sortPairs(data.Fields)
	s.show(w, r, http.StatusOK, "form", data)
}

// refuseBody answers for a body that cannot be read.
func refuseBody(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		http.Error(w, fmt.Sprintf("the body may have at most %d bytes", tooLarge.Limit), http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, "read the body: "+err.Error(), http.StatusBadRequest)
}

func (s *site) redirect(w http.ResponseWriter, r *http.Request) {
	// Not http.Redirect: the way to a mount is known here, not from the path.
	w.Header().Set("Location", (&url.URL{Path: s.mount(r) + "/"}).String())
	w.WriteHeader(http.StatusSeeOther)
}

func headers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Host: %s\n", r.Host)
	for _, p := range headerPairs(r.Header) {
		fmt.Fprintf(w, "%s: %s\n", p.Name, p.Value)
	}
}

func status(w http.ResponseWriter, r *http.Request) {
	code, ok := number(w, r, "code", 200, 200, 599)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(int(code))
	if code != http.StatusNoContent && code != http.StatusNotModified {
		fmt.Fprintf(w, "%d %s\n", code, http.StatusText(int(code)))
	}
}

// number returns the query's parameter called name, or byDefault without it.
// If it is no number from low to high, number answers 400.
func number(w http.ResponseWriter, r *http.Request, name string, byDefault, low, high int64) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return byDefault, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		http.Error(w, fmt.Sprintf("%s: allowed is a whole number from %d to %d", name, low, high), http.StatusBadRequest)
		return 0, false
	}
	return n, true
}
