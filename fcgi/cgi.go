package fcgi

import (
	"net/http"
	"path"
	"strconv"
	"strings"
)

// A CGI holds the meta-variables (RFC 3875 §4.1) that a request does not say
// of itself. Empty fields give empty or absent variables, as each allows.
type CGI struct {
	Scheme                 string // "http" or "https"
	ServerName, ServerPort string // of the listener or the route, never a client's word
	ServerAddr             string
	RemoteAddr, RemotePort string // IPv6 without brackets; "" for a unix socket
	ScriptName, PathInfo   string // decoded; ScriptName is "" or begins with a slash and is never "/"
	ScriptFilename         string
	DocumentRoot           string
	RequestURI             string // origin-form, as it came
	RequestID              string
	Host                   string
	// Sendfile are the folders whose files X-Sendfile may name, with colons
	// between: FRONTD_SENDFILE. "": none, and no variable.
	Sendfile string
	// Authorizer leaves out what an Authorizer is not sent (FastCGI §6.3):
	// SCRIPT_NAME, PATH_INFO, PATH_TRANSLATED and CONTENT_LENGTH.
	Authorizer bool
}

// AppendCGI adds the meta-variables of r to p (RFC 3875 §4.1), as nginx's
// fastcgi_params names them, and its header fields as HTTP_*. length is the
// body's length, or -1 if it is not known: then there is no CONTENT_LENGTH.
//
// Not passed: what only an answer may say of a session; Proxy (it would become HTTP_PROXY), names with an underscore
// (X_User would pose as X-User), and what speaks of the connection only.
func AppendCGI(p *Params, r *http.Request, c *CGI, length int64) {
	appendServer(p, r, c)
	p.Add("REMOTE_ADDR", c.RemoteAddr)
	p.Add("REMOTE_PORT", c.RemotePort)
	p.Add("REQUEST_URI", c.RequestURI)
	p.Add("QUERY_STRING", r.URL.RawQuery)
	p.Add("DOCUMENT_URI", c.ScriptName+c.PathInfo)
	if !c.Authorizer {
		if c.PathInfo != "" || c.ScriptFilename == "" {
			p.Add("PATH_INFO", c.PathInfo) // an empty one would make PHP_SELF empty
		}
		if c.DocumentRoot != "" && c.PathInfo != "" && path.Clean(c.PathInfo) == strings.TrimSuffix(c.PathInfo, "/") { // never outside the root
			p.Add("PATH_TRANSLATED", strings.TrimSuffix(c.DocumentRoot, "/")+c.PathInfo)
		}
	}
	if c.RequestID != "" {
		p.Add("REQUEST_ID", c.RequestID)
	}
	if !c.Authorizer && (length > 0 || length == 0 && hasContent(r.Method)) {
		p.Add("CONTENT_LENGTH", strconv.FormatInt(length, 10))
	}
	if ct := r.Header["Content-Type"]; len(ct) > 0 {
		p.Add("CONTENT_TYPE", ct[0])
	}
	if c.Host != "" {
		p.Add("HTTP_HOST", c.Host)
	}
	appendHeaders(p, r.Header)
}

// appendServer adds what is mostly the same in all requests of an application. It
// comes first: an application may decode it once and know it again by its bytes,
// up to REMOTE_ADDR. Of what a client sends only few values are in it.
func appendServer(p *Params, r *http.Request, c *CGI) {
	p.Add("GATEWAY_INTERFACE", "CGI/1.1")
	p.Add("SERVER_SOFTWARE", "frontd")
	p.Add("SERVER_NAME", c.ServerName)
	p.Add("SERVER_PORT", c.ServerPort)
	p.Add("SERVER_ADDR", c.ServerAddr)
	p.Add("REQUEST_SCHEME", c.Scheme)
	if c.Scheme == "https" {
		p.Add("HTTPS", "on")
	}
	if c.DocumentRoot != "" {
		p.Add("DOCUMENT_ROOT", c.DocumentRoot)
	}
	if c.ScriptFilename != "" {
		p.Add("SCRIPT_FILENAME", c.ScriptFilename)
		p.Add("REDIRECT_STATUS", "200") // php-cgi's cgi.force_redirect asks for it
	}
	if c.Sendfile != "" {
		p.Add("FRONTD_SENDFILE", c.Sendfile)
	}
	p.Add("SERVER_PROTOCOL", r.Proto)
	p.Add("REQUEST_METHOD", r.Method)
	if !c.Authorizer {
		p.Add("SCRIPT_NAME", c.ScriptName)
	}
}

// hasContent reports whether a request of this method with a length of 0 has
// a body, an empty one, rather than none.
func hasContent(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

func appendHeaders(p *Params, h http.Header) {
	for key, values := range h {
		sep := ", " // RFC 3875 §4.1.18, RFC 9110 §5.3
		switch key {
		case "Content-Type", "Content-Length", "Host", // have their own variables
			"Proxy",             // HTTP_PROXY is a setting to many programs
			"Transfer-Encoding", // decoded here
			"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade", "Proxy-Authorization":
			continue
		case "Cookie":
			sep = "; " // RFC 6265 §5.4, RFC 9113 §8.2.3
		}
		if len(values) == 0 || strings.IndexByte(key, '_') >= 0 || strings.HasPrefix(key, sessionPrefix) {
			continue
		}
		value := values[0]
		if len(values) > 1 {
			value = strings.Join(values, sep)
		}
		p.addHeader(key, value)
	}
}

// addHeader is Add with the variable's name made of a field's:
// HTTP_ACCEPT_LANGUAGE of Accept-Language.
func (p *Params) addHeader(field, value string) {
	const prefix = "HTTP_"
	if !p.begin(len(prefix)+len(field), len(value)) {
		return
	}
	p.buf = append(p.buf, prefix...)
	for i := range len(field) {
		c := field[i]
		switch {
		case c == '-':
			c = '_'
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		p.buf = append(p.buf, c)
	}
	p.buf = append(p.buf, value...)
}
