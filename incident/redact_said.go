package incident

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// What is said of a password: "the password for ann is X", "wrong password 'X'".
	said = regexp.MustCompile(`(?i)\b(pass(?:word|wd|phrase|code|wort)|kennwort|pin|secret|token|api[ _-]?key)(\s+(?:(?:for|of|f[uü]r)\s+\S+\s+)?(?:is|was|ist|war|lautet|set to|changed to)\b:?)?(\s+)("[^"\n]*"?|'[^'\n]*'?|` + "`[^`\n]*`?" + `|[^\s"'` + "`" + `]+)`)
	// Words of sentences: letters, maybe joined.
	plainWord = regexp.MustCompile(`^\pL+(?:[-'’/]\pL+)*$`)
	// Ways to hash or write a password.
	hashName = regexp.MustCompile(`(?i)^(?:sha|md|utf|base|aes|rsa|bcrypt|scrypt|argon|pbkdf|hs|rs|es)-?\d`)
)

// predicates are said of passwords, at the end of a sentence, by those who do not tell them.
var predicates = []string{
	"absent", "bad", "blank", "compulsory", "correct", "default", "different", "empty", "equal", "false", "fine", "here", "identical", "incorrect",
	"insecure", "long", "mandatory", "missing", "new", "nil", "none", "not", "null", "ok", "okay", "old", "optional", "plain", "private", "public",
	"required", "safe", "same", "secret", "secure", "short", "similar", "strong", "there", "true", "undefined", "unknown", "unsafe", "valid", "weak", "wrong", "yes", "no",
	"falsch", "leer", "richtig", "falsche", "kurz", "lang", "schwach", "ungleich", "gesperrt", "abgelaufen", "erforderlich", "notwendig",
}

// said takes out the passwords that a sentence tells: what is in quotes, what is
// no word, and a word where the sentence ends with it that is usually said of none.
func (r *Redactor) said(s string) string {
	matches := said.FindAllStringSubmatchIndex(s, -1)
	if matches == nil {
		return s
	}
	var b strings.Builder
	done := 0
	for _, m := range matches {
		told, value := m[4] >= 0, s[m[8]:m[9]]
		noun := strings.ToLower(s[m[2]:m[3]])
		end := m[9]
		if quote := strings.IndexByte("\"'`", value[0]) >= 0; !quote {
			value = strings.TrimRight(value, ".,;:!?)]}")
			end = m[8] + len(value)
			if !isTold(noun, value, s[m[9]:], told, end < m[9]) {
				continue
			}
		} else if len(value) < 3 || !told && !strings.HasPrefix(noun, "pass") && noun != "kennwort" {
			continue // "unexpected token '<'"
		}
		b.WriteString(s[done:m[8]] + Removed)
		done = end
	}
	return b.String() + s[done:]
}

// isTold says whether what follows a noun, maybe with "is" between, is the thing itself.
// stopped says that punctuation follows it.
func isTold(noun, value, rest string, told, stopped bool) bool {
	password := strings.HasPrefix(noun, "pass") || noun == "kennwort"
	switch lower := strings.ToLower(value); {
	case len(value) < 3 || strings.HasPrefix(value, "[removed") || hashName.MatchString(value):
		return false
	case !told:
		return password && len(value) >= minValue && isMixed(strings.Map(withoutSymbols, value)) && strings.IndexAny(value, "/<>()=") < 0
	case !plainWord.MatchString(value):
		return strings.ContainsFunc(value, isDigit) && len(value) >= 4 || len(value) >= minValue && !strings.ContainsAny(value, "<>()")
	case !password || slices.Contains(predicates, lower):
		return false
	case strings.HasSuffix(lower, "ed"), strings.HasSuffix(lower, "ing"), strings.HasSuffix(lower, "able"), strings.HasSuffix(lower, "id"), strings.HasSuffix(lower, "ive"):
		return false // rejected, missing, guessable, invalid, case-sensitive
	}
	next := strings.TrimLeft(rest, " \t")
	return stopped || next == "" || next[0] == '\n' || next[0] == '\r'
}

func isDigit(c rune) bool { return '0' <= c && c <= '9' }

// withoutSymbols is for strings.Map: what is left is letters and digits.
func withoutSymbols(c rune) rune {
	if isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
		return c
	}
	return -1
}
