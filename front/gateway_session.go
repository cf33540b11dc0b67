package front

import (
	"errors"
	"slices"

	"github.com/frontd/frontd/fcgi"
	"github.com/frontd/frontd/session"
)

// addSession tells the worker of the client's session.
func (c *call) addSession(n *session.Session) {
	c.params.Add(session.ParamData, n.Data())
	if id := n.ID(); id != "" {
		c.params.Add(session.ParamID, id)
	}
}

// keepSession stores what an answer changes of the session, before any of the
// answer goes out: a client that has seen it finds what it says. Where that
// cannot be done there is no such answer.
//
// What an answer may say depends on the session, so caches are told of that, and
// one that sets a cookie is for its client alone.
func (c *call) keepSession(resp *fcgi.Response) error {
	n := c.x.session()
	if n == nil {
		return nil // what the answer says of one was taken out of its head
	}
	changes, err := session.TakeChanges(resp.Session)
	if err != nil {
		return &Error{Cause: BadResponse, Err: err}
	}
	set, err := n.Commit(c.r.Context(), changes, c.x.tls())
	var bad *session.ChangeError
	switch {
	case errors.As(err, &bad), errors.Is(err, session.ErrTooLarge):
		return &Error{Cause: BadResponse, Err: err}
	case err != nil:
		return &Error{Cause: SessionFailed, Err: err}
	}
	if set != "" {
		h := c.w.Header()
		h["Set-Cookie"] = append(slices.Clip(h["Set-Cookie"]), set)
		c.x.visit.changed = true
	}
	addVary(resp.Header, "Cookie")
	c.x.credentials = c.x.credentials || n.ID() != "" // caches between that do not know Vary are many
	if c.x.visit.changed && len(resp.Header["Cache-Control"]) == 0 {
		resp.Header["Cache-Control"] = []string{"private"}
	}
	return nil
}
