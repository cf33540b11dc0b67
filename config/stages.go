package config

import (
	"net/netip"
	"time"
)

// Stages are what a request passes on its way to an app or to files, and its
// answer on the way back. They may stand in [server], in an app and in a
// route; the most specific wins, key by key: see Config.Stages. The zero value
// of each is not in use.
type Stages struct {
	Allow, Deny    []netip.Prefix // clients
	Rate           Rate
	Methods        []string
	BasicAuth      BasicAuth
	CORS           CORS
	Headers        Fields // of answers
	RequestHeaders Fields
	Compression    Compression
	Cache          Cache
}

// Rate bounds the requests of a client.
type Rate struct {
	Requests int // 0: unbounded
	Per      time.Duration
	Burst    int // 0: Requests
}

// BasicAuth asks for a password.
type BasicAuth struct {
	File  string // absolute; empty: nobody is asked
	Realm string
}

// CORS says which pages of other sites may use a URL.
type CORS struct {
	Origins     []string // empty: the app alone decides
	Methods     []string
	Headers     []string
	Expose      []string
	Credentials bool
	MaxAge      time.Duration // 0: the browser's own
}

// Fields change the fields of a head.
type Fields struct {
	Set, Add []Variable
	Remove   []string
}

// Compression makes answers smaller.
type Compression struct {
	Encodings []string // empty: none
	Types     []string // empty: the front's own list
	MinSize   int64    // bytes
}

// Cache is what answers say to caches where the app says nothing.
type Cache struct {
	MaxAge    time.Duration // below 0: nothing is said
	Immutable bool
	Private   bool
	NoStore   bool
	Replace   bool
}

// Used reports whether anything is said.
func (c *Cache) Used() bool { return c.MaxAge >= 0 || c.NoStore }

// Rewrite has an app or files see another path.
type Rewrite struct{ From, To string }

// Redirect leads to another URL.
type Redirect struct {
	From   string // empty: every path
	To     string // empty: none
	Status int
}

// Return is an answer out of the configuration.
type Return struct {
	Status int // 0: none
	Body   string
	Type   string
}

// stageKeys may stand in [server], in an app and in a route.
var stageKeys = []key[Stages]{
	field("allow", list(network), `the only clients that are served, addresses or networks, others are 403; empty is everyone`,
		func(s *Stages) *[]netip.Prefix { return &s.Allow }),
	field("deny", list(network), `clients that are not served, also of those in allow`,
		func(s *Stages) *[]netip.Prefix { return &s.Deny }),
	inner("rate", `how many requests a client may make, more is 429; an IPv6 client is its /64`, []key[Rate]{
		field("requests", count(0, 1_000_000), `how many in the time per, on the average; 0 is no bound`,
			func(r *Rate) *int { return &r.Requests }),
		field("per", duration(time.Millisecond), `the time that requests is for`,
			func(r *Rate) *time.Duration { return &r.Per }),
		field("burst", count(0, 1_000_000), `how many at once after a pause; 0 is as many as requests`,
			func(r *Rate) *int { return &r.Burst }),
	}, func(s *Stages) *Rate { return &s.Rate }),
	field("methods", list(method), `the only methods that are taken, GET standing for HEAD too, others are 405; empty is all`,
		func(s *Stages) *[]string { return &s.Methods }),
	inner("basic_auth", `a name and a password are asked for; the app gets REMOTE_USER`, []key[BasicAuth]{
		field("file", optionalPath("a file's path"), `lines of name:hash, by bcrypt ("htpasswd -B") or argon2id; read again at each reload; "" asks nobody`,
			func(b *BasicAuth) *string { return &b.File }),
		field("realm", anyText("a name"), `what a browser shows when it asks`,
			func(b *BasicAuth) *string { return &b.Realm }),
	}, func(s *Stages) *BasicAuth { return &s.BasicAuth }),
	inner("cors", `pages of other sites that may use this; the app sees no preflight`, corsKeys,
		func(s *Stages) *CORS { return &s.CORS }),
	inner("headers", `changes to the header of every answer, of errors too; those of a route come after those of its app and of [server]`, fieldKeys,
		func(s *Stages) *Fields { return &s.Headers }),
	inner("request_headers", `changes to the header that the app gets`, fieldKeys,
		func(s *Stages) *Fields { return &s.RequestHeaders }),
	inner("compression", `answers are made smaller for clients that ask for it; see the manual on BREACH first`, []key[Compression]{
		field("encodings", list(oneOf("zstd", "gzip")), `which, the preferred one first; empty is none`,
			func(c *Compression) *[]string { return &c.Encodings }),
		field("types", list(mediaType), `types of answers, "text/html" or "text/*"; empty is all of text, JSON, XML, SVG and plain fonts`,
			func(c *Compression) *[]string { return &c.Types }),
		field("min_size", size, `the least that is worth it`,
			func(c *Compression) *int64 { return &c.MinSize }),
	}, func(s *Stages) *Compression { return &s.Compression }),
	inner("cache", `Cache-Control of successful answers that say nothing of it themselves`, []key[Cache]{
		field("max_age", maxAge, `how long an answer may be kept; "0s" is to ask each time`,
			func(c *Cache) *time.Duration { return &c.MaxAge }),
		field("immutable", yesNo, `whether even a reload need not ask`,
			func(c *Cache) *bool { return &c.Immutable }),
		field("private", yesNo, `whether only the browser may keep it, no cache between`,
			func(c *Cache) *bool { return &c.Private }),
		field("no_store", yesNo, `whether nobody may keep it`,
			func(c *Cache) *bool { return &c.NoStore }),
		field("replace", yesNo, `whether what the app says of it is replaced`,
			func(c *Cache) *bool { return &c.Replace }),
	}, func(s *Stages) *Cache { return &s.Cache }),
}

var corsKeys = []key[CORS]{
	field("origins", list(webOrigin), `"https://app.example.com" and the like, or "*" alone; empty leaves CORS to the app`,
		func(c *CORS) *[]string { return &c.Origins }),
	field("methods", list(method), `methods beyond GET, HEAD and POST`,
		func(c *CORS) *[]string { return &c.Methods }),
	field("headers", list(fieldPattern), `fields of the request beyond the simple ones, "*" for any`,
		func(c *CORS) *[]string { return &c.Headers }),
	field("expose", list(fieldPattern), `fields of the answer that a page may read`,
		func(c *CORS) *[]string { return &c.Expose }),
	field("credentials", yesNo, `whether cookies and passwords are sent; never with "*"`,
		func(c *CORS) *bool { return &c.Credentials }),
	field("max_age", duration(0), `how long a browser keeps the answer to a preflight; "0s" is its own default`,
		func(c *CORS) *time.Duration { return &c.MaxAge }),
}

var fieldKeys = []key[Fields]{
	field("set", fieldTable, `fields that have this one value, whatever was there`,
		func(f *Fields) *[]Variable { return &f.Set }),
	field("add", fieldTable, `fields that get this value besides`,
		func(f *Fields) *[]Variable { return &f.Add }),
	field("remove", list(fieldName), `fields that are taken out`,
		func(f *Fields) *[]string { return &f.Remove }),
}

// routeStageKeys are those that only a route can have.
var routeStageKeys = []key[Route]{
	inner("rewrite", `another path for the app or the files, once, after the route was found`, []key[Rewrite]{
		must(field("from", expression, `which paths: an expression (RE2), not anchored`,
			func(w *Rewrite) *string { return &w.From })),
		must(field("to", anyText("a path"), `the path, with $1 to $9 for the groups; a query in it comes before the client's, a "?" at its end drops that`,
			func(w *Rewrite) *string { return &w.To })),
	}, func(r *Route) *Rewrite { return &r.Rewrite }),
	inner("redirect", `another URL for the client`, []key[Redirect]{
		field("from", expression, `which paths: an expression (RE2), not anchored; without it, all`,
			func(d *Redirect) *string { return &d.From }),
		must(field("to", anyText("a path or a URL"), `where to, with $1 to $9, $host, $scheme, $path and $uri (path and query); the query goes along if to has none`,
			func(d *Redirect) *string { return &d.To })),
		field("status", redirectStatus, `301 for ever, 302 for now, 303 with GET, 307 and 308 likewise with the same method`,
			func(d *Redirect) *int { return &d.Status }),
	}, func(r *Route) *Redirect { return &r.Redirect }),
	inner("return", `an answer that stands here`, []key[Return]{
		must(field("status", count(200, 599), `its status`,
			func(t *Return) *int { return &t.Status })),
		field("body", words, `its body`,
			func(t *Return) *string { return &t.Body }),
		field("type", mediaType, `its Content-Type`,
			func(t *Return) *string { return &t.Type }),
	}, func(r *Route) *Return { return &r.Return }),
	field("index", list(anyText("a file's name")), `files that stand for a folder, the first that is there`,
		func(r *Route) *[]string { return &r.Index }),
	field("listing", yesNo, `whether a folder without an index shows what is in it`,
		func(r *Route) *bool { return &r.Listing }),
	field("fallback", urlFile, `the file for paths that have none, "/index.html" for single-page applications; with an app of kind folder, php or fcgi, over the app's own`,
		func(r *Route) *string { return &r.Fallback }),
	field("precompressed", list(oneOf("br", "zstd", "gzip")), `encodings whose files may lie beside a file, as app.js.br, .zst and .gz, the preferred one first`,
		func(r *Route) *[]string { return &r.Precompressed }),
}

func defaultStages() Stages {
	return Stages{
		Rate:        Rate{Per: time.Second},
		BasicAuth:   BasicAuth{Realm: "restricted"},
		Compression: Compression{MinSize: 1 << 10},
		Cache:       Cache{MaxAge: unset},
	}
}

// AppStages returns what holds for an app: its own settings over the server's.
func (c *Config) AppStages(a *App) Stages {
	return c.Server.Stages.with(a.Stages, a.Set)
}

// Stages returns what holds for a route: its own settings over its app's, over
// the server's. Of Headers and RequestHeaders that is one level's only: all of
// them are in FieldLevels.
func (c *Config) Stages(r *Route) Stages {
	s := c.Server.Stages
	if a := c.App(r.App); a != nil {
		s = c.AppStages(a)
	}
	return s.with(r.Stages, r.Set)
}

func (s Stages) with(over Stages, set Set) Stages {
	for _, k := range stageKeys {
		k.copySet(&s, &over, set)
	}
	return s
}

// FieldLevels returns the changes to fields that hold for a route, the most
// specific last, so that it has the last word.
func (c *Config) FieldLevels(r *Route) (answers, requests []Fields) {
	levels := []Stages{c.Server.Stages}
	if a := c.App(r.App); a != nil {
		levels = append(levels, a.Stages)
	}
	for _, s := range append(levels, r.Stages) {
		answers, requests = append(answers, s.Headers), append(requests, s.RequestHeaders)
	}
	return answers, requests
}
