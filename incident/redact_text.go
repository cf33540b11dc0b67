package incident

import (
	"regexp"
	"strings"
)

var (
	// A name, maybe in quotes, which may be escaped, and what sets it to a value.
	assignment = regexp.MustCompile(`([\w.$%+\[\]-]+)(\\?["']?\]?\s*(?:=>|[:=])\s*)`)
	// A whole header line of credentials, with more than one word.
	credentials = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|cookie|set-cookie)(["']?\s*[:=]\s*["']?)[^\r\n"']+`)
	schemes     = regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate)(\s+)[A-Za-z0-9+/._~=-]{8,}`)
	userinfo    = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]{1,20}://)[^/\s@"'<>]+@`)
	element     = regexp.MustCompile(`<([\w:.-]+)([^<>]*)>([^<]+)</`)
	// Secrets known by their looks: JSON Web Tokens, cloud and forge keys.
	looks = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}|\bsk_(?:live|test)_\w{8,}`)
	pem   = regexp.MustCompile(`(?s)-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)
	digit = regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)
)

// Text returns free text, as a log line or a message, without what looks like
// a secret.
func (r *Redactor) Text(s string) string {
	if s == "" {
		return s
	}
	s = r.looking(s)
	s = credentials.ReplaceAllString(s, "${1}${2}"+Removed)
	s = schemes.ReplaceAllString(s, "${1}${2}"+Removed)
	s = r.assigned(s, false)
	if strings.Contains(s, "</") {
		s = element.ReplaceAllStringFunc(s, func(m string) string {
			p := element.FindStringSubmatch(m)
			if !r.Secret(p[1]) {
				return m
			}
			return "<" + p[1] + p[2] + ">" + Removed + "</"
		})
	}
	return s
}

// Code returns a line of source without the literals that look like secrets.
func (r *Redactor) Code(s string) string {
	return r.assigned(r.looking(s), true)
}

func (r *Redactor) looking(s string) string {
	s = pem.ReplaceAllString(s, Removed)
	s = looks.ReplaceAllString(s, Removed)
	s = userinfo.ReplaceAllString(s, "${1}"+Removed+"@")
	return digit.ReplaceAllStringFunc(s, func(m string) string {
		if luhn(m) {
			return Removed
		}
		return m
	})
}

// assigned takes out what secret names are set to: all of it, or only what is
// in quotes, as source code sets names to expressions.
func (r *Redactor) assigned(s string, quoted bool) string {
	var b strings.Builder
	done := 0
	for _, m := range assignment.FindAllStringSubmatchIndex(s, -1) {
		if m[0] < done || !r.Secret(s[m[2]:m[3]]) {
			continue
		}
		n := valueLength(s[m[1]:], quoted)
		if n == 0 {
			continue
		}
		b.WriteString(s[done:m[1]])
		b.WriteString(Removed)
		done = m[1] + n
	}
	return b.String() + s[done:]
}

// valueLength is how far the value reaches that s begins with: to the quote at
// its end, or to where a word ends. 0: there is none, or it was removed before.
func valueLength(s string, quoted bool) int {
	if strings.HasPrefix(strings.TrimLeft(s, `\"'`), Removed) {
		return 0
	}
	i := 0
	if len(s) > 1 && strings.IndexByte("bur", s[0]) >= 0 && (s[1] == '"' || s[1] == '\'') {
		i = 1
	}
	escaped := strings.HasPrefix(s[i:], `\`)
	if escaped {
		i++
	}
	if i < len(s) && (s[i] == '"' || s[i] == '\'') {
		quote := s[i]
		for i++; i < len(s); i++ {
			switch {
			case s[i] == '\\' && escaped && i+1 < len(s) && s[i+1] == quote:
				return i + 2
			case s[i] == '\\':
				i++
			case s[i] == quote:
				return i + 1
			}
		}
		return len(s)
	}
	if quoted {
		return 0
	}
	if n := strings.IndexAny(s, " \t\r\n,;&)}]"); n >= 0 {
		return n
	}
	return len(s)
}

// luhn says whether digits are a payment card's number (ISO/IEC 7812-1 annex B).
func luhn(s string) bool {
	sum, n := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= 13 && sum%10 == 0 && sum > 0
}
