package front

import (
	"net"

	"github.com/frontd/frontd/fcgi"
)

// meta gathers the CGI meta-variables that the stages before decided on.
func (c *call) meta() *fcgi.CGI {
	x, m := c.x, &c.cgi
	*m = fcgi.CGI{
		Scheme: x.Scheme, RequestURI: x.RequestURI, RequestID: x.ID, Host: x.Host,
		PathInfo: x.Path, DocumentRoot: c.g.DocumentRoot, Authorizer: c.role == fcgi.RoleAuthorizer,
	}
	if x.conn == nil {
		x.conn = connectionOf(c.r.Context())
	}
	if peer := x.conn.peer(c.r.RemoteAddr); peer.addr == x.Client {
		m.RemoteAddr, m.RemotePort = peer.host, peer.port
	} else {
		m.RemoteAddr, m.RemotePort = addrText(x.Client)
	}
	m.ServerAddr, m.ServerName, m.ServerPort = c.server()
	if rt := x.Route; rt != nil && rt.MountPrefix != "" {
		m.ScriptName = rt.MountPrefix
		m.PathInfo = x.Path[min(len(rt.MountPrefix), len(x.Path)):]
	}
	if rt := x.Route; rt != nil && len(rt.Sendfile) > 0 && x.router != nil {
		m.Sendfile = rt.sendfileFolders()
	}
	if res := x.Resource; res != nil {
		m.DocumentRoot, m.ScriptFilename = res.DocumentRoot, res.ScriptFilename
		m.ScriptName, m.PathInfo = res.ScriptName, res.PathInfo
	}
	return m
}

// server names this server: by its route, or by the address that the request
// came in at. What the client wrote into Host is the application's to judge,
// as HTTP_HOST; only a web server before us is believed.
func (c *call) server() (addr, name, port string) {
	port = "80"
	if c.x.Scheme == "https" {
		port = "443"
	}
	if local := c.x.conn.local(c.r.Context()); local.host != "" {
		addr, name, port = local.host, local.host, local.port
	}
	if c.x.Listener.Kind == FastCGI {
		name = c.x.Host
		if h, p, err := net.SplitHostPort(c.x.Host); err == nil {
			name, port = h, p
		}
	}
	if rt := c.x.Route; rt != nil && rt.Host != "" && rt.Host[0] != '*' {
		name = rt.Host
	}
	if name == "" {
		name = "localhost"
	}
	return addr, name, port
}
