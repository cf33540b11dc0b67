package fcgi

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// serverHeaderNames are the header fields that most requests have, by the name
// of their CGI variable: looked up, not built.
var serverHeaderNames = func() map[string]string {
	m := make(map[string]string)
	for _, name := range []string{
		"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control",
		"Connection", "Cookie", "Dnt", "Forwarded", "From", "Host", "If-Match", "If-Modified-Since",
		"If-None-Match", "If-Range", "If-Unmodified-Since", "Origin", "Pragma", "Priority", "Range", "Referer",
		"Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode",
		"Sec-Fetch-Site", "Sec-Fetch-User", "Te", "Upgrade-Insecure-Requests", "User-Agent", "Via",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id", "X-Requested-With",
	} {
		m["HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = name
	}
	return m
}()

// serverHeaderName returns the header field of an HTTP_ variable.
func serverHeaderName(variable string) string {
	if name, ok := serverHeaderNames[variable]; ok {
		return name
	}
	return http.CanonicalHeaderKey(strings.ReplaceAll(variable[len("HTTP_"):], "_", "-"))
}

// httpRequest makes the request that the handler gets. Where it returns an
// error, the request it returns is good enough to refuse.
func (r *serverRequest) httpRequest() (*http.Request, error) {
	req := new(http.Request).WithContext(&r.ctx)
	req.Method = r.method()
	req.Header = r.header()
	req.ContentLength = r.length
	req.Body = http.NoBody
	if r.length != 0 {
		req.Body = &r.stdin
	}
	var ok bool
	req.Proto = r.param("SERVER_PROTOCOL")
	if req.ProtoMajor, req.ProtoMinor, ok = http.ParseHTTPVersion(req.Proto); !ok {
		req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1 // "INCLUDED", as for SSI, or nothing
	}
	if req.Method == "" {
		return req, errors.New("no REQUEST_METHOD")
	}
	if v := r.param("HTTPS"); strings.EqualFold(v, "on") || v == "1" {
		req.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	if addr := r.param("REMOTE_ADDR"); addr != "" {
		port := r.param("REMOTE_PORT")
		if port == "" {
			port = "0"
		}
		req.RemoteAddr = net.JoinHostPort(addr, port)
	}
	req.Host = r.host()
	if err := r.checkValues(); err != nil {
		return req, err
	}
	return req, r.setURL(req)
}

// checkValues refuses what ends a value for some readers before its end: NUL in
// any (FastCGI §6.1 has CGI's variables in mind, which end there), and what ends
// a line in a header field (RFC 9110 §5.5: MUST reject or replace).
func (r *serverRequest) checkValues() error {
	for _, p := range r.env {
		switch {
		case strings.IndexByte(p.Value, 0) >= 0:
		case strings.HasPrefix(p.Name, "HTTP_") && (strings.IndexByte(p.Value, '\n') >= 0 || strings.IndexByte(p.Value, '\r') >= 0):
		default:
			continue
		}
		return errors.New("control byte in " + strconv.Quote(p.Name))
	}
	return nil
}

// header returns the HTTP_ variables, and CONTENT_TYPE, as header fields.
func (r *serverRequest) header() http.Header {
	fields := 1 // CONTENT_TYPE
	for _, p := range r.env {
		if strings.HasPrefix(p.Name, "HTTP_") {
			fields++
		}
	}
	values := make([]string, 0, fields)
	h := make(http.Header, fields)
	for _, p := range r.env {
		name := ""
		switch {
		case p.Name == "CONTENT_TYPE" && p.Value != "":
			name = "Content-Type"
		case strings.HasPrefix(p.Name, "HTTP_") && len(p.Name) > len("HTTP_"):
			name = serverHeaderName(p.Name)
		}
		switch name {
		case "", "Host": // net/http has it in Request.Host
			continue
		case "Content-Length", "Transfer-Encoding", "Trailer":
			continue // framing of the client's connection; here CONTENT_LENGTH and STDIN say it
		case "Content-Type":
			if p.Name != "CONTENT_TYPE" && r.param("CONTENT_TYPE") != "" {
				continue
			}
		}
		values = append(values, p.Value)
		n := len(values)
		h[name] = values[n-1 : n : n]
	}
	return h
}

func (r *serverRequest) host() string {
	if h := r.param("HTTP_HOST"); h != "" {
		return h
	}
	host, port := r.param("SERVER_NAME"), r.param("SERVER_PORT")
	if host == "" || port == "" || port == "80" || port == "443" {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// setURL makes URL out of REQUEST_URI as net/http's server does out of a
// request line, so "*", "http://host/path" and "/a#b" mean the same with both.
// Where there is no REQUEST_URI, which is no variable of RFC 3875, it is put
// together from those that are.
func (r *serverRequest) setURL(req *http.Request) error {
	raw := r.param("REQUEST_URI")
	if raw == "" {
		req.URL = &url.URL{Path: r.param("SCRIPT_NAME") + r.param("PATH_INFO"), RawQuery: r.param("QUERY_STRING")}
		if req.URL.Path == "" {
			req.URL.Path = "/"
		}
		req.RequestURI = req.URL.RequestURI()
		return nil
	}
	req.RequestURI = raw
	authority := req.Method == http.MethodConnect && !strings.HasPrefix(raw, "/")
	if authority {
		raw = "http://" + raw
	}
	u, err := url.ParseRequestURI(raw)
	if err != nil {
		req.URL = &url.URL{Path: "/"}
		return err
	}
	if authority {
		u.Scheme = ""
	}
	if u.Host != "" {
		req.Host = u.Host // RFC 9112 §3.2.2: it wins over the Host field
	}
	req.URL = u
	return nil
}
