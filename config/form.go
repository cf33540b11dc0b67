package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A property is the JSON Schema of a value.
type property map[string]any

// A form is how a value is written in the file: read checks and takes it,
// text writes it back, schema tells editors.
type form[T any] struct {
	read   func(r *reader, n *node) (T, error)
	text   func(T) string
	schema property
}

// str returns the string at n with its variables expanded.
func (r *reader) str(n *node, want string) (string, error) {
	if n.kind != text {
		return "", fmt.Errorf("%v, want %s", n.kind, want)
	}
	s, err := expand(n.text, r.env)
	if err == nil && strings.IndexByte(s, 0) >= 0 {
		err = errors.New("a NUL in a string")
	}
	return s, err
}

// scalar returns an integer or a boolean as text. It may also be a string
// that takes it from the environment.
func (r *reader) scalar(n *node, kind nodeKind, want string) (string, error) {
	if n.kind == kind {
		return n.text, nil
	}
	if n.kind == text && strings.Contains(n.text, "${") {
		return r.str(n, want)
	}
	return "", fmt.Errorf("%v, want %s", n.kind, want)
}

// fromEnv lets a schema take "${NAME}" where the value is not a string.
func fromEnv(p property) property {
	return property{"anyOf": []property{p, {"type": "string", "pattern": `\$\{`}}}
}

// parsed is a string with a syntax of its own.
func parsed[T any](want string, parse func(r *reader, s string) (T, error), text func(T) string) form[T] {
	return form[T]{
		read: func(r *reader, n *node) (T, error) {
			s, err := r.str(n, want)
			if err != nil {
				var zero T
				return zero, err
			}
			return parse(r, s)
		},
		text:   func(v T) string { return literal(text(v)) },
		schema: property{"type": "string"},
	}
}

// anyText is a string that is not empty.
func anyText(want string) form[string] {
	return parsed(want, func(_ *reader, s string) (string, error) {
		if s == "" {
			return "", fmt.Errorf("empty, want %s", want)
		}
		return s, nil
	}, func(s string) string { return s })
}

// path is a file or folder; a relative one is beside the configuration file.
func path(want string) form[string] {
	f := anyText(want)
	read := f.read
	f.read = func(r *reader, n *node) (string, error) {
		s, err := read(r, n)
		if err != nil {
			return "", err
		}
		return r.absolute(s), nil
	}
	return f
}

// oneOf is one of a few words.
func oneOf[T ~string](words ...T) form[T] {
	list := quoteList(words)
	f := parsed("one of "+list, func(_ *reader, s string) (T, error) {
		if !slices.Contains(words, T(s)) {
			return "", fmt.Errorf("%q is not one of %s%s", s, list, didYouMean(s, words))
		}
		return T(s), nil
	}, func(v T) string { return string(v) })
	f.schema = property{"type": "string", "enum": words}
	return f
}

var yesNo = form[bool]{
	read: func(r *reader, n *node) (bool, error) {
		s, err := r.scalar(n, boolean, "true or false")
		if err != nil {
			return false, err
		}
		if s != "true" && s != "false" {
			return false, fmt.Errorf("%q, want true or false", s)
		}
		return s == "true", nil
	},
	text:   strconv.FormatBool,
	schema: fromEnv(property{"type": "boolean"}),
}

// count is an integer from low to high.
func count(low, high int64) form[int] {
	want := fmt.Sprintf("an integer from %d to %d", low, high)
	return form[int]{
		read: func(r *reader, n *node) (int, error) {
			s, err := r.scalar(n, integer, want)
			if err != nil {
				return 0, err
			}
			v, err := parseInteger(s)
			if err != nil || v < low || v > high {
				return 0, fmt.Errorf("%s, want %s", s, want)
			}
			return int(v), nil
		},
		text:   strconv.Itoa,
		schema: fromEnv(property{"type": "integer", "minimum": low, "maximum": high}),
	}
}

// parseInteger reads an integer as TOML has it: 1_000, 0x10, 0o17, 0b1.
func parseInteger(s string) (int64, error) {
	digits := strings.TrimLeft(s, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return 0, errors.New("a leading zero") // Go would read an octal number
	}
	return strconv.ParseInt(s, 0, 64)
}

const wantDuration = `a duration such as "30s", "1m30s" or "250ms"`

// maxDuration keeps sums of durations and of points in time far from overflow.
const maxDuration = 365 * 24 * time.Hour

// duration is a time of at least low.
func duration(low time.Duration) form[time.Duration] {
	f := parsed(wantDuration, func(_ *reader, s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		switch {
		case err != nil:
			return 0, fmt.Errorf("%q is not %s", s, wantDuration)
		case d < low:
			return 0, fmt.Errorf("%q is too short, at least %q", s, formatDuration(low))
		case d > maxDuration:
			return 0, fmt.Errorf("%q is too long, at most %q", s, formatDuration(maxDuration))
		}
		return d, nil
	}, formatDuration)
	f.schema = property{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^\+?0$|\$\{`}
	return f
}

// formatDuration is Duration.String without the zeros at its end: "1m0s" is "1m".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

const wantSize = `a size such as "64KiB", "300MiB" or "1GB", or a number of bytes`

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"B", 1}, {"", 1},
}

// size is a number of bytes from 0.
var size = form[int64]{
	read: func(r *reader, n *node) (int64, error) {
		if n.kind == integer {
			v, err := parseInteger(n.text)
			if err != nil || v < 0 {
				return 0, fmt.Errorf("%s, want %s", n.text, wantSize)
			}
			return v, nil
		}
		s, err := r.str(n, wantSize)
		if err != nil {
			return 0, err
		}
		return parseSize(s)
	},
	text: formatSize,
	schema: property{"anyOf": []property{
		{"type": "integer", "minimum": 0},
		{"type": "string", "pattern": `^[0-9]+ ?([KMGT]i?B|kB|B)?$|\$\{`},
	}},
}

func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGTkiB ")
	unit := strings.TrimPrefix(s[len(digits):], " ")
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not %s", s, wantSize)
	}
	for _, u := range sizeUnits {
		if u.name != unit {
			continue
		}
		if int64(n) > math.MaxInt64/u.bytes {
			return 0, fmt.Errorf("%q is too large", s)
		}
		return int64(n) * u.bytes, nil
	}
	return 0, fmt.Errorf("%q: no unit %q; want KiB, MiB, GiB, TiB (of 1024) or kB, MB, GB, TB (of 1000)", s, unit)
}

// formatSize writes n in the largest unit that divides it.
func formatSize(n int64) string {
	for _, u := range []int{3, 2, 1, 0, 8, 7, 6, 4} {
		if unit := sizeUnits[u]; n >= unit.bytes && n%unit.bytes == 0 {
			return quote(strconv.FormatInt(n/unit.bytes, 10) + unit.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// list is a list of values, none of them twice.
func list[T comparable](item form[T]) form[[]T] {
	return form[[]T]{
		read: func(r *reader, n *node) ([]T, error) {
			if n.kind != array {
				return nil, fmt.Errorf("%v, want a list: [ … ]", n.kind)
			}
			values := make([]T, 0, len(n.items))
			for _, in := range n.items {
				v, err := item.read(r, in)
				switch {
				case err != nil:
					r.fail(in.pos, n.path, err)
				case slices.Contains(values, v):
					r.failf(in.pos, n.path, "%s twice", item.text(v))
				default:
					values = append(values, v)
				}
			}
			return values, nil
		},
		text: func(values []T) string {
			texts := make([]string, len(values))
			for i, v := range values {
				texts[i] = item.text(v)
			}
			return "[" + strings.Join(texts, ", ") + "]"
		},
		schema: property{"type": "array", "items": item.schema, "uniqueItems": true},
	}
}

// literal writes a string that reads back as s: nothing in it is expanded.
func literal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '$' && i+1 < len(s) && (s[i+1] == '$' || s[i+1] == '{') {
			b.WriteByte('$')
		}
		b.WriteByte(s[i])
	}
	return quote(b.String())
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func quoteList[T ~string](words []T) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(string(w))
	}
	return strings.Join(quoted, ", ")
}
