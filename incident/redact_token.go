package incident

import (
	"regexp"
	"slices"
	"strings"
)

// linkWords stand in the segment of a path that the token of a mailed link, or of
// a hook, follows: /accounts/reset/MQ/TOKEN, /confirm/TOKEN, /hooks/TOKEN.
var linkWords = []string{
	"reset", "verif", "confirm", "activat", "invit", "magic", "recover", "unsubscri", "optin", "signin", "login", "sso", "hook", "share",
}

// linkReach is how many segments behind such a word may be the token: Django has
// the user's number before it.
const linkReach = 2

// plainSegments are folders of sources that have one of these words in their name.
var plainSegments = []string{"authors", "keywords", "passenger", "passengers", "keyboards"}

// path takes out the tokens that stand in paths behind a word that leads to one:
// of a URL, or of each path in a text.
func (r *Redactor) path(s string) string {
	if !strings.Contains(s, "/") {
		return s
	}
	var b strings.Builder
	done := 0
	for token := range r.pathTokens(s) {
		b.WriteString(s[done:token.from] + Removed)
		done = token.to
	}
	return b.String() + s[done:]
}

type span struct{ from, to int }

// pathTokens goes through the segments of all paths once.
func (r *Redactor) pathTokens(s string) func(yield func(span) bool) {
	return func(yield func(span) bool) {
		reach := 0
		for i := 0; i < len(s); {
			end := segmentEnd(s, i)
			inPath := i > 0 && s[i-1] == '/' || end < len(s) && s[end] == '/'
			switch segment := s[i:end]; {
			case !inPath:
				reach = 0
			case reach > 0 && tokenLike(segment):
				if !yield(span{i, end}) {
					return
				}
				reach--
			case r.leads(segment):
				reach = linkReach
			default:
				reach--
			}
			if end < len(s) && s[end] != '/' {
				reach = 0
			}
			i = end + 1
		}
	}
}

// maxLinkWord is more than any segment has that such a word stands in, in bytes.
const maxLinkWord = 64

// leads says whether a token may follow a segment.
func (r *Redactor) leads(segment string) bool {
	if segment == "" || len(segment) > maxLinkWord {
		return false
	}
	word := plain(segment)
	return !slices.Contains(plainSegments, word) &&
		(slices.ContainsFunc(linkWords, func(w string) bool { return strings.Contains(word, w) }) || r.isSecret(word))
}

// segmentEnd returns where the segment of a path that begins at i is over.
func segmentEnd(s string, i int) int {
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~%:=+@", c) >= 0:
		default:
			return i
		}
	}
	return i
}

const (
	minToken = 16  // bytes: no application that is worth its name has shorter ones
	minPiece = 8   // of one without its separators, where letters and digits mix
	maxToken = 256 // of a longer one that is looked at
)

// tokenLike says whether nobody has made up s as a name, a title or a number: it
// is long, and letters mix with digits, or small ones with capitals more often than
// in words that are joined.
func tokenLike(s string) bool {
	if len(s) < minToken {
		return false
	}
	for piece := range strings.FieldsFuncSeq(s[:min(len(s), maxToken)], isSeparator) {
		if len(piece) >= minPiece && isMixed(piece) {
			return true
		}
	}
	return false
}

func isSeparator(c rune) bool { return strings.ContainsRune("-_.~%:=+/", c) }

func isMixed(s string) bool {
	var letters, digits, turns int
	var before byte
	for _, c := range []byte(s) {
		var kind byte
		switch {
		case '0' <= c && c <= '9':
			digits++
			kind = '0'
		case 'a' <= c && c <= 'z':
			letters++
			kind = 'a'
		case 'A' <= c && c <= 'Z':
			letters++
			kind = 'A'
		default:
			return false // of no alphabet that tokens are written in
		}
		if before != 0 && kind != before {
			turns++
		}
		before = kind
	}
	return letters > 0 && digits > 0 || len(s) >= minToken && 3*turns > len(s)
}

// grantNames are what OAuth (RFC 6749 §4.1, RFC 8628), SAML and CAS call what may
// be exchanged for an account. Elsewhere they are the most common of names.
var grantNames = []string{"code", "state", "ticket", "nonce"}

// grantSecrets are never anything else, in a query or a form.
var grantSecrets = []string{"assertion", "clientassertion", "codeverifier", "devicecode", "usercode", "samlresponse", "samlrequest", "samlart", "relaystate"}

// grantMarks stand beside them.
var grantMarks = []string{"granttype", "redirecturi", "clientid", "responsetype", "sessionstate", "codechallenge", "codeverifier", "idtoken"}

// A company is what the fields of a query or form tell of each other.
type company uint8

const (
	stranger company = iota // nothing
	paired                  // a code and a state
	grant                   // a part of OAuth
)

// minGrant is what a code has at least that stands beside a state, in bytes: a
// postal code beside a federal state has less.
const minGrant = 8

// companyIn looks at the names of a query or form.
func companyIn(s string) company {
	var code, state bool
	for pair := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == '&' || c == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if len(name) > maxLinkWord {
			continue
		}
		switch name = plain(unescape(name)); {
		case slices.Contains(grantMarks, name):
			return grant
		case name == "code":
			code = true
		case name == "state":
			state = true
		}
	}
	if code && state {
		return paired
	}
	return stranger
}

// companyInJSON looks for the same in a JSON text.
func companyInJSON(s string) company {
	for _, mark := range []string{`"grant_type"`, `"redirect_uri"`, `"code_verifier"`} {
		if strings.Contains(s, mark) {
			return grant
		}
	}
	return stranger
}

// secretPair says whether the value of a field is not to be kept: by its name, or
// by what it is beside the others.
func (r *Redactor) secretPair(name, value string, c company) bool {
	if r.Secret(name) {
		return true
	}
	if len(name) > maxLinkWord {
		return false
	}
	name = plain(unescape(name))
	switch {
	case slices.Contains(grantSecrets, name):
		return true
	case !slices.Contains(grantNames, name):
		return false
	}
	return c == grant && value != "" || c == paired && len(value) >= minGrant || tokenLike(unescape(value[:min(len(value), maxToken)]))
}

// A query, or what is left of one, that has one of these.
var grantQuery = regexp.MustCompile(`[^\s"'<>?#]*(?:code|state|ticket|nonce|assertion|SAML\w+)=[^\s"'<>#]*`)

// grants takes them out of the queries in a text.
func (r *Redactor) grants(s string) string {
	if !strings.Contains(s, "=") {
		return s
	}
	return grantQuery.ReplaceAllStringFunc(s, func(query string) string {
		var b strings.Builder
		c := companyIn(query)
		for query != "" {
			end := strings.IndexAny(query, "&;")
			if end < 0 {
				end = len(query)
			}
			name, value, ok := strings.Cut(query[:end], "=")
			if ok && !r.Secret(name) && r.secretPair(name, value, c) {
				value = Removed // what has a secret's name is assigned's
			}
			b.WriteString(name)
			if ok {
				b.WriteString("=" + value)
			}
			if end < len(query) {
				b.WriteByte(query[end])
				end++
			}
			query = query[end:]
		}
		return b.String()
	})
}
