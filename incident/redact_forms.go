package incident

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// Command lines: --password VALUE, -u user:VALUE; and SQL's way to set one.
	option     = regexp.MustCompile(`((?:^|\s)--?([\w-]+)\s+)("[^"]*"|'[^']*'|[^\s"'-]\S*)`)
	userOption = regexp.MustCompile(`(\s(?:-u|--user)\s+[^\s:]+:)\S+`)
	identified = regexp.MustCompile(`(?i)\b(identified\s+(?:with\s+\w+\s+)?by\s+)(?:'[^']*'|"[^"]*")`)
	// The address of a database as Go's driver for MySQL has it.
	dsn = regexp.MustCompile(`([^\s:/@"']+:)[^\s"']+(@(?:tcp|udp|unix)\()`)
	// Addresses without a scheme, ann:X@host:5432, and Oracle's, thin:ann/X@host.
	address = regexp.MustCompile(`((?:^|[\s"'=(\[,])([\w.+-]+):)[^\s@/:"'<>]+(@[\w.-]+(?::\d|/\w))`)
	oracle  = regexp.MustCompile(`(?i)(\boracle:(?:thin|oci8?):[^\s/@"']*/)[^\s"'@]+(@)`)
	// A name and a value that are values themselves: {"name": "pin", "value": "1"}.
	namedValue = regexp.MustCompile(`(?i)(["'](?:name|key|field|header|id)["']\s*(?:=>|[:=])\s*["'])([^"']*)(["']\s*,\s*["']value["']\s*(?:=>|[:=])\s*)("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,}\]]+)`)

	element   = regexp.MustCompile(`<([\w:.-]+)([^<>]*)>((?:<!\[CDATA\[[^<]*|[^<])+)</`)
	tag       = regexp.MustCompile(`<[\w:.-]+\s[^<>]*>[^<]*`)
	tagName   = regexp.MustCompile(`(?i)\s(?:name|id|key|type|property)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	tagsValue = regexp.MustCompile(`(?i)(\s(?:value|content)\s*=\s*)(?:"[^"]*"?|'[^']*'?)`)
)

// addressSchemes name a person behind their colon, not a password.
var addressSchemes = []string{"mailto", "sip", "sips", "xmpp", "acct"}

// commands takes secrets out of command lines and statements.
func (r *Redactor) commands(s string) string {
	if strings.Contains(s, "-") {
		s = option.ReplaceAllStringFunc(s, func(m string) string {
			if p := option.FindStringSubmatch(m); r.Secret(p[2]) {
				return p[1] + Removed
			}
			return m
		})
		s = userOption.ReplaceAllString(s, "${1}"+Removed)
	}
	if strings.Contains(s, "dentified") || strings.Contains(s, "DENTIFIED") {
		s = identified.ReplaceAllString(s, "${1}"+Removed)
	}
	if strings.Contains(s, "@") {
		s = dsn.ReplaceAllString(s, "${1}"+Removed+"${2}")
		s = oracle.ReplaceAllString(s, "${1}"+Removed+"${2}")
		s = address.ReplaceAllStringFunc(s, func(m string) string {
			p := address.FindStringSubmatch(m)
			if slices.Contains(addressSchemes, strings.ToLower(p[2])) {
				return m
			}
			return p[1] + Removed + p[3]
		})
	}
	return s
}

// named takes out values whose name is the value beside them. That name may be
// gone itself: "key" is a secret's name too.
func (r *Redactor) named(s string) string {
	if !strings.Contains(s, "alue") && !strings.Contains(s, "ALUE") {
		return s
	}
	return namedValue.ReplaceAllStringFunc(s, func(m string) string {
		p := namedValue.FindStringSubmatch(m)
		if !r.Secret(p[2]) && p[2] != Removed {
			return m
		}
		return p[1] + p[2] + p[3] + `"` + Removed + `"`
	})
}

// markup takes out what stands in elements with a secret's name, or with an attribute that has one.
func (r *Redactor) markup(s string) string {
	if !strings.Contains(s, "<") {
		return s
	}
	s = element.ReplaceAllStringFunc(s, func(m string) string {
		p := element.FindStringSubmatch(m)
		if !r.Secret(p[1]) {
			return m
		}
		return "<" + p[1] + p[2] + ">" + Removed + "</"
	})
	return tag.ReplaceAllStringFunc(s, func(m string) string {
		secret := false
		for _, p := range tagName.FindAllStringSubmatch(m, -1) {
			secret = secret || r.Secret(p[1]+p[2])
		}
		if !secret {
			return m
		}
		head, text, _ := strings.Cut(m, ">")
		head = tagsValue.ReplaceAllString(head, `${1}"`+Removed+`"`)
		if strings.TrimSpace(text) != "" {
			text = Removed
		}
		return head + ">" + text
	})
}
