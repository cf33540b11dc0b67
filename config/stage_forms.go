package config

import (
	"fmt"
	"mime"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// method is an HTTP method; a mistyped one would close a route.
var method = oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "QUERY")

// optionalPath is a path, or nothing in the place of a less specific one.
func optionalPath(want string) form[string] {
	f := path(want)
	read := f.read
	f.read = func(r *reader, n *node) (string, error) {
		if n.kind == text && n.text == "" {
			return "", nil
		}
		return read(r, n)
	}
	return f
}

// words are text that may be empty.
var words = parsed("a string", func(_ *reader, s string) (string, error) { return s, nil }, sameText)

// expression is RE2.
var expression = parsed("an expression", func(_ *reader, s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("empty, want an expression")
	}
	if _, err := regexp.Compile(s); err != nil {
		return "", fmt.Errorf("%q is not an expression: %w", s, err)
	}
	return s, nil
}, sameText)

// maxAge is a time in whole seconds, or unset.
var maxAge = func() form[time.Duration] {
	f := duration(0)
	read := f.read
	f.read = func(r *reader, n *node) (time.Duration, error) {
		d, err := read(r, n)
		if err == nil && d%time.Second != 0 {
			return 0, fmt.Errorf("%q: caches count in whole seconds", formatDuration(d))
		}
		return d, err
	}
	f.text = func(d time.Duration) string {
		if d == unset {
			return `""`
		}
		return quote(formatDuration(d))
	}
	return f
}()

// mediaType is "type/subtype", with parameters, or "type/*".
var mediaType = parsed(`a type such as "text/html"`, func(_ *reader, s string) (string, error) {
	if t, _, err := mime.ParseMediaType(s); err != nil || !strings.Contains(t, "/") {
		return "", fmt.Errorf(`%q is not a type such as "text/html" or "text/*"`, s)
	}
	return s, nil
}, sameText)

// webOrigin is a scheme and a host, or "*".
var webOrigin = parsed(`an origin such as "https://app.example.com"`, func(_ *reader, s string) (string, error) {
	u, err := url.Parse(s)
	if s != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != strings.ToLower(s)) {
		return "", fmt.Errorf(`%q is not an origin: want "https://app.example.com", without a path, or "*"`, s)
	}
	return strings.ToLower(s), nil
}, sameText)

// urlFile is a path of a file in a root.
var urlFile = parsed(`a path such as "/index.html"`, func(_ *reader, s string) (string, error) {
	if s == "" {
		return s, nil // none
	}
	if !strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") || strings.ContainsAny(s, "?#\\") ||
		slices.ContainsFunc(strings.Split(s[1:], "/"), func(seg string) bool { return seg == "" || strings.HasPrefix(seg, ".") }) {
		return "", fmt.Errorf(`%q is not a file's path below root, such as "/index.html"`, s)
	}
	return s, nil
}, sameText)

// redirectStatus is one of those that a Location goes with.
var redirectStatus = func() form[int] {
	f := count(301, 308)
	read := f.read
	f.read = func(r *reader, n *node) (int, error) {
		v, err := read(r, n)
		if err == nil && v != 301 && v != 302 && v != 303 && v != 307 && v != 308 {
			return 0, fmt.Errorf("%d, want 301, 302, 303, 307 or 308", v)
		}
		return v, err
	}
	f.text = func(v int) string { return strconv.Itoa(v) }
	f.schema = fromEnv(property{"type": "integer", "enum": []int{301, 302, 303, 307, 308}})
	return f
}()

// framing are the fields that belong to a connection or to a body's framing:
// changed alone they would break the message (RFC 9112 §6).
var framing = []string{
	"Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Host",
}

func checkFieldName(s string) (string, error) {
	bad := func(c rune) bool { return !isWord(c) && c != '-' || c == '_' }
	if s == "" || strings.ContainsFunc(s, bad) {
		return "", fmt.Errorf("%q is not a field's name: letters, digits and -", s)
	}
	name := textproto.CanonicalMIMEHeaderKey(s)
	if slices.Contains(framing, name) {
		return "", fmt.Errorf("%s is not to be changed: the server makes it of what it does", name)
	}
	return name, nil
}

// fieldName is the name of a header field.
var fieldName = parsed("a field's name", func(_ *reader, s string) (string, error) { return checkFieldName(s) }, sameText)

// fieldPattern is a field's name, or "*".
var fieldPattern = parsed(`a field's name, or "*"`, func(_ *reader, s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	return checkFieldName(s)
}, sameText)

// fieldTable is a table of header fields.
var fieldTable = form[[]Variable]{
	read: func(r *reader, n *node) ([]Variable, error) {
		if n.kind != table {
			return nil, fmt.Errorf(`%v, want a table: { Name = "value" }`, n.kind)
		}
		var fields []Variable
		for _, e := range n.entries {
			name, err := checkFieldName(e.name)
			if err != nil {
				r.fail(e.pos, e.value.path, err)
				continue
			}
			v, err := r.variable(e)
			switch {
			case err != nil:
				r.fail(e.value.pos, e.value.path, err)
			case strings.ContainsFunc(v.Value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
				r.failf(e.value.pos, e.value.path, "a control character in a field's value")
			case slices.ContainsFunc(fields, func(f Variable) bool { return f.Name == name }):
				r.failf(e.pos, e.value.path, "%s twice", name)
			default:
				v.Name = name
				fields = append(fields, v)
			}
		}
		return fields, nil
	},
	text: environment.text,
	schema: property{
		"type":                 "object",
		"propertyNames":        property{"pattern": "^[A-Za-z0-9-]+$"},
		"additionalProperties": property{"type": "string"},
	},
}
