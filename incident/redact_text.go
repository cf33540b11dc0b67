package incident

import (
	"regexp"
	"strings"
)

var (
	// A name, and behind a colon or an equals sign what it is set to: in quotes,
	// or up to the next space. The quotes may be escaped, or those of repr().
	assignment = regexp.MustCompile(`([\w.$%+\[\]-]+)(\\?["']?\]?\s*(?:=>|[:=])\s*)(?:b|u|r)?(\\?"(?:[^"\\]|\\.)*(?:"|$)|\\?'(?:[^'\\]|\\.)*(?:'|$)|[^\s,;&)}\]]+)`)
	// The same, in quotes only: source code sets names to expressions.
	literal = regexp.MustCompile(`([\w.$-]+)(["']?\]?\s*(?:=>|[:=])\s*)(?:b|u|r)?("(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$))`)
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
	s = r.assigned(assignment, s)
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
	return r.assigned(literal, r.looking(s))
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

// assigned takes out what secret names are set to.
func (r *Redactor) assigned(form *regexp.Regexp, s string) string {
	var b strings.Builder
	for s != "" {
		m := form.FindStringSubmatchIndex(s)
		if m == nil {
			break
		}
		name, end := s[m[2]:m[3]], m[1]
		if !r.Secret(name) || strings.HasPrefix(strings.TrimLeft(s[m[6]:], `\"'`), Removed) {
			end = m[6] // what it is set to may be an assignment again
			b.WriteString(s[:end])
			s = s[end:]
			continue
		}
		b.WriteString(s[:m[5]])
		b.WriteString(Removed)
		s = s[end:]
	}
	return b.String() + s
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
