package importer

import (
	"net/netip"
	"slices"
	"strings"
)

// unitGuard is what routes here can ask of a request besides its host and path.
// They do not choose by it as Unit's do: a request that is not let through is
// refused, and goes to no other route.
type unitGuard struct {
	methods     []string // nil: all
	allow, deny []string // addresses and networks
}

// unitMethods are those that may be left where some were denied: of others Unit
// knew nothing, and an application seldom does.
var unitMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// guards takes "method" and "source" out of what a step asks for, and adds them to
// those that g has. It reports false where they cannot be said here.
func (g unitGuard) guards(match node, denies bool) (unitGuard, node, bool) {
	rest := match
	rest.members = nil
	for _, c := range match.members {
		var fits bool
		switch c.name {
		case "method":
			g, fits = g.byMethod(c.value.texts(), denies)
		case "source":
			g, fits = g.bySource(c.value.texts(), denies)
		default:
			rest.members, fits = append(rest.members, c), true
		}
		if !fits {
			return g, match, false
		}
	}
	return g, rest, true
}

func (g unitGuard) byMethod(patterns []string, denies bool) (unitGuard, bool) {
	named, negative, ok := unitPatterns(patterns, unitMethod)
	if !ok {
		return g, false
	}
	let := named
	if denies != negative { // those that are named are kept out
		if slices.Contains(named, "HEAD") && !slices.Contains(named, "GET") {
			return g, false // GET is HEAD too
		}
		let = without(unitMethods, named)
	}
	if g.methods != nil {
		let = slices.DeleteFunc(slices.Clone(let), func(m string) bool { return !slices.Contains(g.methods, m) })
	}
	g.methods = let
	return g, len(let) > 0
}

func (g unitGuard) bySource(patterns []string, denies bool) (unitGuard, bool) {
	named, negative, ok := unitPatterns(patterns, unitSource)
	switch {
	case !ok:
	case denies != negative:
		g.deny = slices.Concat(g.deny, named)
	case g.allow == nil:
		g.allow = named
	default:
		ok = false // who is in both lists cannot be said
	}
	return g, ok
}

// unitPatterns are the patterns of a condition, all of them or none negative and each
// of a kind that can be said here.
func unitPatterns(patterns []string, known func(string) bool) (named []string, negative, ok bool) {
	for i, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		if !known(p) || i > 0 && not != negative {
			return nil, false, false
		}
		named, negative = append(named, p), not
	}
	return named, negative, len(named) > 0
}

func unitMethod(p string) bool {
	return p != "" && !strings.ContainsFunc(p, func(r rune) bool { return r < 'A' || r > 'Z' })
}

// unitSource knows an address and a network. Unit's ranges and ports are not known here.
func unitSource(p string) bool {
	if _, err := netip.ParsePrefix(p); err == nil {
		return true
	}
	a, err := netip.ParseAddr(p)
	return err == nil && a.Zone() == ""
}

func without(list, some []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(some, s) })
}

// guard takes a step that denies by nothing but a method or an address: the
// routes behind it have that. It reports whether it was one.
func (u *unit) guard(m *unitMatch, match, step node) bool {
	if match.array && len(match.items) == 1 {
		match = match.items[0]
	}
	g, rest, ok := m.guard.guards(match, true)
	if !ok || len(match.members) != 1 || len(rest.members) > 0 {
		return false
	}
	m.guard = g
	u.remark("a denial is asked of each route behind it, which answers 405 by a method, 403 by an address: %s", shorten(step.source()))
	return true
}

// last takes the method and the address of a list's last step: who does not have
// them came to nothing, and now to a refusal.
func (u *unit) last(m unitMatch, match node) (unitMatch, node) {
	if match.array && len(match.items) == 1 {
		match = match.items[0]
	}
	g, rest, ok := m.guard.guards(match, false)
	if ok && len(rest.members) < len(match.members) {
		m.guard = g
		u.remark("others than these are refused with 405 by their method, with 403 by their address: %s", shorten(match.source()))
		return m, rest
	}
	return m, match
}

// write sets what g asks for in a route.
func (g unitGuard) write(r *section) {
	for _, s := range []struct {
		key  string
		list []string
	}{{"allow", g.allow}, {"deny", g.deny}, {"methods", g.methods}} {
		if s.list != nil {
			r.set(s.key, quoteList(s.list))
		}
	}
}
