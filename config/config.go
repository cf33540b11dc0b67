// Package config reads the configuration file of frontd: TOML, strict, and
// every error at once with its place.
//
// The result is plain structs. No package but the command needs to know that
// a file exists: it hands each its own small struct.
package config

import (
	"io/fs"
	"net/netip"
	"regexp"
	"slices"
	"time"
)

// Config is a whole configuration. It is made by Default, Load or Parse.
type Config struct {
	File      string // as it was given to Load or Parse
	Server    Server
	Log       Log
	Metrics   Metrics
	Incidents Incidents
	Mail      Mail
	Webhook   Webhook
	Apps      []*App   // in the order of the file, names are unique
	Routes    []*Route // in the order of the file: the first that matches serves

	// Warnings are doubts that do not stop the daemon, in the order of the file.
	Warnings Errors
}

// Set tells which keys of a section the file set, and where. Keys of inner
// tables are dotted: "timeout.request".
type Set map[string]Pos

// Has reports whether the file set the key.
func (s Set) Has(key string) bool { _, ok := s[key]; return ok }

// Server is the [server] table.
type Server struct {
	Set Set
	// Listen is where requests come from. Never empty.
	Listen []Address
	// SocketMode is the permission of unix sockets in Listen. Default 0660.
	SocketMode fs.FileMode
	// Control is the path of the control socket. Empty: the default that
	// depends on the environment.
	Control string
	// ShutdownTimeout bounds a graceful stop. Default 30s.
	ShutdownTimeout time.Duration
	// TrustedProxies are the peers whose X-Forwarded-* is believed. Default none.
	TrustedProxies []netip.Prefix
	// Cgroup is the folder of a control group that is ours alone. Empty: the one
	// that systemd has delegated, if any.
	Cgroup string
	// TLS is the certificate of https:// listeners.
	TLS TLS
	// HeaderTimeout is the most that a request's head may take. Default 10s.
	HeaderTimeout time.Duration
	// IdleTimeout is how long a kept connection may wait for its next request. Default 60s.
	IdleTimeout time.Duration
	// Engine is what parses HTTP/1 without TLS: "own" or "net/http". Default "own".
	Engine string
	// BodyRate is the slowest that a body may come, in bytes a second. Default 500; 0 is no limit.
	BodyRate int64
	// Session holds only where Set says so: see Config.Session.
	Session Session
	// Limits hold for every app and route that does not set its own. All filled.
	Limits Limits
	// Stages likewise: see Config.Stages.
	Stages Stages
}

// TLS names a certificate, PEM. Both are empty or both are absolute paths.
type TLS struct {
	Certificate string // the chain, leaf first
	Key         string
}

// Log is the [log] table.
type Log struct {
	Set    Set
	Format string // "text" or "json"; default "text"
	Access bool   // a line for each request; default true
	File   string // absolute path; empty is stderr
	Level  string // "debug", "info", "warn" or "error"; default "info"
}

// Metrics is the [metrics] table.
type Metrics struct {
	Set Set
	// Listen is where numbers and health are told. Zero: nowhere.
	Listen Address
	// Hosts are names that Listen may be called by, lower case, "*.name" too.
	Hosts []string
}

// Limits are the settings that may stand in [server], in an app and in a
// route. The most specific wins: see Config.Limits.
type Limits struct {
	MaxBody int64 // bytes; default 64 MiB; 0 is no limit
	// ResponseBuffer and ResponseFile are how much of an answer is taken off
	// a worker ahead of the client, in bytes of memory and of a file behind it,
	// which an answer that is made as it is read does not use.
	ResponseBuffer int64 // default 256 KiB
	ResponseFile   int64 // default 1 GiB; 0 is no file
	Timeout        Timeouts
	Queue          Queue
}

// Timeouts bound the steps of a request and of a worker's life. Zero is no limit.
type Timeouts struct {
	Start     time.Duration // a worker until it is ready; default 30s; not in a route
	Request   time.Duration // a request from worker to end; default 60s
	FirstByte time.Duration // the same, until the first byte of the answer; default 0
	Slow      time.Duration // a request until its worker's stacks are logged; default 0
	Stop      time.Duration // a worker that was asked to stop; default 30s; not in a route
}

// Queue bounds the requests that wait for a worker.
type Queue struct {
	Size    int           // default 1024; 0 is no waiting; not in a route
	Timeout time.Duration // default 5s
}

// App is an [app.NAME] table.
type App struct {
	Set  Set
	Pos  Pos
	Name string
	Kind Kind
	// Target is what runs, by Kind: MODULE[:CALLABLE], the absolute document
	// root or CGI path, the command as it was written, or the address.
	Target string
	// Command is Target in words, for KindGo and KindExec.
	Command []string
	// Address is Target, for KindFCGI.
	Address Address
	// Directory is where the workers run, absolute. Default: the configuration file's.
	Directory string
	// Python is the interpreter for KindWSGI. Empty: found as the documentation says.
	Python string
	// Middleware are the WSGI middlewares around the app, MODULE:CALLABLE, the
	// outermost first.
	Middleware []string
	Preload    bool // fork the workers from a process that has loaded the app
	// Handlers say, for KindFolder, what files of an extension are: over
	// DefaultHandlers. Sorted.
	Handlers Handlers
	// LimitExtensions are the only files that PHP runs, by their extension, for
	// KindPHP and for KindFCGI with a directory. Default .php.
	LimitExtensions []string
	// Fallback is the file or program for paths that have none, below the folder
	// of a KindFolder, a KindPHP or a KindFCGI with a directory: see Config.Fallback.
	Fallback string
	// Folder is, for the apps that a KindFolder is made of, its root. No file sets it.
	Folder string
	// Settings are what the app finds in environ["frontd.config"], sorted by name.
	Settings []Variable
	// Workers is how many processes; for KindFCGI, how many connections. 0: as many as CPUs.
	Workers int
	// Elastic, if its Max is not 0, stands in the place of Workers.
	Elastic Elastic
	// Surge is how many new workers start at once where they take over. 0: all.
	Surge int
	// Ready is a path that a starting worker has to answer. Empty: none.
	Ready string
	// Ping is how often an idle worker has to answer. 0: never asked.
	Ping time.Duration
	// Recycle says when a worker is replaced.
	Recycle Recycle
	// Threads is how many requests a worker serves at once. Default 1.
	Threads int
	// Env is added to the workers' environment, sorted by name.
	Env []Variable
	// User and Group are whom the workers run as, by name or number. Empty: frontd's own.
	User, Group string
	// NewPrivileges lets set-user-ID programs work for a User. Default false.
	NewPrivileges bool
	// Umask is the workers'. Default -1: frontd's own.
	Umask int
	// Nice is added to frontd's own. Default 0.
	Nice int
	// Bounds are what the workers may take of the machine.
	Bounds Bounds
	// Output is where what the workers print goes.
	Output Output
	// ErrorPages are those of the app for what frontd answers in its place, and of
	// its routes that have none of their own.
	ErrorPages []ErrorPage
	// Exception holds only where Set says so: see Config.Exception.
	Exception Exception
	// Session holds only where Set says so: see Config.Session.
	Session Session
	// Body is how a request's body reaches the worker: "stream" or "spool".
	Body string
	// Limits hold only where Set says so: see Config.Limits.
	Limits Limits
	// Stages likewise: see Config.Stages.
	Stages Stages
}

// Bounds are what an app's workers may take of the machine. 0 is no bound.
type Bounds struct {
	OpenFiles int     // of a process
	Memory    int64   // bytes, of all workers in a control group, else of a process
	CPUs      float64 // of all workers in a control group, else unbounded
	Processes int     // and threads, of all workers in a control group, else of the user
	FileSize  int64   // bytes, that a process may write to a file
	Core      int64   // bytes of a core dump; 0 is none; default -1: as frontd was started
}

// Output is where an app's workers print to.
type Output struct {
	File string // absolute; empty is frontd's log
}

// Variable is one environment variable of the workers.
type Variable struct {
	Name, Value string
	Secret      bool // read from a file, or named like a secret: never shown
}

// Environ returns the app's variables as NAME=VALUE.
func (a *App) Environ() []string {
	var env []string
	for _, v := range a.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

// A Kind is what an app is.
type Kind string

// Kinds of app.
const (
	KindGo     Kind = "go"     // a Go program made with the SDK: Command
	KindWSGI   Kind = "wsgi"   // Python: Target is MODULE[:CALLABLE]
	KindPHP    Kind = "php"    // Target is the document root
	KindCGI    Kind = "cgi"    // Target is a program or a folder of them
	KindFolder Kind = "folder" // Target is a folder of programs and files: see Handlers
	KindExec   Kind = "exec"   // a FastCGI program that listens on fd 0: Command
	KindFCGI   Kind = "fcgi"   // a FastCGI server that runs already: Address
	KindDemo   Kind = "demo"   // built in
)

// Route is a [[route]] table.
type Route struct {
	Set  Set
	Pos  Pos
	Host string // lower case, without port; "*.example.com" is any name below; empty is any host
	Path Path
	// Mount is SCRIPT_NAME, without a slash at its end: "" or "/blog". Where
	// the file does not set it, it is as Config.mount decides.
	Mount string
	// App names the app that serves; Root is a folder of files, absolute, which
	// come before the app where both are set. None is only beside Redirect or Return.
	App  string
	Root string
	// Internal routes take only what an app's X-Accel-Redirect leads to.
	Internal bool
	// Sendfile are the folders of files that the app may name with X-Sendfile.
	Sendfile []string
	// Authorizer names the app that is asked first.
	Authorizer string
	// Handlers are those of this URL, over the app's.
	Handlers Handlers
	// Rewrite, Redirect and Return are not in use where they are zero.
	Rewrite  Rewrite
	Redirect Redirect
	Return   Return
	// Index, Listing, Fallback and Precompressed are of a route with Root; Fallback
	// is also of one whose app is a folder: see Config.Fallback.
	Index         []string // default index.html
	Listing       bool
	Fallback      string // a path below Root or the app's folder; empty: none
	Precompressed []string
	// Limits hold only where Set says so: see Config.Limits.
	Limits Limits
	// ErrorPages, if there are any, stand in the place of the app's.
	ErrorPages []ErrorPage
	// Exception holds only where Set says so: see Config.Exception.
	Exception Exception
	// Stages likewise: see Config.Stages.
	Stages Stages
	// Session holds only where Set says so: see Config.Session.
	Session Session
}

// Path is what a route matches of a URL's path.
type Path struct {
	Match  Match
	Text   string         // the prefix or the whole path, beginning with "/"; or the expression
	Regexp *regexp.Regexp // for MatchRegexp, else nil
}

// A Match is how a Path is compared.
type Match uint8

// Ways to match a path.
const (
	MatchPrefix Match = iota // "/static/": a prefix that ends at a segment border
	MatchExact               // "= /exact"
	MatchRegexp              // "~ regexp", in RE2 syntax, unanchored
)

// String returns p as it is written in the file.
func (p Path) String() string {
	switch p.Match {
	case MatchExact:
		return "= " + p.Text
	case MatchRegexp:
		return "~ " + p.Text
	}
	return p.Text
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Server: Server{
			Listen:          []Address{{Net: "tcp", Addr: "127.0.0.1:8080"}},
			SocketMode:      DefaultSocketMode,
			ShutdownTimeout: 30 * time.Second,
			HeaderTimeout:   10 * time.Second,
			IdleTimeout:     60 * time.Second,
			Engine:          "own",
			BodyRate:        500,
			Session:         defaultSession(),
			Limits: Limits{
				MaxBody: 64 << 20, ResponseBuffer: 256 << 10, ResponseFile: 1 << 30,
				Timeout: Timeouts{Start: 30 * time.Second, Request: 60 * time.Second, Stop: 30 * time.Second},
				Queue:   Queue{Size: 1024, Timeout: 5 * time.Second},
			},
			Stages: defaultStages(),
		},
		Log:       Log{Format: "text", Access: true, Level: "info"},
		Incidents: Incidents{Keep: 500, Size: 64 << 20},
		Mail:      defaultMail(),
		Webhook:   defaultWebhook(),
	}
}

// DefaultApp returns the app of an empty table, without a name and a kind.
func DefaultApp() *App {
	return &App{Set: Set{}, Threads: 1, Body: "stream", Recycle: Recycle{Jitter: defaultJitter}, Umask: unset, Bounds: Bounds{Core: unset}, Stages: defaultStages(), Exception: defaultException(), Session: defaultSession()}
}

func defaultRoute() *Route {
	return &Route{
		Set: Set{}, Path: Path{Text: "/"}, Index: []string{"index.html"},
		Redirect: Redirect{Status: 302}, Return: Return{Type: "text/plain; charset=utf-8"}, Stages: defaultStages(), Exception: defaultException(), Session: defaultSession(),
	}
}

// App returns the app of that name, or nil.
func (c *Config) App(name string) *App {
	i := slices.IndexFunc(c.Apps, func(a *App) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return c.Apps[i]
}

// AppLimits returns what holds for an app: its own settings over the server's.
func (c *Config) AppLimits(a *App) Limits {
	return c.Server.Limits.with(a.Limits, a.Set)
}

// Limits returns what holds for a route: its own settings over its app's,
// over the server's.
func (c *Config) Limits(r *Route) Limits {
	l := c.Server.Limits
	if a := c.App(r.App); a != nil {
		l = c.AppLimits(a)
	}
	return l.with(r.Limits, r.Set)
}

// with returns l, replaced by what is set in over.
func (l Limits) with(over Limits, set Set) Limits {
	for _, k := range limitKeys {
		k.copySet(&l, &over, set)
	}
	return l
}
