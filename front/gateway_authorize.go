package front

import (
	"net/http"
	"strings"

	"github.com/frontd/frontd/fcgi"
)

// An Authorizer decides whether a request may go on. Where it may not, it has
// answered it.
type Authorizer interface {
	Authorize(w http.ResponseWriter, r *http.Request) bool
}

// authorize is the stage of the routes that have an Authorizer.
func (rt *Route) authorize(next http.Handler) http.Handler {
	if rt.Authorizer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rt.Authorizer.Authorize(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// A Variable is a meta-variable that an authorizer sets for the application.
type Variable struct{ Name, Value string }

// Authorize asks the gateway's application in the Authorizer role (FastCGI
// §6.3), without the request's body. Its 200 lets the request on, with its
// Variable- fields as meta-variables in the place of any the client may have
// sent; anything else is the client's answer.
func (g *Gateway) Authorize(w http.ResponseWriter, r *http.Request) bool {
	x := ExchangeOf(r)
	c := newCall(g, w, r, fcgi.RoleAuthorizer)
	defer c.end()
	if err := c.prepare(); err != nil {
		c.fail(err)
		return false
	}
	resp, err := c.ask()
	if err == nil {
		err = c.keepSession(resp)
	}
	if err != nil {
		c.fail(err)
		return false
	}
	if target := resp.LocalRedirect; target != "" {
		// An answer like any other that is no plain 200, and to the client.
		c.giveUp(resp)
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusFound)
		return false
	}
	if resp.Status != http.StatusOK {
		if err := c.answer(resp); err != nil {
			c.fail(err)
		}
		return false
	}
	for name, values := range resp.Header {
		// The name of a field has lost its case: variables have capitals.
		if v, ok := strings.CutPrefix(name, "Variable-"); ok && v != "" {
			x.Variables = append(x.Variables, Variable{strings.ToUpper(v), strings.Join(values, ", ")})
		}
	}
	c.giveUp(resp)
	x.Attempts = 0 // those that follow are the application's
	return true
}

// withVariables returns p with the variables in the place of any pairs of the
// same names.
func withVariables(p *fcgi.Params, vars []Variable) fcgi.Params {
	var out fcgi.Params
	own := make(map[string]bool, len(vars))
	for _, v := range vars {
		own[v.Name] = true
	}
	p.Each(func(name, value string) {
		if !own[name] {
			out.Add(name, value)
		}
	})
	for _, v := range vars {
		out.Add(v.Name, v.Value)
	}
	return out
}
