package session

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// A Secure says when a cookie is for TLS only.
type Secure string

// When a cookie has the attribute Secure.
const (
	SecureAuto   Secure = "auto" // where the client asked by https
	SecureAlways Secure = "always"
	SecureNever  Secure = "never"
)

// A Cookie says what the cookie of a session looks like. It is HttpOnly.
type Cookie struct {
	Name       string // a token (RFC 6265 §4.1.1)
	Path       string // begins with a slash
	Domain     string // "": the host that was asked for, alone
	Secure     Secure
	SameSite   string // "lax", "strict" or "none"
	Persistent bool   // it outlives the browser, as long as the session may live
}

// hostPrefix makes browsers refuse a cookie that another host has set, or an
// answer that did not come by TLS (RFC 6265bis §4.1.3.2).
const hostPrefix = "__Host-"

func (c *Cookie) check() error {
	switch {
	case c.Name == "" || strings.ContainsFunc(c.Name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}):
		return fmt.Errorf("session: %q is no name for a cookie", c.Name)
	case !strings.HasPrefix(c.Path, "/") || strings.ContainsFunc(c.Path, notInAttribute):
		return fmt.Errorf("session: %q is no path for a cookie", c.Path)
	case strings.ContainsFunc(c.Domain, notInAttribute):
		return fmt.Errorf("session: %q is no domain for a cookie", c.Domain)
	case c.SameSite == "none" && c.Secure == SecureNever:
		return errors.New("session: browsers take no cookie with same_site none that is not secure")
	}
	return nil
}

func notInAttribute(r rune) bool { return r <= ' ' || r >= 0x7f || r == ';' }

func (c *Cookie) secure(tls bool) bool {
	return c.Secure == SecureAlways || c.Secure == SecureAuto && tls
}

// sentName is the name as a browser knows it.
func (c *Cookie) sentName(tls bool) string {
	if c.secure(tls) && c.Path == "/" && c.Domain == "" {
		return hostPrefix + c.Name
	}
	return c.Name
}

// scope is the host that a cookie is for.
func (c *Cookie) scope(host string) string {
	if c.Domain != "" {
		return c.Domain
	}
	return host
}

// maxTried bounds the cookies of our name that are looked at: a browser sends
// several for different paths, and which one is ours shows by its signature.
const maxTried = 4

// values returns what the Cookie fields have under the cookie's name.
func (c *Cookie) values(fields []string, tls bool) iter.Seq[string] {
	name := c.sentName(tls)
	return func(yield func(string) bool) {
		tried := 0
		for _, field := range fields {
			for field != "" {
				var pair string
				pair, field, _ = strings.Cut(field, ";")
				value, ok := cutName(pair, name)
				if !ok {
					continue
				}
				if tried++; tried > maxTried || !yield(value) {
					return
				}
			}
		}
	}
}

func cutName(pair, name string) (value string, ok bool) {
	pair = strings.Trim(pair, " \t")
	if len(pair) <= len(name) || pair[len(name)] != '=' || pair[:len(name)] != name {
		return "", false
	}
	return pair[len(name)+1:], true
}

// Without returns the Cookie fields without the session's own, for the worker:
// an application that prints what it is sent gives no session away, neither the
// one that the same browser has without TLS. The fields themselves stay as they are.
func (c *Cookie) Without(fields []string) []string {
	var kept []string
	for _, field := range fields {
		if !strings.Contains(field, c.Name) {
			kept = append(kept, field)
			continue
		}
		var pairs []string
		for pair := range strings.SplitSeq(field, ";") {
			_, plain := cutName(pair, c.Name)
			_, secure := cutName(pair, hostPrefix+c.Name)
			if !plain && !secure {
				pairs = append(pairs, strings.Trim(pair, " \t"))
			}
		}
		if len(pairs) > 0 {
			kept = append(kept, strings.Join(pairs, "; "))
		}
	}
	return kept
}

// set returns the Set-Cookie value for a signed token.
func (c *Cookie) set(value string, left time.Duration, tls bool) string {
	var b strings.Builder
	b.WriteString(c.sentName(tls) + "=" + value + "; Path=" + c.Path)
	if c.Domain != "" {
		b.WriteString("; Domain=" + c.Domain)
	}
	if c.Persistent {
		b.WriteString("; Max-Age=" + strconv.Itoa(int(max(left, time.Second)/time.Second)))
	}
	c.attributes(&b, tls)
	return b.String()
}

// remove returns the Set-Cookie value that takes the cookie away.
func (c *Cookie) remove(tls bool) string {
	var b strings.Builder
	b.WriteString(c.sentName(tls) + "=; Path=" + c.Path)
	if c.Domain != "" {
		b.WriteString("; Domain=" + c.Domain)
	}
	b.WriteString("; Max-Age=0")
	c.attributes(&b, tls)
	return b.String()
}

func (c *Cookie) attributes(b *strings.Builder, tls bool) {
	b.WriteString("; HttpOnly")
	if c.secure(tls) {
		b.WriteString("; Secure")
	}
	switch c.SameSite {
	case "strict":
		b.WriteString("; SameSite=Strict")
	case "none":
		b.WriteString("; SameSite=None")
	default:
		b.WriteString("; SameSite=Lax")
	}
}
