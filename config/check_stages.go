package config

import "slices"

// checkStages holds a section's stages to what they can mean.
func (r *reader) checkStages(path string, s *Stages, set Set) {
	bad := func(key, format string, args ...any) { r.failf(set[key], path+"."+key, format, args...) }
	if slices.Contains(s.CORS.Origins, "*") {
		if len(s.CORS.Origins) > 1 {
			bad("cors", `"*" stands for every origin: no other beside it`)
		}
		if s.CORS.Credentials {
			bad("cors", `"*" with credentials would let every site act as the user: name the origins`)
		}
	}
	if set.Has("cache.immutable") && s.Cache.Immutable && s.Cache.MaxAge < 0 && !set.Has("cache.max_age") {
		bad("cache", "immutable says nothing without max_age")
	}
	if set.Has("cache.no_store") && s.Cache.NoStore && s.Cache.MaxAge > 0 {
		bad("cache", "no_store and max_age contradict each other")
	}
}

// answers reports whether a route has an answer of its own.
func (route *Route) answers() bool { return route.Redirect.To != "" || route.Return.Status != 0 }

// checkAnswers holds a route's rewrite, redirect, return and the settings of
// files to what they can mean.
func (r *reader) checkAnswers(route *Route) {
	if pos, ok := route.Set["return"]; ok && route.Redirect.To != "" && route.Redirect.From == "" {
		r.failf(pos, "route.return", "never reached: redirect takes every path")
	}
	if pos, ok := route.Set["rewrite"]; ok && !route.Set.Has("app") && route.Root == "" {
		r.failf(pos, "route.rewrite", "means nothing without app or root")
	}
	for _, k := range []string{"index", "listing", "precompressed"} {
		if pos, ok := route.Set[k]; ok && route.Root == "" {
			r.failf(pos, "route."+k, "only a route with root has files")
		}
	}
	for _, name := range route.Index {
		if name == "." || name == ".." || slices.Contains([]byte(name), '/') {
			r.failf(route.Set["index"], "route.index", "%q is not a file's name", name)
		}
	}
	if pos, ok := route.Set["return"]; ok && route.Return.Body != "" && (route.Return.Status == 204 || route.Return.Status == 304) {
		r.failf(pos, "route.return", "status %d has no body", route.Return.Status)
	}
}
