package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	if data == empty {
		return map[string]string{}, nil
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

// formatObject writes the keys in order.
func formatObject(keys map[string]string) string {
	b := []byte{'{'}
	for i, k := range slices.Sorted(maps.Keys(keys)) {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(k) // of a string: never an error
		b = appendASCII(b, string(name))
		b = append(append(b, ':'), keys[k]...)
	}
	return string(append(b, '}'))
}
