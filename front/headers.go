package front

import (
	"net/http"
	"slices"
)

// Fields change the fields of a head, in order: what a more specific level of
// the configuration says comes later and has the last word.
type Fields []FieldEdit

// A FieldEdit is one change. Name is in canonical form.
type FieldEdit struct {
	Do    FieldDo
	Name  string
	Value string // "" for FieldRemove
}

// A FieldDo is a way to change a field.
type FieldDo uint8

// Ways to change a field.
const (
	FieldSet    FieldDo = iota // the one value, whatever was there
	FieldAdd                   // one value more
	FieldRemove                // no value
)

func (f Fields) edit(h http.Header) {
	for i := range f {
		switch e := &f[i]; e.Do {
		case FieldSet:
			h[e.Name] = []string{e.Value}
		case FieldAdd:
			h[e.Name] = append(slices.Clip(h[e.Name]), e.Value)
		case FieldRemove:
			delete(h, e.Name)
		}
	}
}

// RequestFields change what the application gets.
type RequestFields struct{ Fields }

func (f *RequestFields) stage(next http.Handler) http.Handler {
	if len(f.Fields) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.edit(r.Header)
		next.ServeHTTP(w, r)
	})
}

// ResponseFields change what the client gets: of every answer of the route,
// also of those that are not its application's.
type ResponseFields struct{ Fields }

func (f *ResponseFields) used() bool { return len(f.Fields) > 0 }

func (f *ResponseFields) head(_ *Exchange, h http.Header, _ int) { f.edit(h) }
