package cgi

import (
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// environment is all that a program gets to see: the meta-variables, PATH
// and what Inherit names.
func (h *Handler) environment(r *http.Request, prog program) []string {
	keep := append([]string{"PATH"}, h.Inherit...)
	var vars []string
	if h.Env != nil {
		vars = h.Env(r)
	} else {
		vars = metaVariables(r, prog)
	}
	env := make([]string, 0, len(vars)+len(keep)+5)
	root := ""
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		if name == "DOCUMENT_ROOT" {
			root = value
		}
		if ok && settable(name) && !slices.Contains(keep, name) && !strings.Contains(value, "\x00") && name != "SCRIPT_FILENAME" && !(prog.inDir && isLocation(name)) {
			env = append(env, v)
		}
	}
	env = append(env, "SCRIPT_FILENAME="+prog.file)
	if prog.inDir {
		env = append(env, "SCRIPT_NAME="+prog.scriptName)
		if prog.pathInfo != "" {
			env = append(env, "PATH_INFO="+prog.pathInfo)
		}
		if path, ok := translated(root, prog.pathInfo); ok {
			env = append(env, "PATH_TRANSLATED="+path)
		}
	}
	for _, name := range keep {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// translated is PATH_TRANSLATED (RFC 3875 §4.1.6) of a PATH_INFO that stays
// below the document root.
func translated(root, pathInfo string) (string, bool) {
	if root == "" || pathInfo == "" || path.Clean(pathInfo) != strings.TrimSuffix(pathInfo, "/") || strings.Contains(pathInfo, "\x00") {
		return "", false
	}
	return strings.TrimSuffix(root, "/") + pathInfo, true
}

// isLocation names what depends on which program was found: the web server's
// guess at PATH_INFO was another.
func isLocation(name string) bool {
	switch name {
	case "SCRIPT_NAME", "PATH_INFO", "PATH_TRANSLATED":
		return true
	}
	return false
}

// settable reports whether a web server may set a variable of this name.
// HTTP_PROXY would be taken for a proxy to use (CVE-2016-5385); LD_* and
// DYLD_* say what code to load.
func settable(name string) bool {
	if name == "" || name == "HTTP_PROXY" || strings.Contains(name, "\x00") {
		return false
	}
	return !strings.HasPrefix(name, "LD_") && !strings.HasPrefix(name, "DYLD_")
}

// metaVariables makes the variables of §4.1 for a request that did not come
// with them.
func metaVariables(r *http.Request, prog program) []string {
	name, port := splitHost(r.Host)
	vars := []string{
		"GATEWAY_INTERFACE=CGI/1.1",
		"SERVER_PROTOCOL=" + r.Proto,
		"SERVER_SOFTWARE=frontd",
		"SERVER_NAME=" + name,
		"SERVER_PORT=" + port,
		"REQUEST_METHOD=" + r.Method,
		"REQUEST_URI=" + r.URL.RequestURI(),
		"QUERY_STRING=" + r.URL.RawQuery,
		"SCRIPT_NAME=" + prog.scriptName,
	}
	add := func(name, value string) {
		if value != "" {
			vars = append(vars, name+"="+value)
		}
	}
	add("PATH_INFO", prog.pathInfo)
	add("CONTENT_TYPE", r.Header.Get("Content-Type"))
	if r.ContentLength > 0 {
		add("CONTENT_LENGTH", strconv.FormatInt(r.ContentLength, 10))
	}
	if host, port, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		add("REMOTE_ADDR", host)
		add("REMOTE_PORT", port)
	}
	if r.TLS != nil {
		add("HTTPS", "on")
	}
	if r.Host != "" {
		add("HTTP_HOST", r.Host)
	}
	return append(vars, headerVariables(r.Header)...)
}

func splitHost(host string) (name, port string) {
	if name, port, err := net.SplitHostPort(host); err == nil {
		return name, port
	}
	return strings.Trim(host, "[]"), "80"
}

// headerVariables turns header fields into HTTP_* (§4.1.18). A name with an
// underscore is dropped, for it would pose as the one with a hyphen.
func headerVariables(header http.Header) []string {
	var vars []string
	for name, values := range header {
		switch name {
		case "Content-Type", "Content-Length", "Authorization", "Proxy-Authorization", // §4.1.18, §9.2
			"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy":
			continue
		}
		if strings.Contains(name, "_") {
			continue
		}
		sep := ", "
		if name == "Cookie" {
			sep = "; "
		}
		variable := "HTTP_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
		vars = append(vars, variable+"="+strings.Join(values, sep))
	}
	slices.Sort(vars)
	return vars
}
