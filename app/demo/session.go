package demo

import (
	"net/http"
	"strconv"
)

// sessionCookie holds the count of visits, and nothing that deserves trust.
const sessionCookie = "demo_visits"

func (s *site) session(w http.ResponseWriter, r *http.Request) {
	visits := uint64(0)
	if c, err := r.Cookie(sessionCookie); err == nil {
		if n, err := strconv.ParseUint(c.Value, 10, 32); err == nil {
			visits = n
		}
	}
	visits++
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: strconv.FormatUint(visits, 10),
		Path: s.mount(r) + "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	s.show(w, r, http.StatusOK, "session", visits)
}
