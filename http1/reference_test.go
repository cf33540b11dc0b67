package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A message is a request as one of the parsers has it.
type message struct {
	Method, Target, Proto, Host, Path, RawPath, Query string
	Header                                            []string // "Name: value", sorted by name
	Length                                            int64
	Close                                             bool
	Body                                              string
	Whole                                             bool // the body came to its end
	Trailer                                           []string
}

func flat(h http.Header) []string {
	var list []string
	for name, values := range h {
		for _, v := range values {
			list = append(list, name+": "+v)
		}
	}
	slices.SortStableFunc(list, func(a, b string) int {
		x, _, _ := strings.Cut(a, ":")
		y, _, _ := strings.Cut(b, ":")
		return strings.Compare(x, y)
	})
	return list
}

func messageOf(r *http.Request) message {
	m := message{Method: r.Method, Target: r.RequestURI, Proto: r.Proto, Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath,
		Query:  fmt.Sprint(r.URL.RawQuery, r.URL.ForceQuery, r.URL.Scheme, r.URL.Host, r.URL.User, r.URL.Opaque),
		Length: r.ContentLength, Close: r.Close}
	m.Header = flat(r.Header)
	body, err := io.ReadAll(r.Body)
	m.Body, m.Whole = string(body), err == nil
	if m.Whole {
		m.Trailer = flat(r.Trailer)
	}
	return m
}

// ours returns what the engine makes of a connection's bytes, and whether it
// refused what came last.
func ours(t testing.TB, l *memListener, raw []byte, seen *[]message) (list []message, answers string) {
	*seen = nil
	answers = l.talk(string(raw), 1<<20)
	return *seen, answers
}

// theirs returns what net/http makes of them, one after the other, the empty lines
// before each taken out.
func theirs(raw []byte, n int) (list []message, err error) {
	r := bufio.NewReader(bytes.NewReader(raw))
	for range n {
		for {
			if p, _ := r.Peek(2); string(p) != "\r\n" {
				break
			}
			r.Discard(2)
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			return list, err
		}
		delete(req.Header, "Host") // the server does
		m := messageOf(req)
		list = append(list, m)
		if !m.Whole {
			return list, nil
		}
	}
	return list, nil
}

// The reference is the grammar once more, slow and plain: regular expressions
// on whole lines, in the words of RFC 9112.
var (
	refLine   = regexp.MustCompile(`^([!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) HTTP/1\.([01])$`)
	refField  = regexp.MustCompile(`^([!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*$`)
	refHost   = regexp.MustCompile(`^[!$%&'()*+,\-.0-9:;=A-Z\[\]_a-z~]*$`)
	refChunk  = regexp.MustCompile(`^([0-9A-Fa-f]{1,16})(;[^\x00-\x08\x0a-\x1f\x7f]*)?$`)
	refDigits = regexp.MustCompile(`^[0-9]+$`)
)

// reference parses one request off raw. ok is false where it is not to be
// accepted, or not complete.
func reference(raw string) (m message, rest string, ok bool) {
	for range maxEmptyLines {
		raw = strings.TrimPrefix(raw, "\r\n")
	}
	text, rest, found := strings.Cut(raw, "\r\n\r\n")
	if !found || len(text)+4 > 64<<10 || strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\n") {
		return m, "", false
	}
	lines := strings.Split(text, "\r\n")
	first := refLine.FindStringSubmatch(lines[0])
	if first == nil || len(first[2]) > 8<<10 {
		return m, "", false
	}
	m = message{Method: first[1], Target: first[2], Proto: "HTTP/1." + first[3]}
	h := make(http.Header)
	fields := 0
	for _, line := range lines[1:] {
		f := refField.FindStringSubmatch(line)
		if f == nil || len(f[1])+len(f[2]) > 16<<10 {
			return m, "", false
		}
		h.Add(f[1], f[2])
		if !strings.EqualFold(f[1], "host") {
			fields++
		}
	}
	if fields > 100 || !m.judge(h) {
		return m, "", false
	}
	if m.Length >= 0 {
		n := min(int64(len(rest)), m.Length)
		m.Body, m.Whole = rest[:n], n == m.Length
		return m, rest[n:], true
	}
	rest = m.chunks(rest)
	return m, rest, true
}

// judge takes the fields that decide on host and length.
func (m *message) judge(h http.Header) bool {
	old := m.Proto == "HTTP/1.0"
	hosts, codings, lengths := h["Host"], h["Transfer-Encoding"], h["Content-Length"]
	switch {
	case len(hosts) > 1, len(hosts) == 0 && !old, len(lengths) > 1, len(codings) > 1:
		return false
	case len(codings) == 1 && (old || len(lengths) > 0 || strings.ToLower(codings[0]) != "chunked"):
		return false
	case len(hosts) == 1 && !refHost.MatchString(hosts[0]):
		return false
	case len(h["Expect"]) > 1, len(h["Expect"]) == 1 && strings.ToLower(h["Expect"][0]) != "100-continue":
		return false
	}
	target := m.Target
	if m.Method == "CONNECT" && target[0] != '/' {
		target = "http://" + target
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return false
	}
	if target != m.Target {
		u.Scheme = ""
	}
	m.Path, m.RawPath, m.Host = u.Path, u.RawPath, u.Host
	m.Query = fmt.Sprint(u.RawQuery, u.ForceQuery, u.Scheme, u.Host, u.User, u.Opaque)
	if m.Host == "" && len(hosts) == 1 {
		m.Host = hosts[0]
	}
	if before, after, ok := strings.Cut(m.Target, "://"); ok && m.Target[0] != '/' && len(hosts) == 1 && hosts[0] != "" {
		authority := regexp.MustCompile(`^[^/?#]*`).FindString(after)
		port := ":80$"
		if strings.EqualFold(before, "https") {
			port = ":443$"
		}
		plain := func(s string) string { return strings.ToLower(regexp.MustCompile(port).ReplaceAllString(s, "")) }
		if authority != "" && plain(authority) != plain(hosts[0]) {
			return false
		}
	}
	m.Length = 0
	if len(lengths) == 1 {
		n, err := strconv.ParseInt(lengths[0], 10, 64)
		if err != nil || !refDigits.MatchString(lengths[0]) {
			return false
		}
		m.Length = n
	}
	tokens := strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(strings.Join(h["Connection"], ","), " ", ""), "\t", ""))
	list := strings.Split(tokens, ",")
	m.Close = slices.Contains(list, "close") || old && !slices.Contains(list, "keep-alive")
	if len(codings) == 1 {
		m.Length = -1
		for _, name := range strings.Split(strings.Join(h["Trailer"], ","), ",") {
			if headOnly(http.CanonicalHeaderKey(strings.Trim(name, " \t"))) {
				return false
			}
		}
		delete(h, "Trailer")
	}
	if len(h["Pragma"]) > 0 && h["Pragma"][0] == "no-cache" && h["Cache-Control"] == nil {
		h.Set("Cache-Control", "no-cache")
	}
	delete(h, "Host")
	delete(h, "Transfer-Encoding")
	m.Header = flat(h)
	return true
}

// chunks takes a chunked body, as far as it is well-formed.
func (m *message) chunks(raw string) (rest string) {
	for excess := int64(0); ; {
		line, after, ok := strings.Cut(raw, "\r\n")
		size := refChunk.FindStringSubmatch(line)
		if !ok || size == nil || len(line) > 4096 {
			return ""
		}
		n, err := strconv.ParseInt(size[1], 16, 64)
		if excess = max(0, excess+int64(len(line))-16-n/2); err != nil || excess > 16<<10 {
			return ""
		}
		if n == 0 {
			return m.trailers(after)
		}
		k := min(int64(len(after)), n)
		m.Body += after[:k]
		if raw, ok = strings.CutPrefix(after[k:], "\r\n"); !ok {
			return ""
		}
	}
}

func (m *message) trailers(raw string) (rest string) {
	h := make(http.Header)
	for total := 0; ; {
		line, after, ok := strings.Cut(raw, "\r\n")
		if raw = after; !ok {
			return ""
		}
		if line == "" {
			m.Whole, m.Trailer = true, flat(h)
			return after
		}
		f := refField.FindStringSubmatch(line)
		if total += len(line); f == nil || total > maxTrailers || headOnly(http.CanonicalHeaderKey(f[1])) {
			return ""
		}
		h.Add(f[1], f[2])
	}
}
