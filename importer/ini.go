package importer

import (
	"bufio"
	"bytes"
	"strings"
)

// A setting is one line of an ini file.
type setting struct {
	section    string
	key, value string
	line       int
}

// readINI reads the form that uWSGI and php-fpm share: sections, "key = value",
// ";" and "#" begin a comment line. Quotes around a whole value are php-fpm's.
func readINI(src []byte, unquote bool) ([]setting, error) {
	if len(src) > MaxSource {
		return nil, &SyntaxError{Text: "larger than any configuration: 4 MiB are read"}
	}
	var list []setting
	section := ""
	sc := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))))
	sc.Buffer(nil, MaxSource)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		switch {
		case line == "" || line[0] == ';' || line[0] == '#':
			continue
		case line[0] == '[':
			name, _, ok := strings.Cut(line[1:], "]")
			if !ok {
				return nil, &SyntaxError{Line: n, Text: "a section without its ]"}
			}
			section = strings.TrimSpace(name)
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); key == "" {
			return nil, &SyntaxError{Line: n, Text: "a value without a name"}
		}
		value = strings.TrimSpace(value)
		if !found {
			value = "true" // uWSGI: an option alone is set
		}
		if unquote {
			value = unquoted(value)
		}
		list = append(list, setting{section: section, key: key, value: value, line: n})
	}
	return list, sc.Err()
}

// unquoted takes a value's quotes, or the comment behind it, away. As in PHP a
// comment begins anywhere outside of quotes: "10s;" is what php-fpm's own file has.
func unquoted(v string) string {
	quote, escaped := byte(0), false
	for i := range len(v) {
		switch c := v[i]; {
		case escaped:
			escaped = false
		case c == '\\' && quote == '"':
			escaped = true
		case quote != 0 && c == quote:
			if quote = 0; v[0] == c {
				return strings.ReplaceAll(v[1:i], `\"`, `"`)
			}
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && c == ';':
			return strings.TrimSpace(v[:i])
		}
	}
	return v
}
