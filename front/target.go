package front

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A target is a path or URL with "$1" to "$9" in it, for what the groups of
// an expression took, and perhaps names such as "$host".
type target []piece

type piece struct {
	text  string // as it stands; "" for the others
	group int    // from 1
	name  string
	query bool // behind the "?": what is put in there is escaped for a query
}

func parseTarget(s string, groups int, names ...string) (target, error) {
	var t target
	query := false
	for s != "" {
		text, rest, found := strings.Cut(s, "$")
		if text != "" {
			query = query || strings.Contains(text, "?")
			t = append(t, piece{text: text, query: query})
		}
		if !found {
			break
		}
		name := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))]
		switch {
		case rest != "" && rest[0] >= '1' && rest[0] <= '9':
			n := int(rest[0] - '0')
			if n > groups {
				return nil, fmt.Errorf("$%d: the expression has %d groups", n, groups)
			}
			t = append(t, piece{group: n, query: query})
			s = rest[1:]
		case slices.Contains(names, name):
			t = append(t, piece{name: name, query: query})
			s = rest[len(name):]
		default:
			return nil, fmt.Errorf(`"$%s": a dollar sign is followed by 1 to 9%s; as itself it is written %%24`, rest, orNames(names))
		}
	}
	return t, nil
}

func orNames(names []string) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(" or " + n)
	}
	return b.String()
}

func (t target) uses(name string) bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.name == name })
}

func (t target) hasQuery() bool { return len(t) > 0 && t[len(t)-1].query }

// render puts in the groups that match, indexes of path, has found.
func (t target) render(path string, encodedSlash bool, match []int, value func(name string) string) string {
	var b strings.Builder
	for _, p := range t {
		switch {
		case p.text != "":
			b.WriteString(p.text)
		case p.name != "":
			b.WriteString(value(p.name))
		case match[2*p.group] >= 0:
			s := path[match[2*p.group]:match[2*p.group+1]]
			if p.query {
				b.WriteString(url.QueryEscape(s))
			} else {
				b.WriteString(escapePath(s, encodedSlash))
			}
		}
	}
	return b.String()
}

// escapePath escapes a part of Exchange.routePath, where an encoded slash is
// encoded still.
func escapePath(s string, encodedSlash bool) string {
	s = (&url.URL{Path: s}).EscapedPath()
	if encodedSlash {
		s = strings.ReplaceAll(s, "%252F", "%2F")
	}
	return s
}

var errNoExpression = errors.New("no expression")

// compileFrom compiles an expression for paths.
func compileFrom(s string) (*regexp.Regexp, error) {
	if s == "" {
		return nil, errNoExpression
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", s, err)
	}
	return re, nil
}
