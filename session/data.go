package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// empty is a session without keys.
const empty = "{}"

// canonical returns JSON as it is stored: compact, and in ASCII, so that no
// language's idea of a variable's encoding changes it.
func canonical(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errors.New("the value is not UTF-8")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return "", fmt.Errorf("the value is not JSON: %w", err)
	}
	return string(appendASCII(nil, compact.String())), nil
}

// appendASCII escapes what is not ASCII, which in JSON stands in strings only
// (RFC 8259 §7), and DEL, which no header or log is to carry.
func appendASCII(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r < 0x7f:
			dst = append(dst, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return dst
}

func parseObject(data string) (map[string]string, error) {
	if keys := scanObject(data); keys != nil {
		return keys, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(data), &raw); err != nil {
		return nil, fmt.Errorf("session: what is stored is no JSON object: %w", err)
	}
	keys := make(map[string]string, len(raw))
	for k, v := range raw {
		keys[k] = string(v)
	}
	return keys, nil
}

// scanObject reads what formatObject writes, and returns nil for what takes
// more: keys with escapes, white space, no JSON. encoding/json takes a tenth of
// the time of a whole commit for it.
func scanObject(s string) map[string]string {
	if len(s) < len(empty) || s[0] != '{' || s[len(s)-1] != '}' {
		return nil
	}
	keys := make(map[string]string, 8)
	for s = s[1:]; s != "}" || len(keys) > 0; {
		if s[0] != '"' {
			return nil
		}
		end := strings.IndexAny(s[1:], `"\`) + 1
		if end < 1 || s[end] != '"' || end+1 == len(s) || s[end+1] != ':' {
			return nil
		}
		key := s[1:end]
		s = s[end+2:]
		n := valueEnd(s)
		if n <= 0 || s[0] <= ' ' || s[n-1] <= ' ' || !plainKey(key) || !json.Valid([]byte(s[:n])) {
			return nil
		}
		keys[key] = s[:n]
		if s[n:] == "}" {
			return keys
		}
		if s = s[n:]; s[0] != ',' || len(s) == 1 {
			return nil
		}
		s = s[1:]
	}
	return keys
}

// valueEnd is where the value is over that s begins with, if it is one; -1
// where s ends before.
func valueEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// formatObject writes the keys in order.
func formatObject(keys map[string]string) string {
	names, size := make([]string, 0, len(keys)), len(empty)
	for k, v := range keys {
		names = append(names, k)
		size += len(k) + len(v) + len(`"":,`)
	}
	slices.Sort(names)
	b := append(make([]byte, 0, size), '{')
	for i, k := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(appendKey(b, k), ':'), keys[k]...)
	}
	return string(append(b, '}'))
}

func appendKey(b []byte, k string) []byte {
	if !plainKey(k) {
		name, _ := json.Marshal(k) // of a string: never an error
		return appendASCII(b, string(name))
	}
	return append(append(append(b, '"'), k...), '"')
}

// plainKey says whether a key stands in JSON as it is.
func plainKey(k string) bool {
	for i := range len(k) {
		if c := k[i]; c < ' ' || c >= 0x7f || strings.IndexByte(`"\<>&`, c) >= 0 {
			return false
		}
	}
	return true
}
