package incident

import (
	"net/url"
	"slices"
	"strings"
)

// Removed stands where a secret was.
const Removed = "[removed]"

// secretWords make a name a secret's, wherever in it they stand, without
// regard to case and to what is no letter or digit: "user[pass-word]",
// "X-Api-Key". What is taken out by mistake can be asked for; what is kept by
// mistake is in a mail.
var secretWords = []string{
	"pass", "pwd", "secret", "token", "key", "auth", "session", "sessid", "csrf", "xsrf", "card", "cvv", "cvc",
	"credential", "cookie", "jwt", "bearer", "signature", "otp", "ssn", "iban", "private",
	"kennwort", "wachtwoord", "motdepasse", "contrase", "senha",
}

// secretNames are too short to be looked for within others.
var secretNames = []string{"sig", "pin", "sid"}

// plainNames would be taken for secrets' by a word in them, and are too common
// and too plain for that.
var plainNames = []string{"author", "authors", "authority", "keyword", "keywords", "keyboard", "httpsecfetchdest"}

// A Redactor takes secrets out of text, by the names that they stand behind
// and by their own looks. It is safe for use by several goroutines.
type Redactor struct{ hide []string }

// NewRedactor returns one that takes these names for secrets' too, as words
// in a name.
func NewRedactor(hide ...string) *Redactor {
	r := new(Redactor)
	for _, name := range hide {
		if name = plain(name); name != "" {
			r.hide = append(r.hide, name)
		}
	}
	return r
}

// maxDecodings is how often a name may be percent-encoded and still be read.
const maxDecodings = 3

// Secret says whether what stands behind a name is not to be kept.
func (r *Redactor) Secret(name string) bool {
	for range maxDecodings {
		if r.isSecret(plain(name)) {
			return true
		}
		decoded, err := url.QueryUnescape(name)
		if err != nil || decoded == name {
			break
		}
		name = decoded
	}
	return r.isSecret(plain(name))
}

func (r *Redactor) isSecret(name string) bool {
	if plain := slices.Contains(plainNames, name) || strings.HasSuffix(name, "error") || strings.HasSuffix(name, "exception"); plain && !slices.Contains(r.hide, name) {
		return false // "KeyError: 'colour'" names no secret
	}
	within := func(word string) bool { return strings.Contains(name, word) }
	return slices.Contains(secretNames, name) || slices.ContainsFunc(secretWords, within) || slices.ContainsFunc(r.hide, within)
}

// plain is a name's letters and digits in lower case.
func plain(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 0xff21 && c <= 0xff3a: // full-width letters look the same
			return c - 0xff21 + 'a'
		case c >= 0xff41 && c <= 0xff5a:
			return c - 0xff41 + 'a'
		case c == 0x17f: // long s
			return 's'
		case c == 0x212a: // Kelvin
			return 'k'
		case c > 0x7f:
			return c
		}
		return -1
	}, name)
}

// Header returns what may be kept of a header field's value.
func (r *Redactor) Header(name, value string) string {
	if r.Secret(name) {
		return Removed
	}
	return r.Text(value)
}

// URL returns a URL, or a request target, without the secrets in its userinfo
// and its query.
func (r *Redactor) URL(s string) string {
	s, fragment, hasFragment := strings.Cut(s, "#")
	s, query, hasQuery := strings.Cut(s, "?")
	s = r.Text(s)
	if hasQuery {
		s += "?" + r.Query(query)
	}
	if hasFragment {
		s += "#" + r.Query(fragment) // OAuth's implicit answers stand there
	}
	return s
}

// Query returns a query string, or a urlencoded form, without its secrets.
func (r *Redactor) Query(s string) string { return r.queryWithin(s, maxQueryWithin) }

// maxQueryWithin is how many queries within values of queries are looked into.
// Each is decoded, and encoded again, by itself: without a bound, "?a=?a=…"
// costs more than the square of its length.
const maxQueryWithin = 4

func (r *Redactor) queryWithin(s string, depth int) string {
	var b strings.Builder
	c := companyIn(s)
	for s != "" {
		i := strings.IndexAny(s, "&;")
		pair, separator := s, ""
		if i >= 0 {
			pair, separator = s[:i], s[i:i+1]
		}
		s = s[len(pair)+len(separator):]
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			b.WriteString(r.Text(name))
		case r.secretPair(name, value, c):
			b.WriteString(name + "=" + Removed)
		default:
			b.WriteString(name + "=" + r.encoded(value, depth))
		}
		b.WriteString(separator)
	}
	return b.String()
}

// encoded looks into a percent-encoded value: a URL to return to may have a
// token in its own query.
func (r *Redactor) encoded(value string, depth int) string {
	text, err := url.QueryUnescape(value)
	if err != nil {
		return r.Text(value)
	}
	if clean := r.valueWithin(text, depth); clean != text {
		return url.QueryEscape(clean)
	}
	return value
}

// value is what may be kept of a value that may be anything.
func (r *Redactor) value(s string) string { return r.valueWithin(s, maxQueryWithin) }

// valueWithin removes a query that stands deeper than is looked.
func (r *Redactor) valueWithin(s string, depth int) string {
	if t := strings.TrimSpace(s); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
		return r.Text(r.JSON(s))
	}
	if before, query, ok := strings.Cut(s, "?"); ok && strings.Contains(query, "=") && !strings.ContainsAny(s, " \n") {
		if depth == 0 {
			return r.Text(before) + "?" + Removed
		}
		return r.Text(before) + "?" + r.queryWithin(query, depth-1)
	}
	return r.Text(s)
}

// fields are those of a query or urlencoded form, decoded.
func (r *Redactor) fields(s string, most int) []Field {
	var list []Field
	c := companyIn(s)
	for pair := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == '&' || c == ';' }) {
		if len(list) == most {
			break
		}
		name, value, _ := strings.Cut(pair, "=")
		if r.secretPair(name, value, c) {
			value = Removed
		} else {
			value = r.value(unescape(value))
		}
		list = append(list, Field{unescape(name), value})
	}
	return list
}

// unescape decodes what can be: the end of a form may be cut in a "%2".
func unescape(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}
