package incident

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
)

// A search gathers what stands behind secret names in a request.
type search struct {
	r     *Redactor
	found []string
}

// secretValues replaces what stands behind secret names in the request.
func (i *Incident) secretValues(r *Redactor) *strings.Replacer {
	s := search{r: r}
	if i.Request != nil {
		s.request(i.Request)
	}
	slices.SortFunc(s.found, func(a, b string) int { return len(b) - len(a) }) // the longest first
	var pairs []string
	for _, value := range slices.Compact(s.found) {
		pairs = append(pairs, value, Removed)
	}
	return strings.NewReplacer(pairs...)
}

// add takes a value if its name is a secret's.
func (s *search) add(name, value string) {
	if s.r.Secret(name) {
		s.value(value)
	}
}

// maxValue bounds what is looked for, in bytes: of a longer one the beginning.
// strings.Replacer prepares for one in the square of its length.
const maxValue = 4 << 10

func (s *search) value(value string) {
	value = strings.TrimSpace(value)
	for _, v := range []string{value, unescape(value), strings.Trim(value, `"`)} {
		if len(v) >= minValue && v != Removed {
			s.found = append(s.found, v[:min(len(v), maxValue)])
		}
	}
}

func (s *search) request(q *Request) {
	for _, h := range q.Headers {
		s.header(h)
	}
	path, query, _ := strings.Cut(q.URL, "?")
	s.pairs(query)
	for token := range s.r.pathTokens(path) {
		s.value(path[token.from:token.to])
	}
	if u, err := url.Parse(q.URL); err == nil && u.User != nil {
		password, _ := u.User.Password()
		s.value(password)
	}
	s.body(q.header("Content-Type"), q.Body)
}

func (s *search) header(h Field) {
	s.add(h.Name, h.Value)
	switch strings.ToLower(h.Name) {
	case "authorization", "proxy-authorization":
		scheme, credentials, _ := strings.Cut(h.Value, " ")
		s.value(credentials)
		if plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials)); err == nil && strings.EqualFold(scheme, "Basic") {
			_, password, _ := strings.Cut(string(plain), ":") // RFC 7617 §2
			s.value(password)
		}
	case "cookie":
		for crumb := range strings.SplitSeq(h.Value, ";") {
			_, value, _ := strings.Cut(crumb, "=")
			s.value(value)
		}
	}
}

// pairs are those of a query or a urlencoded form.
func (s *search) pairs(text string) {
	c := companyIn(text)
	for pair := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		if s.r.secretPair(name, value, c) {
			s.value(unescape(value))
		}
	}
}

func (s *search) body(contentType, body string) {
	text := strings.TrimSpace(body)
	kind, params, _ := mime.ParseMediaType(contentType) // what cannot be read is none of these
	switch {
	case text == "":
	case strings.HasPrefix(kind, "multipart/"):
		s.parts(params["boundary"], body)
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		s.json(text, maxJSONWithin)
	case strings.HasPrefix(text, "<"):
		for _, p := range element.FindAllStringSubmatch(text, maxFields) {
			value := strings.TrimSuffix(strings.TrimPrefix(p[3], "<![CDATA["), "]]>")
			s.add(p[1], value)
		}
	case strings.Contains(kind, "urlencoded"), looksLikeForm(text):
		s.pairs(text)
	}
}

func (s *search) parts(boundary, body string) {
	if boundary == "" {
		return
	}
	m := multipart.NewReader(strings.NewReader(body), boundary)
	for range maxParts {
		part, err := m.NextRawPart()
		if err != nil {
			return
		}
		value, _ := io.ReadAll(io.LimitReader(part, maxBodyKept)) // as far as it goes
		if part.FileName() == "" && isText(bytes.TrimSpace(value)) {
			s.add(part.FormName(), string(value))
		}
	}
}

// json goes through a text, or the beginning of one, as Redactor.JSON does.
func (s *search) json(text string, depth int) {
	c := companyInJSON(text)
	for i := 0; i < len(text); {
		if text[i] != '"' {
			i++
			continue
		}
		end := stringEnd(text, i)
		token := unquoted(text[i:end])
		i = end
		next := skipSpace(text, i)
		if next == len(text) || text[next] != ':' {
			if t := strings.TrimSpace(token); depth > 0 && (strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[")) {
				s.json(t, depth-1)
			}
			continue
		}
		i = skipSpace(text, next+1)
		if s.r.secretMember(token, text, i, c) {
			end := valueEnd(text, i)
			s.strings(text[i:end])
			i = end
		}
	}
}

// strings are all that stand in a piece of JSON, or the piece, where it has none.
func (s *search) strings(piece string) {
	if !strings.Contains(piece, `"`) {
		if strings.IndexAny(piece, "{[") < 0 {
			s.value(piece)
		}
		return
	}
	for i := 0; i < len(piece); {
		if piece[i] != '"' {
			i++
			continue
		}
		end := stringEnd(piece, i)
		if next := skipSpace(piece, end); next == len(piece) || piece[next] != ':' {
			s.value(unquoted(piece[i:end]))
		}
		i = end
	}
}
