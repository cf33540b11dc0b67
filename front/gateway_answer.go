package front

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"

	"github.com/frontd/frontd/fcgi"
)

// interim passes a 1xx answer on (RFC 9110 §15.2).
func (c *call) interim(status int, header http.Header) {
	if status == http.StatusContinue || !c.r.ProtoAtLeast(1, 1) {
		return // our own to send, or nobody's
	}
	h := c.w.Header()
	final := h.Clone() // what stages before us have set for the final answer
	for k, v := range header {
		h[k] = v
	}
	c.w.WriteHeader(status)
	clear(h)
	maps.Copy(h, final)
}

// answer sends the response as it comes.
func (c *call) answer(resp *fcgi.Response) error {
	c.head(resp)
	if len(c.piece) > 0 {
		if err := c.deliver(resp, c.piece); err != nil {
			return err
		}
	}
	return c.pieces(resp)
}

// deliver sends a piece of the body, where the answer may have one.
func (c *call) deliver(resp *fcgi.Response, b []byte) error {
	if resp.Status == http.StatusResetContent {
		c.dropped += len(b) // a server MUST NOT generate content in a 205 (RFC 9110 §15.3.6)
		return nil
	}
	if _, err := c.w.Write(b); err != nil {
		return &clientError{err}
	}
	return nil
}

// pieces sends what is left of the body.
func (c *call) pieces(resp *fcgi.Response) error {
	for {
		if resp.Idle() {
			if err := c.rc.Flush(); err != nil {
				return &clientError{err}
			}
		}
		b, err := resp.Next()
		if err == io.EOF {
			c.unclean = !resp.Ended()
			c.notes(resp)
			return nil
		}
		if err != nil {
			if died(err) {
				c.g.noteLost(c)
			}
			return err
		}
		if err := c.deliver(resp, b); err != nil {
			return err
		}
	}
}

func (c *call) head(resp *fcgi.Response) {
	h := c.w.Header()
	cookies := h["Set-Cookie"] // of stages before us
	maps.Copy(h, resp.Header)
	if len(cookies) > 0 {
		h["Set-Cookie"] = append(cookies, resp.Header["Set-Cookie"]...)
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // none is invented (RFC 3875 §6.3.1 is the application's to keep)
	}
	if resp.Status == http.StatusResetContent {
		h["Content-Length"] = []string{"0"}
	} else if resp.ContentLength >= 0 && resp.Status != http.StatusNoContent {
		var digits [20]byte
		v := c.x.values
		h["Content-Length"] = v.of(v.string(strconv.AppendInt(digits[:0], resp.ContentLength, 10)))
	}
	c.w.WriteHeader(resp.Status)
}

func (c *call) notes(resp *fcgi.Response) {
	c.x.AppStatus = resp.AppStatus()
	if c.g.Note == nil {
		return
	}
	if n := c.x.AppStatus; n != 0 && c.stderr.silent() { // else that says more
		c.g.Note(c.x, fmt.Sprintf("application status %d", n))
	}
	if n := resp.Excess() + int64(c.dropped); n > 0 && c.r.Method != http.MethodHead {
		c.g.Note(c.x, fmt.Sprintf("%d bytes of body beyond what the answer's head allows were dropped", n))
	}
}

// maxLocalRedirects bounds a chain of local redirects.
const maxLocalRedirects = 10

// redirect answers as if the client had asked for another path (RFC 3875
// §6.2.2): with GET and without a body, by the routes as they are.
func (c *call) redirect(resp *fcgi.Response) {
	target := resp.LocalRedirect
	c.giveUp(resp)
	x := c.x
	x.redirects++
	switch {
	case x.router == nil:
		c.w.Header().Set("Location", target)
		c.w.WriteHeader(http.StatusFound)
		return
	case x.redirects > maxLocalRedirects:
		Fail(c.w, c.r, RedirectLoop, fmt.Sprintf("more than %d local redirects, the last to %.100q", maxLocalRedirects, target))
		return
	}
	r := localRequest(c.r)
	if err := setTarget(r, x, target); err != nil {
		Fail(c.w, c.r, BadResponse, fmt.Sprintf("local redirect to %.100q: %v", target, err))
		return
	}
	x.Resource = nil
	x.router.ServeHTTP(c.w, r)
}
