package front

import (
	"net/http"
	"slices"
)

// stages is the way of a route's requests, in the order they meet it. Each
// returns next itself where the route does not use it: what is not used is not
// there, and costs nothing.
func (rt *Route) stages() []func(next http.Handler) http.Handler {
	return []func(next http.Handler) http.Handler{
		rt.CORS.stage, // so that a page can tell what the stages behind it refuse, and a preflight counts for no request
		rt.Sources.stage,
		rt.Rate.stage,
		rt.Methods.stage,
		rt.Cache.stage,
		rt.Auth.stage,
		rt.Redirect.stage,
		rt.Reply.stage,
		rt.Settings.stage,
		rt.Request.stage,
		rt.Rewrite.stage,
		rt.session,
		rt.authorize,
		rt.Compression.stage,
	}
}

// A headStage has something to say about the head of every answer of its
// route, errors included, just before it goes out.
type headStage interface {
	head(x *Exchange, h http.Header, status int)
}

// headStages are those that the route uses, in the order that they are asked in.
func (rt *Route) headStages() []headStage {
	var list []headStage
	if rt.Compression.used() {
		list = append(list, rt.Compression)
	}
	if rt.Cache != nil {
		list = append(list, rt.Cache)
	}
	if rt.CORS.used() {
		list = append(list, rt.CORS)
	}
	if rt.Response.used() {
		list = append(list, &rt.Response)
	}
	return list
}

// compile joins the stages that the route uses, its handler last.
func (rt *Route) compile() http.Handler {
	h := rt.Handler
	if h == nil {
		h = http.HandlerFunc(nothing)
	}
	for _, stage := range slices.Backward(rt.stages()) {
		h = stage(h)
	}
	return h
}

// nothing is the handler of a route that only redirects, for what it leaves.
func nothing(w http.ResponseWriter, r *http.Request) {
	Fail(w, r, NotFound, "the route has neither an application nor files, and its redirect is for other paths")
}

// dress lets the route have its say about a head: the one that the client's
// request took, and behind it an internal one that an application led to.
func (x *Exchange) dress(h http.Header, status int) {
	for _, s := range x.heads {
		s.head(x, h, status)
	}
	for _, s := range x.innerHeads {
		s.head(x, h, status)
	}
}
