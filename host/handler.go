package host

import (
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/app/cgi"
	"github.com/frontd/frontd/app/demo"
	"github.com/frontd/frontd/worker"
	"github.com/frontd/frontd/worker/session"
)

// handler serves the kinds of application that are part of this program. stopping
// is closed when it was told to end.
func handler(a app.App, threads int, found bool, stopping <-chan struct{}) http.Handler {
	if a.Kind == app.CGI {
		return located(bounded(&cgi.Handler{
			Path: a.Target, Found: found, Mount: mount, Env: variables, Inherit: inherited(), Stderr: worker.Stderr,
			Stopping: stopping,
		}, threads))
	}
	return located(bounded(demo.New(demo.Options{Mount: mount, Params: params, Session: kept}), threads))
}

// kept is frontd's session of who asks.
func kept(r *http.Request) demo.Session { return session.From(r.Context()) }

// bounded serves at most n requests at once. One more waits, rather than
// being refused as overloaded: the web server counts a request that it
// aborted as done, while its program may still be ending.
func bounded(h http.Handler, n int) http.Handler {
	slots := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// located has URL.Path say what the web server made of the path: where it
// rewrote it, REQUEST_URI still is what the client sent.
func located(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := variable(r, "SCRIPT_NAME") + variable(r, "PATH_INFO"); strings.HasPrefix(path, "/") && path != r.URL.Path {
			r = r.WithContext(r.Context()) // a copy
			r.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
		}
		h.ServeHTTP(w, r)
	})
}

// mount is the part of the path that belongs to the web server. One that
// sends no PATH_INFO (nginx, unless told to) has the whole path in
// SCRIPT_NAME and says nothing about where the application begins.
func mount(r *http.Request) string {
	if variable(r, "PATH_INFO") == "" {
		return ""
	}
	return strings.TrimSuffix(variable(r, "SCRIPT_NAME"), "/")
}

// variable returns a CGI variable; of several the last, as the environment has it.
func variable(r *http.Request, name string) string {
	value := ""
	for _, p := range worker.Params(r) {
		if p.Name == name {
			value = p.Value
		}
	}
	return value
}

func params(r *http.Request) map[string]string {
	m := make(map[string]string)
	for _, p := range worker.Params(r) {
		m[p.Name] = p.Value
	}
	return m
}

func variables(r *http.Request) []string {
	all := worker.Params(r)
	env := make([]string, len(all))
	for i, p := range all {
		env[i] = p.Name + "=" + p.Value
	}
	return env
}

// inherited names what CGI programs get of this process's environment, which
// a supervisor has made for the application: all, but for what could be taken
// for a request's, or is between this process and its supervisor.
func inherited() []string {
	var names []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case name == "", strings.HasPrefix(name, "HTTP_"), strings.HasPrefix(name, "LISTEN_"), strings.HasPrefix(name, "FRONTD_SESSION"):
		case name == "NOTIFY_SOCKET", name == "WATCHDOG_USEC", name == "WATCHDOG_PID", name == "FCGI_WEB_SERVER_ADDRS":
		case isMetaVariable(name):
		default:
			names = append(names, name)
		}
	}
	return names
}

// isMetaVariable reports whether a name is one of RFC 3875 §4.1, or of those
// that web servers add.
func isMetaVariable(name string) bool {
	switch name {
	case "AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "GATEWAY_INTERFACE", "PATH_INFO", "PATH_TRANSLATED",
		"QUERY_STRING", "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_IDENT", "REMOTE_PORT", "REMOTE_USER",
		"REQUEST_ID", "REQUEST_METHOD", "REQUEST_SCHEME", "REQUEST_URI", "REDIRECT_STATUS",
		"SCRIPT_FILENAME", "SCRIPT_NAME", "SERVER_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL",
		"SERVER_SOFTWARE", "DOCUMENT_ROOT", "DOCUMENT_URI", "HTTPS":
		return true
	}
	return false
}
