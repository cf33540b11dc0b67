package front

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
)

// Sources says which clients a route is for. The client is who it is after
// trusted proxies were believed: Exchange.Client.
type Sources struct {
	Allow []netip.Prefix // only these; empty: everyone
	Deny  []netip.Prefix // but never these
}

func (s *Sources) stage(next http.Handler) http.Handler {
	if len(s.Allow) == 0 && len(s.Deny) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client := ExchangeOf(r).Client.Addr(); !s.admits(client) {
			Fail(w, r, Forbidden, fmt.Sprintf("client %v is not one of those the route is for", client))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admits says whether a client may pass. One without an address, behind a unix
// socket and no trusted proxy, is in no network: it passes Deny, and no Allow.
func (s *Sources) admits(client netip.Addr) bool {
	client = client.Unmap()
	contains := func(p netip.Prefix) bool { return p.Contains(client) }
	return !slices.ContainsFunc(s.Deny, contains) && (len(s.Allow) == 0 || slices.ContainsFunc(s.Allow, contains))
}
