package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mail is the [mail] table: who is told of incidents by mail.
type Mail struct {
	Set      Set
	SMTP     string   // "host:port"; empty: no mail
	From     string   // as in a From field
	To       []string // likewise; at least one where SMTP is set
	Username string
	Password string
	TLS      string        // "starttls", "tls" or "none"; default "starttls"
	CA       string        // absolute path of certificates, PEM; empty: the system's
	PerHour  int           // mails; default 12
	Digest   time.Duration // between mails of what was told before; default 5m
}

// Webhook is the [webhook] table: what is told of incidents by HTTP.
type Webhook struct {
	Set     Set
	URL     string     // empty: nothing
	Headers []Variable // of each request
	Secret  string     // signs it; empty: no signature
	Timeout time.Duration
	PerHour int
	Digest  time.Duration
}

func defaultMail() Mail { return Mail{TLS: "starttls", PerHour: 12, Digest: 5 * time.Minute} }

func defaultWebhook() Webhook {
	return Webhook{Timeout: 10 * time.Second, PerHour: 600, Digest: 5 * time.Minute}
}

var mailKeys = []key[Mail]{
	field("smtp", hostPort, `the mail server, "host:port" (587 with starttls, 465 with tls); without it, no mail is sent`,
		func(m *Mail) *string { return &m.SMTP }),
	field("from", mailbox, `the sender, "frontd@example.com" or "Name <frontd@example.com>"`,
		func(m *Mail) *string { return &m.From }),
	field("to", list(mailbox), `who is told`,
		func(m *Mail) *[]string { return &m.To }),
	field("username", anyText("a name"), `who frontd is to the server; without it, it does not log in`,
		func(m *Mail) *string { return &m.Username }),
	field("password", secretText, `its password, best as "file:/path"`,
		func(m *Mail) *string { return &m.Password }),
	field("tls", oneOf("starttls", "tls", "none"), `"starttls": nothing is said before it is encrypted; "tls": encrypted from the first byte on; "none": not at all, and no password is told but to this machine`,
		func(m *Mail) *string { return &m.TLS }),
	field("ca", path("a file's path"), `certificates (PEM) that the server's must come from; without it, the system's`,
		func(m *Mail) *string { return &m.CA }),
	field("per_hour", count(1, 3600), `how many mails are sent in any hour at most; what is over waits for the next, which says so`,
		func(m *Mail) *int { return &m.PerHour }),
	field("digest", duration(time.Second), `how often what was told before is told again, if it came again; new incidents are told at once`,
		func(m *Mail) *time.Duration { return &m.Digest }),
}

var webhookKeys = []key[Webhook]{
	field("url", webURL, `where each incident is posted to as JSON, "https://…"; without it, nowhere`,
		func(w *Webhook) *string { return &w.URL }),
	field("headers", headerFields, `fields of each request: { NAME = "value" }; "file:/path" reads a secret from a file`,
		func(w *Webhook) *[]Variable { return &w.Headers }),
	field("secret", secretText, `the key that signs each request (HMAC-SHA256, in X-Frontd-Signature), best as "file:/path"; without it, none is signed`,
		func(w *Webhook) *string { return &w.Secret }),
	field("timeout", duration(time.Millisecond), `the most that one request may take; it is tried again later`,
		func(w *Webhook) *time.Duration { return &w.Timeout }),
	field("per_hour", count(1, 36_000), `how many requests are made in any hour at most; what is over comes later`,
		func(w *Webhook) *int { return &w.PerHour }),
	field("digest", duration(time.Second), `how often what was told before is told again, if it came again`,
		func(w *Webhook) *time.Duration { return &w.Digest }),
}

var hostPort = parsed(`a server as "host:port"`, func(_ *reader, s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		return "", fmt.Errorf(`%q is not "host:port", such as "mail.example.com:587"`, s)
	}
	return s, nil
}, sameText)

var mailbox = parsed(`an address such as "ops@example.com"`, func(_ *reader, s string) (string, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || !strings.Contains(a.Address, "@") || strings.ContainsAny(s, "\r\n\x00") {
		return "", fmt.Errorf(`%q is no mail address: want "ops@example.com" or "Name <ops@example.com>"`, s)
	}
	return s, nil
}, sameText)

var webURL = parsed(`an address such as "https://example.com/hook"`, func(_ *reader, s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Fragment != "" {
		return "", errors.New(`not an address such as "https://example.com/hook"`) // itself may be a secret
	}
	return s, nil
}, func(s string) string {
	if u, err := url.Parse(s); err == nil && (u.User != nil || u.RawQuery != "") {
		return u.Scheme + "://" + u.Host + u.Path + "?" + mask
	}
	return s
})

// secretText is a string that is never shown, itself or in a file.
var secretText = form[string]{
	read: func(r *reader, n *node) (string, error) {
		v, err := r.variable(entry{name: "secret", value: n})
		return v.Value, err
	},
	text: func(s string) string {
		if s == "" {
			return `""`
		}
		return quote(mask)
	},
	schema: property{"type": "string"},
}

// headerFields is a table of fields of a request.
var headerFields = form[[]Variable]{
	read: func(r *reader, n *node) ([]Variable, error) {
		if n.kind != table {
			return nil, fmt.Errorf(`%v, want a table: { NAME = "value" }`, n.kind)
		}
		var fields []Variable
		for _, e := range n.entries {
			v, err := r.variable(e)
			switch {
			case err != nil:
				r.fail(e.value.pos, e.value.path, err)
			case !isFieldName(e.name) || strings.ContainsAny(v.Value, "\r\n\x00"):
				r.failf(e.pos, e.value.path, "%q is no field of a request, or its value has more than one line", e.name)
			default:
				v.Secret = v.Secret || strings.EqualFold(e.name, "Authorization")
				fields = append(fields, v)
			}
		}
		slices.SortFunc(fields, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
		return fields, nil
	},
	text: func(fields []Variable) string {
		var list []string
		for _, v := range fields {
			value := v.Value
			if v.Secret {
				value = mask
			}
			list = append(list, quote(v.Name)+" = "+quote(value))
		}
		if list == nil {
			return "{ }"
		}
		return "{ " + strings.Join(list, ", ") + " }"
	},
	schema: property{"type": "object", "additionalProperties": property{"type": "string"}},
}

// isFieldName reports whether s is a token (RFC 9110 §5.6.2).
func isFieldName(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// checkNotices finds what mail lacks.
func (r *reader) checkNotices(c *Config) {
	m := &c.Mail
	if len(m.Set) > 0 && !r.broken {
		for _, need := range []struct {
			name string
			has  bool
		}{{"smtp", m.SMTP != ""}, {"from", m.From != ""}, {"to", len(m.To) > 0}} {
			if !need.has && !m.Set.Has(need.name) {
				r.failf(first(m.Set), "mail."+need.name, "is missing: [mail] needs smtp, from and to")
			}
		}
		if pos, ok := m.Set["to"]; ok && len(m.To) == 0 {
			r.failf(pos, "mail.to", "empty, want at least one address")
		}
	}
	if pos, ok := m.Set["password"]; ok && m.Username == "" {
		r.failf(pos, "mail.password", "means nothing without username")
	}
	if pos, ok := m.Set["tls"]; ok && m.TLS == "none" && m.Username != "" {
		r.warnf(pos, "mail.tls", "without TLS the password is told to no server but one on this machine")
	}
	if len(c.Webhook.Set) > 0 && !c.Webhook.Set.Has("url") {
		r.failf(first(c.Webhook.Set), "webhook.url", "is missing: where the incidents are posted to")
	}
}

// first is where a table's first key stands.
func first(s Set) Pos {
	var at Pos
	for _, p := range s {
		if at == (Pos{}) || p.Line < at.Line {
			at = p
		}
	}
	return at
}
