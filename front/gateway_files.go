package front

import (
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/frontd/frontd/fcgi"
)

// A FileRoot is a folder out of which an application may have files sent in
// the place of its answer, by the header X-Sendfile.
type FileRoot struct {
	Folder string // absolute and clean: what X-Sendfile begins with
	Files  *Static
}

// handover answers with a file that the application names instead of a body:
// X-Sendfile, an absolute path below one of the route's folders, or
// X-Accel-Redirect, a URL that an internal route has files for. Neither header
// means anything, or is taken out, where none of these is configured. It
// reports whether it has answered.
func (c *call) handover(resp *fcgi.Response) bool {
	x := c.x
	if x.router == nil || x.Route == nil {
		return false
	}
	if name := first(resp.Header["X-Sendfile"]); name != "" && len(x.Route.Sendfile) > 0 {
		root, rel := x.Route.fileRoot(name)
		if root == nil {
			c.giveUp(resp)
			Fail(c.w, c.r, BadResponse, fmt.Sprintf("X-Sendfile %.200q is below no folder of the setting sendfile", name))
			return true
		}
		c.adopt(resp, "X-Sendfile")
		root.Files.serveFile(c.w, fileRequest(c.r), rel)
		return true
	}
	if target := first(resp.Header["X-Accel-Redirect"]); target != "" && x.router.internal {
		c.accelerate(resp, target)
		return true
	}
	return false
}

// sendfileFolders tells an application which folders these are. One with a
// colon in its name, which is between them, it has to know by itself.
func (rt *Route) sendfileFolders() string {
	var list []string
	for _, root := range rt.Sendfile {
		if !strings.Contains(root.Folder, ":") {
			list = append(list, root.Folder)
		}
	}
	return strings.Join(list, ":")
}

// fileRoot finds the folder that a path is in, and the rest of the path.
func (rt *Route) fileRoot(name string) (*FileRoot, string) {
	if !strings.HasPrefix(name, "/") || path.Clean(name) != name || strings.ContainsRune(name, 0) {
		return nil, "" // a path that means something else than it says
	}
	for i := range rt.Sendfile {
		root := &rt.Sendfile[i]
		if rel, ok := strings.CutPrefix(name, strings.TrimSuffix(root.Folder, "/")+"/"); ok {
			return root, rel
		}
	}
	return nil, ""
}

// accelerate goes through the routes again, the internal ones included.
func (c *call) accelerate(resp *fcgi.Response, target string) {
	x := c.x
	x.redirects++
	if x.redirects > maxLocalRedirects {
		c.giveUp(resp)
		Fail(c.w, c.r, RedirectLoop, fmt.Sprintf("more than %d internal redirects, the last to %.100q", maxLocalRedirects, target))
		return
	}
	r := fileRequest(c.r)
	c.adopt(resp, "X-Accel-Redirect")
	if err := setTarget(r, x, target); err != nil {
		Fail(c.w, c.r, BadResponse, fmt.Sprintf("X-Accel-Redirect to %.100q: %v", target, err))
		return
	}
	x.Resource, x.accelerated = nil, true
	x.router.ServeHTTP(c.w, r)
}

// kept are the fields of an application's answer that stay with the file sent
// in its place.
var kept = []string{
	"Content-Type", "Content-Disposition", "Content-Language", "Cache-Control", "Expires", "Set-Cookie", "Vary",
	// What guards a file that users uploaded.
	"Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy",
	"Referrer-Policy", "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "X-Robots-Tag",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers",
}

// adopt lets the worker go, and keeps what its answer says of the file.
func (c *call) adopt(resp *fcgi.Response, by string) {
	h := c.w.Header()
	for _, name := range kept {
		if v := resp.Header[name]; len(v) > 0 {
			h[name] = append(h[name], v...)
		}
	}
	h.Del(by)
	c.giveUp(resp)
}

// giveUp reads an answer to its end that nobody wants, within the bounds that
// a Response has for that.
func (c *call) giveUp(resp *fcgi.Response) {
	resp.Discard()
	c.unclean = !resp.Ended()
	c.finish()
	c.endBody() // before another route's settings hold
}

// fileRequest is a request for a file in the place of one that may have been a
// POST: its conditions and ranges hold for the file.
func fileRequest(r *http.Request) *http.Request {
	known := r.Method == http.MethodHead || r.Method == http.MethodGet
	if known && (r.ContentLength == 0 || r.Body == http.NoBody) {
		return r
	}
	f := r.Clone(r.Context())
	if !known {
		f.Method = http.MethodGet
	}
	f.Body, f.ContentLength = http.NoBody, 0
	return f
}
