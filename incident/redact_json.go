package incident

import (
	"encoding/json"
	"strings"
)

// maxJSONWithin is how deep JSON within strings of JSON is looked into.
const maxJSONWithin = 4

// JSON returns a JSON text, or the beginning of one, without the values of
// secret names at whatever depth. What is no JSON comes back as it is, but for
// what follows a secret name in quotes.
func (r *Redactor) JSON(s string) string { return r.jsonWithin(s, maxJSONWithin) }

func (r *Redactor) jsonWithin(s string, depth int) string {
	var b strings.Builder
	c := companyInJSON(s)
	for i := 0; i < len(s); {
		if s[i] != '"' {
			b.WriteByte(s[i])
			i++
			continue
		}
		end := stringEnd(s, i)
		token := s[i:end]
		i = end
		next := skipSpace(s, i)
		if next == len(s) || s[next] != ':' {
			b.WriteString(r.jsonString(token, depth))
			continue
		}
		b.WriteString(token)
		b.WriteString(s[i : next+1])
		i = next + 1
		if value := skipSpace(s, i); r.secretMember(unquoted(token), s, value, c) {
			i = valueEnd(s, value)
			b.WriteString(`"` + Removed + `"`)
		}
	}
	return b.String()
}

// secretMember says whether the value that begins at i is not to be kept. Of one
// whose name alone does not say so only a string is looked at.
func (r *Redactor) secretMember(name, s string, i int, c company) bool {
	switch {
	case r.Secret(name):
		return true
	case i == len(s) || s[i] != '"' || len(name) > maxLinkWord:
		return false
	}
	return r.secretPair(name, unquoted(s[i:stringEnd(s, i)]), c)
}

// jsonString looks into a string that holds JSON, or anything else, itself.
func (r *Redactor) jsonString(token string, depth int) string {
	text := unquoted(token)
	clean := text
	if t := strings.TrimSpace(text); depth > 0 && (strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[")) {
		clean = r.jsonWithin(text, depth-1)
	} else {
		clean = r.Text(text)
	}
	if clean == text {
		return token
	}
	quoted, err := json.Marshal(clean)
	if err != nil {
		return `"` + Removed + `"`
	}
	return string(quoted)
}

// unquoted is what a string token says; a cut one as far as it goes.
func unquoted(token string) string {
	var s string
	if json.Unmarshal([]byte(token), &s) == nil {
		return s
	}
	if !strings.HasSuffix(token, `"`) || len(token) == 1 {
		if json.Unmarshal([]byte(token+`"`), &s) == nil {
			return s
		}
	}
	return strings.Trim(token, `"`)
}

// stringEnd returns where the string that begins at i is over.
func stringEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// valueEnd returns where the value that begins at i is over: whole, whatever
// is in it.
func valueEnd(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch c := s[i]; c {
		case '"':
			i = stringEnd(s, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}
