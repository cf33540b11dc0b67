package config

import (
	"errors"
	"strings"
)

// SplitCommand splits a command into words at spaces and tabs. A part in
// single quotes is literal; in double quotes, a backslash escapes a double
// quote or a backslash; elsewhere it escapes any character. Nothing is
// expanded: no shell is involved.
func SplitCommand(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case '\'', '"':
			n := quoted(&word, s[i+1:], c)
			if n < 0 {
				return nil, errors.New("a quote without its end")
			}
			i += n
			inWord = true
		case '\\':
			if i++; i == len(s) {
				return nil, errors.New("a backslash at the end")
			}
			word.WriteByte(s[i])
			inWord = true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quoted takes s up to and with the closing quote, and returns how long that
// is, -1 if it does not end.
func quoted(word *strings.Builder, s string, quote byte) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return i + 1
		case c == '\\' && quote == '"' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			word.WriteByte(s[i])
		default:
			word.WriteByte(c)
		}
	}
	return -1
}
