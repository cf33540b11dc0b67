package config

import (
	"slices"
	"time"
)

// serverKeys is the [server] table.
var serverKeys = append([]key[Server]{
	field("listen", listeners,
		`where requests come from: "HOST:PORT" or "http://HOST:PORT", "https://HOST:PORT" with tls, "fcgi://HOST:PORT", "unix:/path" (HTTP), "fcgi+unix:/path", "systemd:NAME"`,
		func(s *Server) *[]Address { return &s.Listen }),
	field("socket_mode", fileMode,
		`the permission of the unix sockets in listen, octal; whoever may write may connect`,
		socketMode),
	field("control", socketPath,
		`the path of the control socket, for frontd status, reload and the like; without it, a place that depends on how frontd was started`,
		func(s *Server) *string { return &s.Control }),
	field("shutdown_timeout", duration(0),
		`the most that a graceful stop may take; what still runs then is ended`,
		func(s *Server) *time.Duration { return &s.ShutdownTimeout }),
	field("trusted_proxies", list(network),
		`addresses or networks whose X-Forwarded-For and -Proto are believed; from anyone else they are not, and X-Forwarded-Host from nobody`,
		trustedProxies),
	field("header_timeout", duration(time.Millisecond),
		`the most that a client may take to send a request's head, then 408`,
		func(s *Server) *time.Duration { return &s.HeaderTimeout }),
	field("idle_timeout", duration(time.Millisecond),
		`how long a kept connection may wait for its next request`,
		func(s *Server) *time.Duration { return &s.IdleTimeout }),
	field("engine", oneOf("own", "net/http"),
		`what parses HTTP/1 without TLS: frontd's own parser, or Go's; the rest of it, and the answers, are the same`,
		func(s *Server) *string { return &s.Engine }),
	field("body_rate", size,
		`the slowest that a request's body may come, in bytes a second, then 408; 0 is no limit`,
		func(s *Server) *int64 { return &s.BodyRate }),
	field("cgroup", path("a control group's folder"),
		`a control group (version 2) for the workers' own, which is frontd's alone and holds no processes; without it, the one that systemd made frontd's (Delegate=yes)`,
		func(s *Server) *string { return &s.Cgroup }),
	inner("session", `the session that the workers of all languages share`, sessionKeys,
		func(s *Server) *Session { return &s.Session }),
	inner("tls", `the certificate of https:// listeners; read again at each reload`, tlsKeys,
		func(s *Server) *TLS { return &s.TLS }),
}, slices.Concat(
	lift(limitKeys, func(s *Server) *Limits { return &s.Limits }),
	lift(stageKeys, func(s *Server) *Stages { return &s.Stages }),
)...)

var tlsKeys = []key[TLS]{
	must(field("certificate", path("a file's path"), `the file with the certificate chain, PEM, the server's own first`,
		func(t *TLS) *string { return &t.Certificate })),
	must(field("key", path("a file's path"), `the file with its private key, PEM`,
		func(t *TLS) *string { return &t.Key })),
}

// limitKeys may stand in [server] and in an app.
var limitKeys = []key[Limits]{
	field("max_body", size, `the largest body of a request, more is 413; 0 is no limit`,
		func(l *Limits) *int64 { return &l.MaxBody }),
	field("response_buffer", size, `how much of an answer is taken off a worker ahead of a slow client, in memory; not for workers with flow control`,
		func(l *Limits) *int64 { return &l.ResponseBuffer }),
	field("response_file", size, `how much more goes to a file without a name, but of an iterable of Python's without Content-Length; then the worker waits for the client; 0 is no file`,
		func(l *Limits) *int64 { return &l.ResponseFile }),
	inner("timeout", `the most that a step may take; "0s" is no limit`, []key[Timeouts]{
		field("start", duration(0), `a worker, until it is ready to serve`,
			func(t *Timeouts) *time.Duration { return &t.Start }),
		timeoutRequest,
		timeoutFirstByte,
		timeoutSlow,
		field("stop", duration(0), `a worker that was asked to stop, then it is killed`,
			func(t *Timeouts) *time.Duration { return &t.Stop }),
	}, func(l *Limits) *Timeouts { return &l.Timeout }),
	inner("queue", `requests that wait for a worker`, []key[Queue]{
		field("size", count(0, 1<<20), `how many may wait, one more is 503; 0 is no waiting`,
			func(q *Queue) *int { return &q.Size }),
		queueTimeout,
	}, func(l *Limits) *Queue { return &l.Queue }),
}

// routeLimitKeys are those of limitKeys that a single URL can have.
var routeLimitKeys = []key[Limits]{
	limitKeys[0], limitKeys[1], limitKeys[2],
	inner("timeout", `the most that a step may take; "0s" is no limit`,
		[]key[Timeouts]{timeoutRequest, timeoutFirstByte, timeoutSlow},
		func(l *Limits) *Timeouts { return &l.Timeout }),
	inner("queue", `requests that wait for a worker`, []key[Queue]{queueTimeout},
		func(l *Limits) *Queue { return &l.Queue }),
}

var (
	timeoutRequest = field("request", duration(0),
		`a request from the worker's start on it to its end, then 504 and the worker is replaced`,
		func(t *Timeouts) *time.Duration { return &t.Request })
	timeoutFirstByte = field("first_byte", duration(0),
		`a request until the first byte of its answer, then 504 and the worker is replaced`,
		func(t *Timeouts) *time.Duration { return &t.FirstByte })
	timeoutSlow = field("slow", duration(0),
		`a request is slow after so long: its worker's stacks are logged, where it can tell them, and it goes on; "0s" is never`,
		func(t *Timeouts) *time.Duration { return &t.Slow })
	queueTimeout = field("timeout", duration(time.Millisecond),
		`how long a request may wait, then 503`,
		func(q *Queue) *time.Duration { return &q.Timeout })
)

// logKeys is the [log] table.
var logKeys = []key[Log]{
	field("format", oneOf("text", "json"), `how a line is written`,
		func(l *Log) *string { return &l.Format }),
	field("access", yesNo, `whether each request has its line`,
		func(l *Log) *bool { return &l.Access }),
	field("file", path("a file's path"), `where lines go, opened again on SIGUSR1; without it, to stderr`,
		func(l *Log) *string { return &l.File }),
	field("level", oneOf("debug", "info", "warn", "error"), `the least important that is logged`,
		func(l *Log) *string { return &l.Level }),
}

// metricsKeys is the [metrics] table.
var metricsKeys = []key[Metrics]{
	field("listen", listener,
		`where /metrics, /live, /ready, /status.json and the status page are served, "HOST:PORT", "unix:/path" or "systemd:NAME"; without it, nowhere`,
		func(m *Metrics) *Address { return &m.Listen }),
	field("hosts", list(hostPattern),
		`names that a browser or Prometheus may use for this listener, besides addresses, localhost and this machine's own name`,
		func(m *Metrics) *[]string { return &m.Hosts }),
}

// appKeys is an [app.NAME] table.
var appKeys = append([]key[App]{
	must(field("kind", oneOf(KindGo, KindWSGI, KindPHP, KindCGI, KindFolder, KindExec, KindFCGI, KindDemo),
		`what the app is: a Go program, Python, PHP, CGI, a folder that mixes these with files, any FastCGI program on fd 0, a FastCGI server that runs already, or the built-in demo`,
		func(a *App) *Kind { return &a.Kind })),
	field("target", anyText(`what runs`),
		`what runs: MODULE[:CALLABLE] (wsgi), the document root (php), a program or a folder of them (cgi), the folder (folder), a command (go, exec), an address (fcgi)`,
		func(a *App) *string { return &a.Target }),
	field("directory", path("a folder's path"), `the workers' working directory; without it, the folder of this file; for fcgi, the document root, whose PHP scripts the server runs and whose other files frontd sends itself`,
		func(a *App) *string { return &a.Directory }),
	field("python", interpreter, `the interpreter (wsgi); without it: $VIRTUAL_ENV, then .venv or venv in directory, then python3`,
		func(a *App) *string { return &a.Python }),
	field("middleware", list(middleware), `WSGI middleware around the app, "MODULE:CALLABLE", the first one outermost`,
		func(a *App) *[]string { return &a.Middleware }),
	field("preload", yesNo, `whether the workers are forked from a process that has imported the app once, so that they share its memory (wsgi, Linux); without it, each imports it for itself`,
		func(a *App) *bool { return &a.Preload }),
	field("handlers", handlers, `what a file of an extension is (folder): "wsgi", "cgi", "php", "static", or "off" for nobody's; without it, { ".cgi" = "cgi", ".php" = "php", ".py" = "wsgi" }, and every other file is static`,
		func(a *App) *Handlers { return &a.Handlers }),
	field("limit_extensions", list(extension), `the only files that PHP runs, by extension (php, and fcgi with a directory); without it, [".php"]`,
		func(a *App) *[]string { return &a.LimitExtensions }),
	field("fallback", urlFile, `the file or program for paths that have none (folder, php, and fcgi with a directory), "/index.php"; "" for none; without it, "/index.php" for php and fcgi`,
		func(a *App) *string { return &a.Fallback }),
	field("settings", environment, `what the app finds in environ["frontd.config"] (wsgi), or as variables FRONTD_CONFIG_NAME of each request (every other kind): a table of strings; "file:/path" reads a secret from a file`,
		func(a *App) *[]Variable { return &a.Settings }),
	workersKey,
	field("surge", count(0, maxProcesses), `how many new workers start beside the old ones at once where they take over; 0 is all of them, so that no old one leaves before all new ones are ready`,
		func(a *App) *int { return &a.Surge }),
	field("ready", urlText, `a path that a starting worker has to answer with less than 500 before it serves; without it, it has to answer FastCGI`,
		func(a *App) *string { return &a.Ready }),
	field("ping", duration(0), `how often an idle worker is asked whether it still answers, and replaced if it does not within 3 s; "0s" is never`,
		func(a *App) *time.Duration { return &a.Ping }),
	inner("recycle", `when a worker is replaced by a new one, which is ready before the old one leaves`, recycleKeys,
		func(a *App) *Recycle { return &a.Recycle }),
	field("threads", count(1, 1024), `how many requests a worker serves at once; more than 1 needs a thread-safe app`,
		func(a *App) *int { return &a.Threads }),
	field("env", environment, `variables of the workers, who inherit only PATH, HOME, LANG and TZ; "file:/path" reads a secret from a file`,
		environ),
	inner("session", `the session of this app's requests`, sessionKeys,
		func(a *App) *Session { return &a.Session }),
	field("error_page", errorPages, errorPageDoc,
		func(a *App) *[]ErrorPage { return &a.ErrorPages }),
	inner("exception", `what becomes of errors of this app`, exceptionKeys,
		func(a *App) *Exception { return &a.Exception }),
	field("user", anyText("a user's name or number"), `the user that the workers run as, by name or number, with its groups; frontd must be root for any other than its own`,
		func(a *App) *string { return &a.User }),
	field("group", anyText("a group's name or number"), `the workers' group in the place of the user's own, by name or number`,
		func(a *App) *string { return &a.Group }),
	field("new_privileges", yesNo, `whether set-user-ID programs (sudo, some sendmail) still work for the workers of another user`,
		func(a *App) *bool { return &a.NewPrivileges }),
	field("umask", umask, `the permissions that files made by the workers never get, octal; without it, frontd's own`,
		func(a *App) *int { return &a.Umask }),
	field("nice", count(-20, 19), `how much the workers yield to others for the CPU: 19 always, -20 never; below frontd's own needs root`,
		func(a *App) *int { return &a.Nice }),
	inner("limits", `the most that the workers may take of the machine; 0 is no limit`, boundKeys,
		func(a *App) *Bounds { return &a.Bounds }),
	inner("output", `where what the workers print goes`, []key[Output]{
		field("file", path("a file's path"), `a file of their own, opened again on SIGUSR1; without it, frontd's log`,
			func(o *Output) *string { return &o.File }),
	}, func(a *App) *Output { return &a.Output }),
	field("body", body, `how a request's body reaches the worker: "stream", as it comes, or "spool", the whole of it first, so that its length is always known and no slow client holds a worker`,
		func(a *App) *string { return &a.Body }),
}, slices.Concat(
	lift(limitKeys, func(a *App) *Limits { return &a.Limits }),
	lift(stageKeys, func(a *App) *Stages { return &a.Stages }),
)...)

// boundKeys are what an app may take of the machine.
var boundKeys = []key[Bounds]{
	field("open_files", count(0, 1<<20), `open descriptors of a process`,
		func(b *Bounds) *int { return &b.OpenFiles }),
	field("memory", bound(16<<20), `memory of all workers together, in a control group; without one, of each process by itself`,
		func(b *Bounds) *int64 { return &b.Memory }),
	field("cpus", cpus, `processor time of all workers together, in CPUs: 1.5 is one and a half; only in a control group`,
		func(b *Bounds) *float64 { return &b.CPUs }),
	field("processes", count(0, 1<<20), `processes and threads of all workers together, in a control group; without one, of the user, where it is the app's own`,
		func(b *Bounds) *int { return &b.Processes }),
	field("file_size", bound(1), `the largest file that a process may write`,
		func(b *Bounds) *int64 { return &b.FileSize }),
	field("core", coreSize, `the largest core dump of a process, 0 for none; without it, as frontd was started`,
		func(b *Bounds) *int64 { return &b.Core }),
}

// routeKeys is a [[route]] table.
var routeKeys = append([]key[Route]{
	field("host", hostPattern, `the Host this is for: "example.com", or "*.example.com" for any name below it; without it, any`,
		func(r *Route) *string { return &r.Host }),
	field("path", urlPath, `the paths this is for: "/prefix/" up to a segment border, "= /exact", or "~ regexp" (RE2)`,
		func(r *Route) *Path { return &r.Path }),
	field("app", anyText("the name of an app"), `the app that serves, by its name in [app.NAME]`,
		func(r *Route) *string { return &r.App }),
	field("mount", mountPrefix, `the beginning of the path that is SCRIPT_NAME, the rest being PATH_INFO; without it, path for php, cgi and folder, where it is a prefix, and "/", nothing, for every other kind`,
		func(r *Route) *string { return &r.Mount }),
	field("root", path("a folder's path"), `the folder whose files are served, without any worker; with app, what is no file there, and every request but GET and HEAD, is the app's`,
		func(r *Route) *string { return &r.Root }),
	field("internal", yesNo, `a route with root that no client reaches: only an app's X-Accel-Redirect leads to it`,
		func(r *Route) *bool { return &r.Internal }),
	field("sendfile", list(path("a folder's path")), `folders whose files the app may have sent in the place of its answer, by X-Sendfile with the absolute path`,
		func(r *Route) *[]string { return &r.Sendfile }),
	field("handlers", handlers, `what a file of an extension is below this URL, over the app's handlers (an app of kind folder)`,
		func(r *Route) *Handlers { return &r.Handlers }),
	field("authorizer", anyText("the name of an app"), `the app that is asked first, in FastCGI's Authorizer role, whether the request may go on (go, exec, fcgi)`,
		func(r *Route) *string { return &r.Authorizer }),
	inner("session", `the session of requests for these URLs`, sessionKeys,
		func(r *Route) *Session { return &r.Session }),
	field("error_page", errorPages, errorPageDoc,
		func(r *Route) *[]ErrorPage { return &r.ErrorPages }),
	inner("exception", `what becomes of errors at these URLs`, exceptionKeys,
		func(r *Route) *Exception { return &r.Exception }),
}, slices.Concat(
	routeStageKeys,
	lift(routeLimitKeys, func(r *Route) *Limits { return &r.Limits }),
	lift(stageKeys, func(r *Route) *Stages { return &r.Stages }),
)...)
