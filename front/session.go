package front

import (
	"net/http"

	"github.com/frontd/frontd/session"
)

// A visit is a request's part in its client's session.
type visit struct {
	session *session.Session
	of      *session.Sessions // whose it is
	cookies []string          // the Cookie fields as the client sent them
	changed bool              // the answer sets a cookie of ours
}

// session is the stage of the routes that have sessions: it finds the client's,
// and keeps its cookie from the application. What the application changes is
// stored where its answer's head is read: see keepSession.
func (rt *Route) session(next http.Handler) http.Handler {
	if rt.Sessions == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := ExchangeOf(r).loadSession(rt.Sessions, r); err != nil {
			Fail(w, r, SessionFailed, err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loadSession finds the client's session, unless it was: an application that
// leads to another URL of the same sessions may just have begun it.
func (x *Exchange) loadSession(of *session.Sessions, r *http.Request) (err error) {
	v := &x.visit
	if v.of == of {
		return nil
	}
	if v.of == nil {
		v.cookies = r.Header["Cookie"]
	}
	v.of = of
	v.session, err = of.Load(r.Context(), v.cookies, x.hostName, x.tls())
	if err != nil || len(v.cookies) == 0 {
		return err
	}
	// The header's map is this request's, its slices may be the server's.
	if kept := of.Cookie.Without(r.Header["Cookie"]); len(kept) > 0 {
		r.Header["Cookie"] = kept
	} else {
		delete(r.Header, "Cookie")
	}
	return nil
}

// session returns what the session stage has found for the route in force, or nil.
func (x *Exchange) session() *session.Session {
	if x.visit.of == nil || x.Route == nil || x.Route.Sessions != x.visit.of {
		return nil
	}
	return x.visit.session
}

func (x *Exchange) tls() bool { return x.Scheme == "https" }
