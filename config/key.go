package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// A key is one setting of a table that is read into an S. The tables of keys
// are the one source of what the file may hold: reading, "config show" and
// the JSON Schema all walk them.
type key[S any] struct {
	name     string
	doc      string
	required bool
	read     func(r *reader, n *node, into *S)
	text     func(from *S) string // as TOML; nil for a table
	inner    func(path string) []line[S]
	schema   func(from *S) property
	// copySet copies the value of what set has.
	copySet func(to, from *S, set Set)
}

// A line is one setting to print.
type line[S any] struct {
	name string // dotted
	text func(from *S) string
}

// field is a key with a value.
func field[S, T any](name string, f form[T], doc string, at func(*S) *T) key[S] {
	return key[S]{
		name: name,
		doc:  doc,
		read: func(r *reader, n *node, into *S) {
			v, err := f.read(r, n)
			if err != nil {
				r.fail(n.pos, n.path, err)
				return
			}
			*at(into) = v
		},
		text: func(from *S) string { return f.text(*at(from)) },
		schema: func(from *S) property {
			p := maps.Clone(f.schema)
			if v := *at(from); !reflect.ValueOf(v).IsZero() {
				p["default"] = json.RawMessage(f.text(v)) // what TOML writes of these is JSON too
			}
			return p
		},
		copySet: func(to, from *S, set Set) {
			if set.Has(name) {
				*at(to) = *at(from)
			}
		},
	}
}

// inner is a key whose value is a table with keys of its own.
func inner[S, U any](name, doc string, keys []key[U], at func(*S) *U) key[S] {
	return key[S]{
		name: name,
		doc:  doc,
		read: func(r *reader, n *node, into *S) {
			if n.kind != table {
				r.failf(n.pos, n.path, "%v, want a table with %s", n.kind, strings.Join(keyNames(keys), ", "))
				return
			}
			readTable(r, n, keys, at(into))
		},
		inner: func(path string) []line[S] {
			var lines []line[S]
			for _, l := range linesOf(keys, path+".") {
				lines = append(lines, line[S]{l.name, func(from *S) string { return l.text(at(from)) }})
			}
			return lines
		},
		schema: func(from *S) property { return objectSchema(keys, at(from)) },
		copySet: func(to, from *S, set Set) {
			under := Set{}
			for k, pos := range set {
				if rest, ok := strings.CutPrefix(k, name+"."); ok {
					under[rest] = pos
				}
			}
			for _, k := range keys {
				k.copySet(at(to), at(from), under)
			}
		},
	}
}

// lift makes keys of a part of S into keys of S.
func lift[S, U any](keys []key[U], at func(*S) *U) []key[S] {
	var lifted []key[S]
	for _, k := range keys {
		l := key[S]{
			name: k.name, doc: k.doc, required: k.required,
			read:    func(r *reader, n *node, into *S) { k.read(r, n, at(into)) },
			schema:  func(from *S) property { return k.schema(at(from)) },
			copySet: func(to, from *S, set Set) { k.copySet(at(to), at(from), set) },
		}
		if k.text != nil {
			l.text = func(from *S) string { return k.text(at(from)) }
		}
		if k.inner != nil {
			l.inner = func(path string) []line[S] {
				var lines []line[S]
				for _, in := range k.inner(path) {
					lines = append(lines, line[S]{in.name, func(from *S) string { return in.text(at(from)) }})
				}
				return lines
			}
		}
		lifted = append(lifted, l)
	}
	return lifted
}

// linesOf returns the settings of a table and of those within it.
func linesOf[S any](keys []key[S], prefix string) []line[S] {
	var lines []line[S]
	for _, k := range keys {
		if k.inner != nil {
			lines = append(lines, k.inner(prefix+k.name)...)
		} else {
			lines = append(lines, line[S]{prefix + k.name, k.text})
		}
	}
	return lines
}

// must marks a key that the table cannot do without.
func must[S any](k key[S]) key[S] {
	k.required = true
	return k
}

// readTable reads every entry of n by its key. What it sets is noted in r.set.
func readTable[S any](r *reader, n *node, keys []key[S], into *S) {
	for _, e := range n.entries {
		k := find(keys, e.name)
		if k == nil {
			r.unknown(e, keyNames(keys))
			continue
		}
		r.mark(e)
		k.read(r, e.value, into)
	}
	for _, k := range keys {
		if k.required && n.get(k.name) == nil && !r.broken {
			r.failf(n.pos, n.path, "%s is missing: %s", k.name, k.doc)
		}
	}
}

func find[S any](keys []key[S], name string) *key[S] {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

func keyNames[S any](keys []key[S]) []string {
	var list []string
	for _, k := range keys {
		list = append(list, k.name)
	}
	return list
}

// unknown reports a key that the table does not have.
func (r *reader) unknown(e entry, allowed []string) {
	hint := didYouMean(e.name, allowed)
	if where := r.homes[e.name]; hint == "" && where != "" {
		hint = ", it belongs to " + where
	}
	r.failf(e.pos, e.value.path, "unknown key%s; allowed here: %s", hint, strings.Join(allowed, ", "))
}

// didYouMean returns a hint at the nearest of the words, if one is near.
func didYouMean[T ~string](s string, words []T) string {
	best, nearest := 1+len(s)/3, "" // a third of the letters may be wrong
	for _, w := range words {
		if d := distance(s, string(w)); d <= best && d > 0 && (nearest == "" || d < best) {
			best, nearest = d, string(w)
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", nearest)
}

// distance is Levenshtein's: how many letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
