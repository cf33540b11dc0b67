package incident

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// A name, maybe in quotes, which may be escaped, and what sets it to a value;
	// or, as pairs are printed, two texts in quotes beside each other.
	assignment = regexp.MustCompile(`([\w\x{80}-\x{10ffff}.$%+\[\]-]+)(\\?["']?\]?\s*(?:=>|->|[:=]=?=?)\s*)`)
	pairing    = regexp.MustCompile(`([\w\x{80}-\x{10ffff}.$%+\[\]-]+)(\\?["']\s*,\s*)`)
	// A whole header line of credentials, with more than one word.
	credentials = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|cookie|set-cookie)(["']?\s*[:=]\s*["']?)[^\r\n"']+`)
	schemes     = regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate)(\s+)[A-Za-z0-9+/._~=-]{8,}`)
	userinfo    = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]{1,20}://)(?:[^/\s"'<>]+|[^/\s:@"'<>]*:[^\s"'<>@]+)@`)
	// Secrets known by their looks: JSON Web Tokens
	// (RFC 7519; encrypted ones have five parts, of which one may be empty, RFC 7516 §7.1;
	// Django's and Flask's signed values begin alike), cloud and forge keys, hooks.
	looks = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}(?:[.:][A-Za-z0-9_-]*){1,4}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}|\b[sr]k_(?:live|test)_\w{8,}|\bsk-[\w-]{20,}|\bAIza[\w-]{35}|\bya29\.[\w-]{20,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w-]{30,}|\bwhsec_\w{16,}|\bhooks\.slack\.com/[\w/-]{10,}|/bot\d+:[\w-]{30,}`)
	pem   = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|$)`)
	// The end of one whose beginning was cut off.
	pemEnd = regexp.MustCompile(`(?m)(?:^[A-Za-z0-9+/=-]+\s*\n)*^-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----`)
	digit  = regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)
)

// Text returns free text, as a log line or a message, without what looks like
// a secret.
func (r *Redactor) Text(s string) string {
	if s == "" {
		return s
	}
	s = r.looking(s)
	s = credentials.ReplaceAllString(s, "${1}${2}"+Removed)
	s = r.bearers(s)
	s = r.commands(s)
	s = r.named(s)
	s = r.path(s)
	s = r.grants(s)
	s = r.assigned(s, false)
	s = r.said(s)
	return r.markup(s)
}

// Code returns a line of source without the literals that look like secrets.
func (r *Redactor) Code(s string) string {
	return r.assigned(r.looking(s), true)
}

func (r *Redactor) looking(s string) string {
	s = pem.ReplaceAllString(s, Removed)
	if strings.Contains(s, "-----END ") {
		s = pemEnd.ReplaceAllString(s, Removed)
	}
	s = looks.ReplaceAllString(s, Removed)
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllString(s, "${1}"+Removed+"@")
	}
	return digit.ReplaceAllStringFunc(s, func(m string) string {
		if luhn(m) {
			return Removed
		}
		return m
	})
}

// bearers takes out what follows the name of a scheme: of "basic authentication"
// and "digest mismatch" nothing.
func (r *Redactor) bearers(s string) string {
	return schemes.ReplaceAllStringFunc(s, func(m string) string {
		p := schemes.FindStringSubmatch(m)
		value := strings.TrimRight(m[len(p[1])+len(p[2]):], ".")
		bearer := strings.EqualFold(p[1], "bearer")
		if plainWord.MatchString(value) && (!bearer || strings.HasPrefix(strings.ToLower(value), "auth")) && !isMixed(value) {
			return m
		}
		return p[1] + p[2] + Removed
	})
}

// assigned takes out what secret names are set to: all of it, or only what is
// in quotes, as source code sets names to expressions.
func (r *Redactor) assigned(s string, quoted bool) string {
	s = r.behind(assignment, s, quoted)
	if strings.Contains(s, `",`) || strings.Contains(s, `',`) {
		s = r.behind(pairing, s, true)
	}
	return s
}

// behind takes out what stands behind secret names.
func (r *Redactor) behind(names *regexp.Regexp, s string, quoted bool) string {
	var b strings.Builder
	done, looked := 0, 0
	for _, m := range names.FindAllStringSubmatchIndex(s, -1) {
		if m[0] < done {
			continue
		}
		name := s[m[2]:m[3]]
		secret := r.Secret(name)
		if !secret && (m[0] < looked || !slices.Contains(grantNames, strings.ToLower(name))) {
			continue // "code=code=…" is looked at once
		}
		n := valueLength(s[m[1]:], quoted)
		looked = m[1] + n
		if n == 0 || !secret && !tokenLike(strings.Trim(s[m[1]:looked], "\"'`")) {
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
	i := typed(s)
	for n := 0; n < 2 && i+1 < len(s) && strings.IndexByte("bBfFrRuU", s[i]) >= 0 && strings.IndexByte(`"'bBfFrRuU`, s[i+1]) >= 0; n++ {
		i++ // b"", rb""
	}
	escaped := strings.HasPrefix(s[i:], `\`)
	if escaped {
		i++
	}
	if i+2 < len(s) && (s[i:i+3] == `"""` || s[i:i+3] == "'''") {
		if end := strings.Index(s[i+3:], s[i:i+3]); end >= 0 {
			return i + 3 + end + 3
		}
		return len(s)
	}
	if i < len(s) && strings.IndexByte("\"'`", s[i]) >= 0 {
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

// typed is the length of what PHP's var_dump has before a text: string(8).
func typed(s string) int {
	rest, ok := strings.CutPrefix(s, "string(")
	if !ok {
		return 0
	}
	digits := strings.TrimLeft(rest, "0123456789")
	if !strings.HasPrefix(digits, `) "`) {
		return 0
	}
	return len(s) - len(digits) + len(") ")
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
