package front

import (
	"net/http"
	"strconv"
	"strings"
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

	value string // made once
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
	words := []string{c.value}
	if !c.NoStore {
		visibility := "public"
		if c.Private {
			visibility = "private"
		}
		words = []string{visibility, c.value}
		if c.Immutable {
			words = append(words, "immutable")
		}
	}
	c.value = strings.Join(words, ", ")
	return &c
}

// head speaks of 2xx and 304 only: an error must not be kept for long. An
// answer with a cookie is somebody's own: it is not made public.
func (c *Cache) head(_ *Exchange, h http.Header, status int) {
	if (status < 200 || status > 299) && status != http.StatusNotModified {
		return
	}
	if !c.Replace && (len(h["Cache-Control"]) > 0 || len(h["Expires"]) > 0) {
		return
	}
	if len(h["Set-Cookie"]) > 0 && !c.Private && !c.NoStore {
		return
	}
	h["Cache-Control"] = []string{c.value}
}
