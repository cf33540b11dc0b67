package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Session says what the workers of all languages share of a visitor. The most
// specific level wins, key by key: see Config.Session.
type Session struct {
	Enabled    bool   // default false
	Cookie     string // its name, without the prefix that a secure one gets; default "frontd_session"
	Path       string // of the cookie; default "/"
	Domain     string // of the cookie; empty: the host that was asked for
	Secure     string // "auto", "always" or "never"; default "auto"
	SameSite   string // "lax", "strict" or "none"; default "lax"
	Persistent bool   // the cookie outlives the browser; default false

	Idle     time.Duration // without a request; default 30m
	Lifetime time.Duration // whatever comes; default 12h
	MaxBytes int64         // of one session's JSON; default 16 KiB

	Store string // "embedded", or the URL of a Redis server; default "embedded"
	// File is where the embedded store is, absolute. Empty: a place that depends
	// on how frontd was started.
	File string
	Max  int // sessions in the embedded store; default 1,000,000
	// Secret signs cookies: the first signs, all are accepted. Empty: one that is
	// made once and kept beside File.
	Secret []string
}

// StoreEmbedded is the Session.Store that needs no server.
const StoreEmbedded = "embedded"

// maxSessionBytes keeps a session within one record of FastCGI's (64 KiB).
const maxSessionBytes = 48 << 10

// minSecret is the least length of a secret, in bytes.
const minSecret = 32

func defaultSession() Session {
	return Session{
		Cookie: "frontd_session", Path: "/", Secure: "auto", SameSite: "lax",
		Idle: 30 * time.Minute, Lifetime: 12 * time.Hour, MaxBytes: 16 << 10,
		Store: StoreEmbedded, Max: 1_000_000,
	}
}

// sessionKeys may stand in [server], in an app and in a route.
var sessionKeys = []key[Session]{
	field("enabled", yesNo, `whether requests have a session`,
		func(s *Session) *bool { return &s.Enabled }),
	field("cookie", cookieName, `the cookie's name; a secure one for the whole of one host is called "__Host-" and that`,
		func(s *Session) *string { return &s.Cookie }),
	field("path", cookiePath, `the cookie's path: what is outside of it has no session`,
		func(s *Session) *string { return &s.Path }),
	field("domain", hostPattern, `the cookie's domain, for a session of several hosts; without it, of one`,
		func(s *Session) *string { return &s.Domain }),
	field("secure", oneOf("auto", "always", "never"), `whether the cookie is for TLS only: "auto" where the client came by https`,
		func(s *Session) *string { return &s.Secure }),
	field("same_site", oneOf("lax", "strict", "none"), `whether requests that other sites cause have the session`,
		func(s *Session) *string { return &s.SameSite }),
	field("persistent", yesNo, `whether the cookie outlives the browser, as long as lifetime`,
		func(s *Session) *bool { return &s.Persistent }),
	field("idle", duration(time.Second), `how long a session lives without a request`,
		func(s *Session) *time.Duration { return &s.Idle }),
	field("lifetime", duration(time.Second), `how long a session lives, whatever comes`,
		func(s *Session) *time.Duration { return &s.Lifetime }),
	field("max_bytes", sessionBytes, `the largest session, its keys and values as JSON; an answer that wants more is 502`,
		func(s *Session) *int64 { return &s.MaxBytes }),
	field("store", sessionStore, `where sessions are kept: "embedded", in a file, or "redis://[USER:PASSWORD@]HOST[:PORT][/DB]", "rediss://…" or "unix:///PATH" for a Redis or Valkey server that several fronts share`,
		func(s *Session) *string { return &s.Store }),
	field("file", path("a file's path"), `the file of the embedded store; without it, $STATE_DIRECTORY/sessions.db, or else one beside the control socket that a reboot may take`,
		func(s *Session) *string { return &s.File }),
	field("max", count(1, 100_000_000), `how many sessions the embedded store holds; then no new one begins`,
		func(s *Session) *int { return &s.Max }),
	field("secret", secrets, `what signs the cookies, of at least 32 bytes: "file:/path", or a list of which the first signs and all are accepted; without it, one that is made once and kept beside the file`,
		func(s *Session) *[]string { return &s.Secret }),
}

// Session returns what holds for an app on a route; either may be nil.
func (c *Config) Session(a *App, r *Route) Session {
	s := defaultSession()
	merge := func(over *Session, set Set) {
		within := Set{}
		for name, pos := range set {
			if name, ok := strings.CutPrefix(name, "session."); ok {
				within[name] = pos
			}
		}
		for _, k := range sessionKeys {
			k.copySet(&s, over, within)
		}
	}
	merge(&c.Server.Session, c.Server.Set)
	if a != nil {
		merge(&a.Session, a.Set)
	}
	if r != nil {
		merge(&r.Session, r.Set)
	}
	return s
}

// checkSessions looks at what holds on each route in the end.
func (r *reader) checkSessions(c *Config) {
	for _, route := range c.Routes {
		pos, set := route.Set["session"]
		if set && route.App == "" && route.Root != "" {
			r.failf(pos, "route.session", "means nothing to a route with root: no worker serves it")
			continue
		}
		s := c.Session(c.App(route.App), route)
		if route.App == "" || !s.Enabled {
			continue
		}
		if !set {
			pos = route.Pos
		}
		switch {
		case s.Store != StoreEmbedded && len(s.Secret) == 0:
			r.failf(pos, "route.session", "secret is missing: fronts that share a store have to sign with the same one")
		case s.SameSite == "none" && s.Secure == "never":
			r.failf(pos, "route.session", `browsers take no cookie with same_site = "none" that is not secure`)
		case strings.HasPrefix(s.Domain, "*"):
			r.failf(pos, "route.session", "domain %q: a cookie's domain is a name, and all names below it", s.Domain)
		case s.Idle > s.Lifetime:
			r.warnf(pos, "route.session", "idle is longer than lifetime, which ends a session first")
		}
	}
}

var cookieName = parsed("a cookie's name", func(_ *reader, s string) (string, error) {
	if s == "" || len(s) > 64 || strings.HasPrefix(s, "__") || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}) {
		return "", fmt.Errorf(`%q is no name for a cookie: want up to 64 letters, digits, "_", "-" and ".", not beginning with "__"`, s)
	}
	return s, nil
}, sameText)

var cookiePath = parsed(`a path such as "/"`, func(_ *reader, s string) (string, error) {
	if !strings.HasPrefix(s, "/") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ';' }) {
		return "", fmt.Errorf(`%q is no path for a cookie: want one that begins with "/", in ASCII, without ";" and spaces`, s)
	}
	return s, nil
}, sameText)

var sessionBytes = func() form[int64] {
	f := size
	f.read = func(r *reader, n *node) (int64, error) {
		v, err := size.read(r, n)
		if err == nil && (v < 64 || v > maxSessionBytes) {
			err = fmt.Errorf("%s, want a size from 64 to %s, what FastCGI passes on at once", formatSize(v), formatSize(maxSessionBytes))
		}
		return v, err
	}
	return f
}()

var sessionStore = form[string]{
	read: func(r *reader, n *node) (string, error) {
		s, err := r.str(n, `"embedded" or a redis URL`)
		if err != nil || s == StoreEmbedded {
			return s, err
		}
		u, err := url.Parse(s)
		if err != nil { // it may say the password
			return "", errors.New(`not a URL; want "embedded" or "redis://HOST:PORT"`)
		}
		switch {
		case (u.Scheme == "redis" || u.Scheme == "rediss") && u.Host != "", u.Scheme == "unix" && u.Path != "":
			return s, nil
		}
		return "", fmt.Errorf(`%q; want "embedded", "redis://HOST:PORT", "rediss://HOST:PORT" or "unix:///PATH"`, u.Redacted())
	},
	text: func(s string) string {
		if u, err := url.Parse(s); err == nil {
			if password, has := u.User.Password(); has && password != "" {
				u.User = url.UserPassword(u.User.Username(), mask)
				s = strings.ReplaceAll(u.String(), url.PathEscape(mask), mask)
			}
		}
		return literal(s)
	},
	schema: property{"type": "string"},
}

// secrets are one or more, each written as "file:/path" or taken from the
// environment.
var secrets = form[[]string]{
	read: func(r *reader, n *node) ([]string, error) {
		items := n.items
		switch n.kind {
		case text:
			items = []*node{n}
		case array:
		default:
			return nil, fmt.Errorf(`%v, want "file:/path", or a list of such`, n.kind)
		}
		var values []string
		for _, in := range items {
			v, err := r.signingSecret(in)
			switch {
			case err != nil:
				r.fail(in.pos, n.path, err)
			case slices.Contains(values, v):
				r.failf(in.pos, n.path, "the same secret twice")
			default:
				values = append(values, v)
			}
		}
		return values, nil
	},
	text: func(values []string) string {
		var list []string
		for range values {
			list = append(list, quote(mask))
		}
		return "[" + strings.Join(list, ", ") + "]"
	},
	schema: property{"anyOf": []property{
		{"type": "string"}, {"type": "array", "items": property{"type": "string"}},
	}},
}

func (r *reader) signingSecret(n *node) (string, error) {
	if n.kind != text {
		return "", fmt.Errorf(`%v, want "file:/path"`, n.kind)
	}
	if n.text == mask {
		return mask, nil // settings as they are shown: for reading them, not for serving
	}
	named, isFile := strings.CutPrefix(n.text, "file:")
	if !isFile && !strings.Contains(n.text, "${") {
		return "", errors.New(`a secret has no place in this file; want "file:/path", or "${NAME}" from the environment`)
	}
	value, err := r.str(n, `"file:/path"`)
	if err == nil && isFile {
		named = strings.TrimPrefix(value, "file:")
		value, err = r.secret(n, named)
	}
	if err == nil && len(value) < minSecret {
		err = fmt.Errorf("a secret of %d bytes, want at least %d: head -c 32 /dev/urandom | base64", len(value), minSecret)
	}
	return value, err
}
