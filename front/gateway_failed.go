package front

import (
	"bytes"
	"io"
	"mime"
	"net/http"

	"github.com/frontd/frontd/fcgi"
)

// maxFailedAnswer is how much of an application's own answer of 5xx is held
// back, in bytes, to see whether a page takes its place: in development only.
const maxFailedAnswer = 256 << 10

// answerFailed looks at an application's own answer of 5xx before its head is
// sent. The answer passes as it is, with the incident's ID in a header field
// where the application has said by now why; in development a page takes its
// place, and of one that says nothing always. It returns true when the client has its answer.
func (c *call) answerFailed(resp *fcgi.Response) bool {
	failure := Failure{Request: c.r, Status: resp.Status}
	if !c.replaceable(resp) {
		c.stderr.soFar(func() {
			if len(c.x.Stderr) > 0 { // else it may still come: see exception
				tellID(resp.Header, c.x.report(failure))
			}
		})
		return c.answerMute(resp)
	}
	held, whole, err := c.holdBack(resp)
	if err != nil {
		c.fail(err) // nothing of the answer was sent
		return true
	}
	if whole {
		c.stderr.soFar(func() { c.x.report(failure) })
		if tells(c.x.Incident) {
			c.showFailed(resp, held, true)
			return true
		}
	}
	c.head(resp)
	if _, err := c.w.Write(held); err != nil {
		c.fail(&clientError{err})
		return true
	}
	if whole {
		return true
	}
	if err := c.pieces(resp); err != nil {
		c.fail(err)
	}
	return true
}

// hostAnswer is the body that our own hosts and the SDK answer with where the
// application's exception is nobody else's.
const hostAnswer = "Internal Server Error\n"

// answerMute answers with the plain page where there is an incident and the
// application's answer does not tell of it: it is empty, as PHP ends a script that
// has failed, or the host's, after an exception that the application did not catch.
func (c *call) answerMute(resp *fcgi.Response) bool {
	i := c.x.Incident
	hosts := resp.ContentLength == int64(len(hostAnswer)) // so that no more than this is waited for
	if i == nil || i.ID == "" || c.r.Method == http.MethodHead || !hosts && (len(c.piece) > 0 || resp.ContentLength > 0) {
		return false
	}
	held := bytes.Clone(c.piece)
	b, err := resp.Next()
	for ; err == nil && hosts; b, err = resp.Next() {
		held = append(held, b...)
	}
	switch {
	case err == nil:
		c.piece = b // it is not empty
		return false
	case err != io.EOF:
		if died(err) {
			c.g.noteLost(c)
		}
		c.fail(err) // nothing of the answer was sent
		return true
	case hosts && string(held) != hostAnswer:
		c.piece = held // the end is there for the next Next, too
		return false
	}
	c.unclean = !resp.Ended()
	c.notes(resp)
	c.showFailed(resp, nil, false)
	return true
}

// replaceable says whether a page may take the place of the answer: the client
// is a browser that shows a page, and the answer is one, too.
func (c *call) replaceable(resp *fcgi.Response) bool {
	if !c.x.Settings.ShowErrors || c.x.hook == nil || c.r.Method == http.MethodHead || preferred(c.r.Header["Accept"]) != formHTML {
		return false
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return false
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html" || kind == "text/plain" || kind == ""
}

// holdBack reads an answer up to its end, or as much as is held back.
func (c *call) holdBack(resp *fcgi.Response) (held []byte, whole bool, err error) {
	held = bytes.Clone(c.piece)
	for len(held) < maxFailedAnswer {
		b, err := resp.Next()
		if err == io.EOF {
			c.unclean = !resp.Ended()
			c.notes(resp)
			return held, true, nil
		}
		if err != nil {
			if died(err) {
				c.g.noteLost(c)
			}
			return nil, false, err
		}
		held = append(held, b...)
	}
	return held, false, nil
}

// showFailed answers with the post-mortem, if that is to be shown, or the plain
// page. What the application's head says is about another answer; its cookies are
// not, for its session may be in one.
func (c *call) showFailed(resp *fcgi.Response, held []byte, whole bool) {
	h := c.w.Header()
	if cookies := resp.Header["Set-Cookie"]; len(cookies) > 0 {
		h["Set-Cookie"] = append(h["Set-Cookie"], cookies...)
	}
	tellID(h, c.x.Incident)
	p := newPage(c.x, resp.Status, c.x.Cause)
	p.whole, p.Answer = whole, string(bytes.ToValidUTF8(held, []byte("�")))
	p.write(c.w, c.r, c.x)
}
