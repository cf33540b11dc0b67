package main

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// guarded keeps other sites' pages from reading this listener through a
// browser on this machine. There is nothing to change here, so a forged
// request does no harm; but a name of theirs that suddenly means 127.0.0.1
// (DNS rebinding) would make the answer theirs to read. Such a request has
// their name in Host. Addresses, localhost, this machine's own name and those
// that the configuration lists are let in. Probes tell nothing worth reading,
// and load balancers call them by all kinds of names.
func guarded(hosts []string, next http.Handler) http.Handler {
	own, _ := os.Hostname() // "" is nobody's name
	own = strings.ToLower(own)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		probe := r.URL.Path == "/live" || r.URL.Path == "/ready"
		if !probe && !knownHost(r.Host, own, hosts) {
			http.Error(w, "this name is not one of this listener's: see hosts in [metrics]", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knownHost says whether host[:port] is a name that cannot be another site's.
func knownHost(host, own string, hosts []string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	switch name {
	case "": // of a unix socket, or HTTP/1.0: no browser's
		return true
	case "localhost", own:
		return true
	}
	return slices.ContainsFunc(hosts, func(pattern string) bool {
		if below, ok := strings.CutPrefix(pattern, "*"); ok {
			return strings.HasSuffix(name, below) && len(name) > len(below)
		}
		return name == pattern
	})
}
