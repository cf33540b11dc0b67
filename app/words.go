package app

import (
	"errors"
	"fmt"
	"strings"
)

// splitWords splits a command as a POSIX shell does (Shell Command Language
// §2.2, quoting): blanks between words, '…' and "…" and \. Nothing is
// expanded: $ ` * ? ~ and # stand for themselves. An operator of the shell
// outside quotes is an error, because no shell would see it.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false // a word may be empty: ''
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
			continue
		case '|', '&', ';', '<', '>', '(', ')':
			return nil, fmt.Errorf("%q outside quotes: there is no shell here; quote it, or write exec:sh -c '...'", c)
		case '\'', '"':
			n, err := unquote(&word, s[i:])
			if err != nil {
				return nil, err
			}
			i += n - 1
		case '\\':
			if i++; i == len(s) {
				return nil, errors.New(`a lone \ at the end`)
			}
			if s[i] == '\n' {
				continue // §2.2.1: a line continuation is nothing, not even a blank
			}
			word.WriteByte(s[i])
		default:
			word.WriteByte(c)
		}
		inWord = true
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// unquote appends what the quotes at the start of s hold, and returns how
// many bytes of s that took, quotes included.
func unquote(word *strings.Builder, s string) (int, error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return i + 1, nil
		case quote == '"' && s[i] == '\\' && i+1 < len(s) && strings.IndexByte("$`\"\\\n", s[i+1]) >= 0:
			if i++; s[i] != '\n' { // §2.2.3: before other characters the \ stands for itself
				word.WriteByte(s[i])
			}
		default:
			word.WriteByte(s[i])
		}
	}
	return 0, fmt.Errorf("a %c that is never closed", quote)
}

// quoteWords writes words so that splitWords reads them back.
func quoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\r\n|&;<>()'\"\\$`*?[]~#") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}
