package front

import (
	"net/http"
	"strconv"
	"time"
)

// Cache is the Cache-Control (RFC 9111 §5.2.2) of a route's successful
// answers, where the application says nothing of it.
type Cache struct {
	MaxAge    time.Duration // whole seconds; 0: to be asked about each time
	Immutable bool          // a reload does not ask either (RFC 8246)
	Private   bool          // for the browser, not for caches between
	NoStore   bool          // for nobody; the others mean nothing then
	Replace   bool          // also where the application has said something

	value, own string // made once: what is said, and of an answer to credentials
}

// NewCache returns c with its text ready.
func NewCache(c Cache) *Cache {
	switch {
	case c.NoStore:
		c.value = "no-store"
	case c.MaxAge <= 0:
		c.value = "no-cache"
	default:
		c.value = "max-age=" + strconv.FormatInt(int64(c.MaxAge/time.Second), 10)
	}
	if c.NoStore {
		c.own = c.value
		return &c
	}
	if c.Immutable {
		c.value += ", immutable"
	}
	c.own, c.value = "private, "+c.value, "public, "+c.value
	if c.Private {
		c.value = c.own
	}
	return &c
}

// stage notes that a request comes with credentials: a cache between may keep the
// answer only if it is called public (RFC 9111 §3.5), and would give it to those
// who have none. It stands before the stage that takes them.
func (c *Cache) stage(next http.Handler) http.Handler {
	if c == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Authorization"]) > 0 {
			ExchangeOf(r).credentials = true
		}
		next.ServeHTTP(w, r)
	})
}

// head speaks of 2xx and 304 only: an error must not be kept for long. An
// answer with a cookie is somebody's own, and so is one to who had to say who they
// are: it is not made public.
func (c *Cache) head(x *Exchange, h http.Header, status int) {
	if (status < 200 || status > 299) && status != http.StatusNotModified {
		return
	}
	if !c.Replace && (len(h["Cache-Control"]) > 0 || len(h["Expires"]) > 0) {
		return
	}
	if len(h["Set-Cookie"]) > 0 && !c.Private && !c.NoStore {
		return
	}
	value := c.value
	if x.credentials || x.authorization != "" {
		value = c.own
	}
	h["Cache-Control"] = []string{value}
}
