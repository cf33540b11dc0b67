package demo

import (
	"net/http"
	"strconv"
)

// A Session is what a web server keeps of a visitor.
type Session interface {
	// Add adds to an integer. It fails where the URL has no sessions.
	Add(key string, n int64) error
	Int(key string) int64
}

// visitsKey is the count of visits: a key of the session, or the name of a
// cookie of the demo's own, which holds nothing that deserves trust.
const visitsKey = "demo_visits"

// visits is what the page shows.
type visits struct {
	Count uint64
	Kept  bool // in a session
}

func (s *site) session(w http.ResponseWriter, r *http.Request) {
	if s.Session != nil {
		if kept := s.Session(r); kept.Add(visitsKey, 1) == nil {
			s.show(w, r, http.StatusOK, "session", visits{uint64(max(kept.Int(visitsKey), 0)), true})
			return
		}
	}
	v := visits{}
	if c, err := r.Cookie(visitsKey); err == nil {
		if n, err := strconv.ParseUint(c.Value, 10, 32); err == nil {
			v.Count = n
		}
	}
	v.Count++
	http.SetCookie(w, &http.Cookie{
		Name: visitsKey, Value: strconv.FormatUint(v.Count, 10),
		Path: s.mount(r) + "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	s.show(w, r, http.StatusOK, "session", v)
}
